"""The Perfetto trace: what the Trace Event Format asks for, and what of a run is in it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import EnvironmentProblem
from sim.report.export.perfetto import perfetto_trace, write_perfetto
from sim.report.export.tracks import Tracks
from sim.report.html.lanes import Lane
from sim.report.html.run_files import RunFiles
from sim.scenario.result import GatewayState
from tests.unit.report.export.rollout_run import (
    APPLY_MS,
    PASSWORD,
    Ending,
    a_run,
    bump_events,
    bump_rollout,
    event,
)
from tests.unit.report.results import PLUGIN

ENDINGS: tuple[Ending, ...] = ("works", "nacked", "not pulled")


class Drawn:
    """A trace, by thread and by phase."""

    def __init__(self, run: RunFiles) -> None:
        self.whole = json.loads(json.dumps(perfetto_trace(run)))
        self.events: list[dict[str, Any]] = self.whole["traceEvents"]
        self.threads = {each["tid"]: each["args"]["name"] for each in self.named("thread_name")}
        self.processes = {each["pid"]: each["args"]["name"] for each in self.named("process_name")}

    def named(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["name"] == name]

    def of(self, phase: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["ph"] == phase]

    def on(self, thread: str, phase: str = "X") -> list[str]:
        return [each["name"] for each in self.of(phase) if self.threads[each["tid"]] == thread]

    def slice(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.of("X") if each["name"] == name]
        return found

    def arrows(self) -> list[tuple[str, str]]:
        """Each as the names of the slices that it leads from and to, bound as the format says: by thread and time."""
        heads = {each["id"]: self._bound(each) for each in self.of("f")}
        return [(self._bound(each), heads[each["id"]]) for each in sorted(self.of("s"), key=lambda flow: flow["id"])]

    def _bound(self, flow: dict[str, Any]) -> str:
        """The flow's own slice is the one before it in the file; it has to enclose the flow on the flow's thread."""
        position = self.events.index(flow)
        while self.events[position]["ph"] in ("s", "f"):
            position -= 1
        own = self.events[position]
        assert own["ph"] == "X" and own["tid"] == flow["tid"] and own["pid"] == flow["pid"]
        assert own["ts"] <= flow["ts"] <= own["ts"] + own["dur"] and own["dur"] > 0
        return str(own["name"])


def nests(slices: list[dict[str, Any]]) -> bool:
    """In the order of their beginnings, the longer first, each ends within what is open, or begins after it."""
    ends: list[float] = []
    for each in sorted(slices, key=lambda one: (one["ts"], -one["dur"])):
        while ends and ends[-1] <= each["ts"]:
            ends.pop()
        if ends and each["ts"] + each["dur"] > ends[-1]:
            return False
        ends.append(each["ts"] + each["dur"])
    return True


def test_each_lane_is_a_thread_in_the_order_of_the_report(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    assert list(drawn.threads.values()) == [
        *("manifests", "Core", "Discovery", "agent", "registry", "Envoy main thread"),
        *("Envoy worker 0", "Envoy worker 1", "clients users", "rollouts[0] request-block 1.0.0 → 2.0.0"),
    ]
    assert drawn.processes == {1: "rollouts", 2: "tag-bump (higress)"}
    order = {each["tid"]: each["args"]["sort_index"] for each in drawn.named("thread_sort_index")}
    assert sorted(order, key=lambda tid: order[tid]) == list(drawn.threads)


def test_no_thread_has_the_number_of_its_process(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    assert not set(drawn.threads) & set(drawn.processes)


def test_several_gateways_are_a_process_each(tmp_path: Path) -> None:
    state = GatewayState(ready=True, running=True, workers=1)
    drawn = Drawn(a_run(tmp_path, gateways={"a": state, "b": state}, rollouts=[bump_rollout(gateway="b")]))
    assert list(drawn.processes.values()) == ["rollouts", "tag-bump (higress)", "gateway a", "gateway b"]
    pids = {each["pid"] for each in drawn.of("X") if each["name"] == "rollouts[0] apply"}
    assert {drawn.processes[pid] for pid in pids} == {"tag-bump (higress)"}


def test_spans_and_requests_are_slices_on_their_parts_threads(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    assert "core.convert" in drawn.on("Core")
    assert "discovery.debounce" in drawn.on("Discovery")
    assert [name for name in drawn.on("agent") if name.startswith("agent.")] == [
        *("agent.fetch", "agent.unpack", "agent.rewrite"),
    ]
    assert drawn.on("registry") == ["registry.request GET 200"] * 3
    assert drawn.on("manifests") == ["run.step bump tag=2.0.0", "rollouts[0] apply"]
    fetch = drawn.slice("agent.fetch")
    assert (fetch["ts"], fetch["dur"]) == ((APPLY_MS + 105.2) * 1000, 3800)
    assert fetch["args"]["plugin"] == PLUGIN and fetch["args"]["size_bytes"] == 900


def test_what_has_no_length_is_an_instant(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    assert drawn.on("Discovery", "i") == [
        *("discovery.stream_opened", "discovery.received WasmPlugin", "discovery.push LDS", "discovery.push ECDS")
    ]
    assert drawn.on("Envoy worker 1", "i") == ["envoy.worker_ready"]
    assert {each["s"] for each in drawn.of("i")} == {"t"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_slices_of_a_thread_nest(tmp_path: Path, ending: Ending) -> None:
    slices = defaultdict(list)
    for each in Drawn(a_run(tmp_path, ending)).of("X"):
        slices[each["tid"]].append(each)
    assert all(nests(each) for each in slices.values())


def test_what_would_cross_gets_a_row_of_its_own(tmp_path: Path) -> None:
    crossing = [
        *(event(1100, "agent.fetch", span="started", span_id=7), event(1108, "agent.fetch", span="started", span_id=8)),
        *(
            event(1120, "agent.fetch", span="completed", span_id=7),
            event(1130, "agent.fetch", span="completed", span_id=8),
        ),
    ]
    drawn = Drawn(a_run(tmp_path, events=[*bump_events(), *crossing]))
    assert drawn.on("agent (2)") == ["agent.fetch"]
    assert drawn.slice("agent.unpack")["tid"] != drawn.slice("discovery.debounce")["tid"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=25))
def test_whatever_is_placed_nests(pieces: list[tuple[int, int]]) -> None:
    tracks = Tracks([Lane("agent", "agent")], "run")
    rows = defaultdict(list)
    for start, length in sorted(pieces, key=lambda piece: (piece[0], -piece[1])):
        rows[tracks.place("agent", start, start + length).tid].append({"ts": start, "dur": length})
    assert sum(map(len, rows.values())) == len(pieces)
    assert all(nests(row) for row in rows.values())


def test_arrows_lead_from_the_manifest_to_the_first_response(tmp_path: Path) -> None:
    assert Drawn(a_run(tmp_path)).arrows() == [
        (f"rollouts[0] {tail}", f"rollouts[0] {head}")
        for tail, head in (
            ("apply", "convert and push"),
            ("convert and push", "debounce"),
            ("debounce", "push LDS"),
            ("push LDS", "LDS as it is"),
            ("LDS as it is", "LDS"),
            ("push LDS", "push ECDS"),
            ("push ECDS", "pull and rewrite"),
            ("pull and rewrite", "load"),
            ("load", "switch"),
            ("load", "switch"),
            ("load", "first response"),
        )
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_arrow_leads_back_in_time(tmp_path: Path, ending: Ending) -> None:
    drawn = Drawn(a_run(tmp_path, ending))
    heads = {each["id"]: each["ts"] for each in drawn.of("f")}
    tails = {each["id"]: each["ts"] for each in drawn.of("s")}
    assert heads.keys() == tails.keys() and heads
    # At the same moment a reader could take the head for the earlier one.
    assert all(tails[number] < heads[number] for number in tails)


@pytest.mark.parametrize(
    ("ending", "last"), [("nacked", "rollouts[0] refused (NACK)"), ("not pulled", "rollouts[0] pull and rewrite")]
)
def test_the_arrows_end_where_the_rollout_did(tmp_path: Path, ending: Ending, last: str) -> None:
    assert Drawn(a_run(tmp_path, ending)).arrows()[-1][1] == last


def test_failures_are_marked_and_say_why(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path, "not pulled"))
    assert drawn.slice("✗ agent.fetch")["args"]["error"] == "it can't be done"
    assert "✗ agent.nack ECDS" in drawn.on("agent", "i")
    assert drawn.slice("✗ request-block 1.0.0 → 2.0.0")["args"]["error"] == "it can't be done"


def test_the_stages_lie_below_their_rollout(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    own = [each for each in drawn.of("X") if each["pid"] == 1]
    assert [each["name"] for each in own] == [
        "request-block 1.0.0 → 2.0.0",
        *("convert", "mcp", "debounce", "push", "fetch", "unpack", "rewrite", "deliver", "load", "first_response"),
    ]
    assert own[3]["args"]["step"] == "2 Core → Discovery, MCP over xDS"
    assert (own[0]["ts"], own[0]["dur"]) == (APPLY_MS * 1000, 130_000)


def test_counters_add_up_to_the_responses(tmp_path: Path) -> None:
    counted: dict[str, float] = defaultdict(float)
    for each in Drawn(a_run(tmp_path)).of("C"):
        for key, value in each["args"].items():
            counted[f"{each['name']} {key}"] += value
    # Intervals of 100 ms: a rate of 10/s is one response.
    assert counted == {
        "users responses/s": 120,
        "users responses/s of 1.0.0": 50,
        "users responses/s of 2.0.0": 50,
        "users failed": 2,
    }


def test_counters_end_at_nothing(tmp_path: Path) -> None:
    last = [each for each in Drawn(a_run(tmp_path)).of("C") if each["name"] == "users"][-2:]
    assert [each["args"] for each in last] == [{"responses/s": 0}, {"failed": 0}]


def test_times_are_microseconds_after_the_first_event(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path))
    (first,) = drawn.named("run.started")
    assert first["ts"] == 0
    assert drawn.whole["otherData"]["started"] == "2025-01-01T10:00:00.250Z"
    assert all(each["ts"] >= 0 for each in drawn.events if "ts" in each)


def test_a_span_that_never_ended_goes_on_to_the_end_and_says_so(tmp_path: Path) -> None:
    drawn = Drawn(a_run(tmp_path, events=[*bump_events(), event(1100, "envoy.start", span="started", span_id=70)]))
    began = drawn.slice("envoy.start")
    assert began["args"]["never ended"] is True
    assert began["ts"] + began["dur"] == (APPLY_MS + 126) * 1000


def test_a_run_without_a_trace_is_still_one(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    empty = RunFiles(run.directory, run.result, [], "", {}, {}, run.read)
    assert {each["ph"] for each in perfetto_trace(empty)["traceEvents"]} == {"M"}


def test_secrets_stay_behind(tmp_path: Path) -> None:
    telling = event(1200, "envoy.log", level="error", text=f"robot:{PASSWORD} was refused")
    text = json.dumps(perfetto_trace(a_run(tmp_path, events=[*bump_events(), telling])))
    assert "was refused" in text and PASSWORD not in text


def test_a_file_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="can't write"):
        write_perfetto(a_run(tmp_path), tmp_path / "nowhere" / "t.json")


def test_the_file_is_json_with_its_unit_before_the_events(tmp_path: Path) -> None:
    target = tmp_path / "t.json"
    write_perfetto(a_run(tmp_path), target)
    assert list(json.loads(target.read_text())) == ["displayTimeUnit", "otherData", "traceEvents"]

"""The methods of a run: each is a step as a scenario has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from sim.errors import InvalidInput, StepFailed
from sim.manifests import Manifest
from sim.pytest_plugin import ExpectationsFailed, LiveRun
from sim.pytest_plugin.live_run import Held
from sim.scenario.result import Expectation
from sim.scenario.schema import AnyStep, CheckThat, Step, as_written
from sim.scenario.session import Session
from sim.trace import Trace
from tests.unit.report.results import result

PLUGIN = "higress-system/request-block"
MANIFEST = (Path(__file__).parents[3] / "scenarios" / "tag-bump" / "request-block.yaml").read_text(encoding="utf-8")
_STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)


class RecordingSession:
    """Stands for a session: keeps the steps, once they are known to be ones."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Any] = []
        self.trace = Trace()
        self.loaded = SimpleNamespace(folder=folder)
        self.run = SimpleNamespace(checked=[])
        self.refusal: StepFailed | None = None

    async def carry_out(self, step: dict[str, Any], by: str) -> None:
        read = _STEP.validate_python(step)
        assert by == "test"
        if isinstance(read, CheckThat):
            seen = Expectation(that=read.that, passed=self.refusal is None, actual={"n": 1}, where="test")
            self.run.checked.append(seen)
        if self.refusal is not None:
            raise self.refusal
        self.steps.append(as_written(read))

    async def apply(self, manifests: list[Manifest], by: str) -> None:
        assert by == "test"
        self.steps.append([manifest.key for manifest in manifests])
        for manifest in manifests:
            self.trace.emit("core.apply", plugin=manifest.key)


@pytest.fixture
def session(tmp_path: Path) -> RecordingSession:
    return RecordingSession(tmp_path / "scenarios")


@pytest.fixture
def run(session: RecordingSession, tmp_path: Path) -> LiveRun:
    return LiveRun(Held(cast(Session, session), tmp_path, faults=False))


CALLS: list[tuple[Callable[[LiveRun], Any], dict[str, Any]]] = [
    (lambda run: run.bump(PLUGIN, tag="2.0.0"), {"bump": {"plugin": PLUGIN, "tag": "2.0.0"}}),
    (lambda run: run.bump(tag="2.0.0"), {"bump": {"plugin": PLUGIN, "tag": "2.0.0"}}),
    (lambda run: run.bump(image="a.example/b:1"), {"bump": {"plugin": PLUGIN, "image": "a.example/b:1"}}),
    (lambda run: run.edit(patch={"spec": {"phase": None}}), {"edit": {"patch": {"spec": {"phase": None}}}}),
    (lambda run: run.edit(PLUGIN, patch=[{"op": "remove", "path": "/spec/phase"}]), {"edit": {"plugin": PLUGIN}}),
    (lambda run: run.delete(), {"delete": {"plugin": PLUGIN}}),
    (lambda run: run.push("request-block", "2.0.0", format="oci"), {"push": {"tag": "2.0.0", "format": "oci"}}),
    (lambda run: run.push(file="a.wasm", reference="a.example/b:1"), {"push": {"as": "a.example/b:1"}}),
    (lambda run: run.wait_effective(), {"wait": {"effective": PLUGIN, "within": "10s"}}),
    (lambda run: run.wait_settled(PLUGIN, within="3s"), {"wait": {"settled": PLUGIN, "within": "3s"}}),
    (lambda run: run.wait_acked(gateway="east"), {"wait": {"acked": PLUGIN, "gateway": "east"}}),
    (lambda run: run.wait_nacked(), {"wait": {"nacked": PLUGIN}}),
    (lambda run: run.wait_gone(), {"wait": {"gone": PLUGIN}}),
    (lambda run: run.wait_ready(), {"wait": {"ready": "gateway"}}),
    (lambda run: run.wait_event("agent.*", span="failed"), {"wait": {"event": "agent.*", "span": "failed"}}),
    (lambda run: run.request("/a", status=403), {"request": {"path": "/a", "expect": {"status": 403, "headers": {}}}}),
    (
        lambda run: run.request(expect_headers={"x-gone": None}, headers={"x-a": "1"}, within="2s"),
        {"request": {"headers": {"x-a": "1"}, "within": "2s", "expect": {"headers": {"x-gone": None}}}},
    ),
    (lambda run: run.check("size(rollouts) == 1"), {"check": {"that": "size(rollouts) == 1"}}),
    (lambda run: run.fault("registry", status={"code": 503}), {"fault": {"on": "registry"}}),
    (lambda run: run.clear(), {"clear": {"name": "all"}}),
    (lambda run: run.restart("agent/east"), {"restart": {"part": "agent/east"}}),
    (lambda run: run.kill("envoy"), {"kill": {"part": "envoy"}}),
    (lambda run: run.pause(duration="20ms"), {"pause": {"part": "envoy", "for": "20ms"}}),
    (lambda run: run.advance("25h"), {"advance": {"by": "25h"}}),
    (lambda run: run.load("users", "500/s"), {"load": {"traffic": "users", "rate": "500/s"}}),
    (lambda run: run.step({"sleep": "1s"}), {"sleep": {"duration": "1s"}}),
]


@pytest.mark.parametrize(
    ("call", "step"), CALLS, ids=[f"{index}-{next(iter(step))}" for index, (_, step) in enumerate(CALLS)]
)
async def test_a_method_is_a_step_of_a_scenario(
    call: Callable[[LiveRun], Any], step: dict[str, Any], run: LiveRun, session: RecordingSession
) -> None:
    session.trace.emit("core.apply", plugin=PLUGIN)
    await call(run)
    ((kind, fields),) = step.items()
    assert fields.items() <= session.steps[0][kind].items()


@pytest.mark.parametrize("others", [[], ["higress-system/key-auth"]])
async def test_which_plugin_is_meant_must_be_told_unless_there_is_one(
    others: list[str], run: LiveRun, session: RecordingSession
) -> None:
    for plugin in (*others, *([PLUGIN] if others else [])):
        session.trace.emit("core.apply", plugin=plugin)
    with pytest.raises(InvalidInput, match="which one is meant") as raised:
        await run.wait_settled()
    assert raised.value.hint == (f"name one of {others[0]}, {PLUGIN}" if others else "apply one first")


async def test_manifests_are_taken_as_files_text_data_and_lists_of_these(
    run: LiveRun, session: RecordingSession, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(MANIFEST, encoding="utf-8")
    folder = session.loaded.folder
    folder.mkdir()
    (folder / "the-scenarios.yaml").write_text(MANIFEST.replace("name: request-block", "name: other"), encoding="utf-8")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}
    await run.apply("own.yaml")
    await run.apply(tmp_path / "own.yaml")
    await run.apply("the-scenarios.yaml")
    await run.apply(MANIFEST)
    await run.apply({"apiVersion": "v1", "kind": "List", "items": [secret]})
    await run.apply([MANIFEST, secret, "own.yaml"])
    one, other = [PLUGIN], ["higress-system/other"]
    assert session.steps == [one, one, other, one, ["default/s"], [PLUGIN, "default/s", PLUGIN]]


async def test_a_manifest_that_is_nowhere_is_told_with_the_path_from_the_tests_folder(
    run: LiveRun, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="can't be read") as raised:
        await run.apply("nothing.yaml")
    assert raised.value.where is not None
    assert raised.value.where.file == str(tmp_path / "nothing.yaml")


async def test_an_event_that_no_part_emits_is_not_waited_for(run: LiveRun) -> None:
    with pytest.raises(InvalidInput, match=r"no event agent\.fetched") as raised:
        await run.wait_event("agent.fetched")
    assert "agent.fetch" in str(raised.value.hint)


async def test_a_check_has_the_place_of_its_call(run: LiveRun, session: RecordingSession) -> None:
    await run.check("size(rollouts) == 0")
    assert session.run.checked[0].line == 'await run.check("size(rollouts) == 0")'
    session.refusal = StepFailed("not true")
    with pytest.raises(ExpectationsFailed) as raised:
        await run.check("size(rollouts) == 1")
    told = str(raised.value)
    assert told.startswith("not so: size(rollouts) == 1  (n = 1)\n")
    assert f"{__file__}:" in told
    assert 'await run.check("size(rollouts) == 1")' in told


async def test_a_fault_on_a_link_without_a_proxy_says_how_to_get_one(run: LiveRun, session: RecordingSession) -> None:
    session.refusal = StepFailed("this run has no link agent-envoy that faults can be put on")
    with pytest.raises(StepFailed, match="faults=True"):
        await run.fault("agent-envoy", latency={"latency": "1s"})


async def test_what_a_step_raises_tells_nothing_of_our_own_code(run: LiveRun, session: RecordingSession) -> None:
    session.refusal = StepFailed("no")
    with pytest.raises(StepFailed) as raised:
        await run.restart("core")
    assert Path(raised.traceback[-1].path).name == "live_run.py"
    assert len(raised.traceback) == 2


async def test_after_the_end_nothing_is_done_and_the_result_stands(session: RecordingSession, tmp_path: Path) -> None:
    final = result()
    run = LiveRun(Held(cast(Session, session), tmp_path, faults=False, final=final))
    assert run.result is final
    with pytest.raises(InvalidInput, match="the run is over"):
        await run.clear()
    assert session.steps == []


def test_events_are_found_by_pattern_and_span(run: LiveRun, session: RecordingSession) -> None:
    with session.trace.span("agent.fetch"):
        session.trace.emit("agent.rewrite")
    assert [event.event for event in run.events("agent.*", span="completed")] == ["agent.fetch"]
    assert len(run.events()) == 3
    assert [event.event for event in run.events("agent.rewrite")] == ["agent.rewrite"]

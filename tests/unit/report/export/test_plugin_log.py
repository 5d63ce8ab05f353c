"""What plugins said: which lines of Envoy's log are whose, and a trace that is still written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sim.errors import InvalidInput
from sim.report.export.plugin_log import LogLine, PluginLog, TraceTail, Wanted, newest_run
from sim.trace import Event, Trace, TraceWriter
from tests.unit.report.export.rollout_run import START_NS, event

A, B = "team-a/first", "team-b/second.v2"


def applied(*plugins: str, gateway: str | None = None) -> list[Event]:
    place: dict[str, Any] = {} if gateway is None else {"gateway": gateway}
    return [
        each
        for plugin in plugins
        for each in (event(0, "core.apply", plugin=plugin), event(1, "agent.rewrite", plugin=plugin, **place))
    ]


def said(text: str, at_ms: float = 10, **facts: Any) -> Event:
    return event(at_ms, "envoy.log", **{"level": "info", "text": text, **facts})


def lines(*events: Event) -> list[LogLine]:
    return PluginLog().take(events)


def test_a_plugins_own_words_stand_without_the_hosts_prefix() -> None:
    (line,) = lines(*applied(A), said("wasm log team-a.first my_root vm-1: hello: world", worker=1, level="warning"))
    assert line.to_json() == {
        "t_ns": START_NS + 10_000_000,
        "after_ms": 10.0,
        "level": "warning",
        "plugin": A,
        "said_by": "plugin",
        "gateway": None,
        "worker": 1,
        "text": "hello: world",
    }
    assert line.to_text() == "+0.010s warning  team-a/first worker 1: hello: world"


def test_a_name_may_have_dots_where_a_namespace_has_none() -> None:
    (line,) = lines(said("wasm log team-b.second.v2: x"))
    assert line.plugin == B


def test_what_envoy_says_of_a_plugin_is_marked() -> None:
    rejected = said("config rejected: Unable to create Wasm plugin team-a.first", component="config", level="warning")
    named, refused = lines(*applied(A, B), said("Plugin team-a.first failed to load", level="critical"), rejected)
    assert (named.plugin, named.said_by) == (A, "envoy")
    assert (refused.plugin, refused.said_by) == (A, "envoy")
    assert named.to_text() == "+0.010s critical team-a/first main: [envoy] Plugin team-a.first failed to load"


def test_what_names_nobody_is_the_only_plugins() -> None:
    complaint = said("Function: proxy_on_request_headers failed", level="error")
    assert [line.plugin for line in lines(*applied(A), complaint)] == [A]
    assert [line.plugin for line in lines(*applied(A, B), complaint)] == [None]


def test_what_names_nobody_is_that_of_the_gateways_only_plugin() -> None:
    there = [*applied(A, gateway="a"), *applied(B, gateway="b")]
    found = lines(*there, said("Wasm VM failed", gateway="a"), said("Wasm VM failed", gateway="b"))
    assert [line.plugin for line in found] == [A, B]


def test_other_lines_of_envoy_are_none() -> None:
    assert lines(*applied(A), said("caught ENVOY_SIGTERM", component="main", level="warning")) == []


def test_a_line_can_not_steer_a_terminal_or_forge_another() -> None:
    (line,) = lines(said("wasm log team-a.first: a\x1b[2J\n+9s critical x: forged"))
    assert line.to_text() == "+0.000s info     team-a/first main: a\\x1b[2J\n    +9s critical x: forged"


def test_the_event_tells_whose_words_they_are_where_the_host_does_not() -> None:
    mine, request = lines(
        *applied(A, B),
        said("wasm log: block_urls has to be a list", plugin=B, level="error"),
        said("wasm log team-a.first: a\nb", plugin=A, worker=1, level="debug", left_out=3),
    )
    assert (mine.plugin, mine.said_by, mine.text) == (B, "plugin", "block_urls has to be a list")
    assert request.to_json()["left_out"] == 3
    assert request.to_text().splitlines() == [
        "    (3 lines before this one are in envoy.log alone)",
        "+0.010s debug    team-a/first worker 1: a",
        "    b",
    ]
    assert not Wanted(plugin=A).shows(request)
    assert Wanted(plugin=A, level="debug").shows(request)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Wanted(), ["one", "two", "three", "four"]),
        (Wanted(plugin=A), ["one", "two", "four"]),
        (Wanted(plugin="first"), ["one", "two", "four"]),
        (Wanted(plugin="team-b.second.v2"), ["three"]),
        (Wanted(level="warning"), ["two", "four"]),
        (Wanted(level="critical"), ["four"]),
        (Wanted(worker=0), ["two"]),
        (Wanted(gateway="b"), ["three"]),
        (Wanted(since_ns=START_NS + 25_000_000), ["three", "four"]),
        (Wanted(plugin=A, level="error", worker=0), []),
    ],
)
def test_lines_are_chosen(wanted: Wanted, shown: list[str]) -> None:
    found = lines(
        said("wasm log team-a.first: one", 10, worker=1),
        said("wasm log team-a.first: two", 20, worker=0, level="warning"),
        said("wasm log team-b.second.v2: three", 30, gateway="b"),
        said("wasm log team-a.first: four", 40, level="critical"),
    )
    assert [line.text for line in found if wanted.shows(line)] == shown


def test_a_plugin_or_gateway_that_is_not_there_is_answered_by_those_that_are() -> None:
    log = PluginLog()
    log.take([*applied(A, gateway="a"), said("wasm log team-b.second.v2: x")])
    Wanted(plugin="second.v2", gateway="a").check(log)
    with pytest.raises(InvalidInput, match=r"no plugin frist\n.*team-a/first, team-b/second\.v2"):
        Wanted(plugin="frist").check(log)
    with pytest.raises(InvalidInput, match=r"no gateway b\n.*gateways: a"):
        Wanted(gateway="b").check(log)
    with pytest.raises(InvalidInput, match="needs no --gateway"):
        Wanted(gateway="b").check(PluginLog())


# -- files --------------------------------------------------------------------------------------------------------


def test_a_trace_is_read_as_far_as_its_lines_are_complete(tmp_path: Path) -> None:
    written = [json.dumps(each.as_dict()).encode() + b"\n" for each in (said("a"), said("b"), said("ö"))]
    trace = tmp_path / "trace.jsonl"
    trace.write_bytes(written[0] + written[1][:20])
    tail = TraceTail(tmp_path)
    assert [each.data["text"] for each in tail.read()] == ["a"]
    assert tail.read() == []
    with trace.open("ab") as file:
        # In the middle of a character.
        file.write(written[1][20:] + written[2][:-8])
    assert [each.data["text"] for each in tail.read()] == ["b"]
    with trace.open("ab") as file:
        file.write(written[2][-8:])
    assert [each.data["text"] for each in tail.read()] == ["ö"]
    assert tail.read() == []


def test_a_run_is_over_when_its_result_is_there(tmp_path: Path) -> None:
    with closing(TraceWriter(Trace(), tmp_path)):
        tail = TraceTail(tmp_path)
        assert not tail.over
        (tmp_path / "result.json").touch()
        assert tail.over


def test_a_run_whose_process_was_killed_is_over(tmp_path: Path) -> None:
    writing = (
        "import sys, pathlib; from sim.trace import Trace, TraceWriter;"
        "held = TraceWriter(Trace(), pathlib.Path(sys.argv[1])); print('written', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", writing, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"written\n"
        tail = TraceTail(tmp_path)
        assert not tail.over
        process.kill()
    assert tail.over


def test_what_is_no_trace_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no trace\.jsonl"):
        TraceTail(tmp_path)
    (tmp_path / "trace.jsonl").write_text(json.dumps(said("a").as_dict()) + "\n[]\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"trace\.jsonl:2: this is no event"):
        TraceTail(tmp_path).read()


def test_the_newest_run_is_the_one_last_written_to(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no run in"):
        newest_run(tmp_path)
    for name, at_s in (("b-run", 100), ("a-run", 300), ("c-run", 200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trace.jsonl").touch()
        os.utime(tmp_path / name / "trace.jsonl", (at_s, at_s))
    (tmp_path / "no-run").mkdir()
    assert newest_run(tmp_path).name == "a-run"

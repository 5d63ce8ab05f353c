"""What Envoy's log tells of Wasm, as Envoy 1.36 to 1.40 word it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim.envoy.log import MESSAGE_CHARACTERS, LogLine, WasmLogLevel, component_levels, parse_line
from sim.envoy.wasm_story import DETAILS_PER_S, WasmStory
from sim.trace import Trace

FIRST, SECOND = "team-a.first", "extensions.istio.io/wasmplugin/team-b.second.v2"
A, B = "team-a/first", "team-b/second.v2"


class Log:
    """Messages of one Envoy; `main` is what its main thread says, the workers are known by their number."""

    def __init__(self, level: WasmLogLevel = "info") -> None:
        self.trace = Trace()
        self.story = WasmStory(self.trace, level)

    def says(self, text: str, *, worker: int | None = None, level: str = "debug", component: str = "wasm") -> None:
        self.story.take(LogLine(0, 1, level, component, text), worker, 0)

    def takes_up(self, name: str) -> None:
        self.says(f"Updated filter config {name} accepted, posting to workers", component="filter")

    def has_done_with(self, name: str) -> None:
        self.says(f"Updated filter config {name} created, warming done", component="filter")

    def loads(self, name: str) -> None:
        self.takes_up(name)
        self.says("Base Wasm created 1 now active")
        self.says("Thread-Local Wasm created 2 now active")
        self.has_done_with(name)

    def refuses(self, name: str) -> None:
        self.takes_up(name)
        self.says("Base Wasm created 1 now active")
        self.says("Wasm VM failed Failed to configure base Wasm plugin", level="error")
        self.says(f"Updating filter config {name} failed due to 2", component="filter")

    def of(self, event: str, *fields: str) -> list[tuple[Any, ...]]:
        found = [{"plugin": each.plugin, **each.data} for each in self.trace if each.event == event]
        return [tuple(each.get(name) for name in fields) for each in found]


def test_each_compilation_and_each_worker_is_of_the_plugin_that_was_taken_up() -> None:
    log = Log()
    log.loads(FIRST)
    log.loads(SECOND)
    # One worker is late: it takes the first module when the other has both.
    for worker in (1, 1, 0, 0):
        log.says("Thread-Local Wasm created 3 now active", worker=worker)
    assert log.of("envoy.compile", "plugin", "module") == [(A, 1), (B, 2)]
    assert log.of("envoy.worker_ready", "worker", "plugin", "module") == [
        (1, A, 1),
        (1, B, 2),
        (0, A, 1),
        (0, B, 2),
    ]


def test_a_refused_module_is_taken_by_no_worker() -> None:
    log = Log()
    log.refuses(FIRST)
    log.loads(SECOND)
    log.says("Thread-Local Wasm created 3 now active", worker=0)
    assert log.of("envoy.worker_ready", "plugin", "module") == [(B, 2)]


def test_a_refused_configuration_leaves_the_module_to_the_workers() -> None:
    log = Log()
    log.loads(FIRST)
    log.takes_up(FIRST)
    log.says(f"Updating filter config {FIRST} failed due to 2", component="filter")
    log.says("Thread-Local Wasm created 3 now active", worker=0)
    assert log.of("envoy.worker_ready", "plugin", "module") == [(A, 1)]


def test_a_module_that_fails_open_is_taken_by_no_worker() -> None:
    log = Log()
    log.takes_up(FIRST)
    log.says("Base Wasm created 1 now active")
    log.says("Plugin team-a.first failed to load", level="critical")
    log.has_done_with(FIRST)
    log.loads(SECOND)
    log.says("Thread-Local Wasm created 3 now active", worker=0)
    assert log.of("envoy.worker_ready", "plugin") == [(B,)]


def test_words_are_of_who_is_named_or_who_is_being_configured() -> None:
    log = Log()
    log.loads(FIRST)
    log.takes_up(SECOND)
    log.says("wasm log: a key is unknown", level="warning")
    log.has_done_with(SECOND)
    log.says("wasm log: a key is unknown", level="warning", worker=1)
    log.says("wasm log: who says this?", level="warning", worker=1)
    log.says("wasm log team-a.first root vm: hello", level="info", worker=0)
    log.says("wasm log root: hello", level="info", worker=0)
    log.says("rejected: Unable to create Wasm plugin team-b.second.v2", level="warning", component="config")
    assert log.of("envoy.log", "plugin", "worker", "component") == [
        (B, None, None),
        (B, 1, None),
        (None, 1, None),
        (A, 0, None),
        (None, 0, None),
        (B, None, "config"),
    ]


def test_what_names_nobody_is_the_only_plugins() -> None:
    log = Log()
    log.loads(FIRST)
    log.says("Function: proxy_on_request_headers failed", level="error", worker=0)
    assert log.of("envoy.log", "plugin") == [(A,)]


def test_two_plugins_that_say_the_same_are_told_apart_by_what_the_worker_took_last() -> None:
    log = Log()
    for name in (FIRST, SECOND):
        log.takes_up(name)
        log.says("Base Wasm created 1 now active")
        log.says("wasm log: configured", level="info")
        log.has_done_with(name)
    for _ in range(2):
        log.says("Thread-Local Wasm created 3 now active", worker=0)
        log.says("wasm log: configured", level="info", worker=0)
    assert log.of("envoy.log", "plugin") == [(A,), (B,), (A,), (B,)]


@pytest.mark.parametrize(("level", "kept"), [("info", []), ("debug", ["two"]), ("trace", ["one", "two"])])
def test_details_are_the_plugins_words_alone_and_as_far_as_wanted(level: WasmLogLevel, kept: list[str]) -> None:
    log = Log(level)
    log.loads(FIRST)
    log.says("wasm log team-a.first: one", level="trace", worker=0)
    log.says("wasm log team-a.first: two", level="debug", worker=0)
    log.says("~Wasm 1 remaining active", level="debug", worker=0)
    log.says("[host->vm] proxy_on_request_headers(2, 5, 1)", level="trace", worker=0)
    assert [text.rpartition(" ")[2] for (text,) in log.of("envoy.log", "text")] == kept


def test_a_flood_of_details_is_cut_and_counted() -> None:
    log = Log("debug")
    for number in range(DETAILS_PER_S + 5):
        log.says(f"wasm log: {number}", level="debug", worker=0)
    log.says("wasm log: it is serious", level="error", worker=0)
    assert len(log.trace.events) == DETAILS_PER_S + 1
    assert log.of("envoy.log", "text", "left_out")[-1] == ("wasm log: it is serious", 5)


def test_envoy_is_asked_for_all_that_the_story_is_read_from() -> None:
    assert component_levels("info") == component_levels("debug") == "wasm:debug,filter:debug"
    assert component_levels("trace") == "wasm:trace,filter:debug"


def test_the_lines_of_a_message_stay_together_as_far_as_there_is_room() -> None:
    line = parse_line("1795253506.123456789 42 info wasm wasm log team-a.first: headers")
    assert line is not None
    whole = line.and_then(":path: /a").and_then("")
    assert whole == dataclasses.replace(line, text="wasm log team-a.first: headers\n:path: /a\n")
    long = line.and_then("x" * MESSAGE_CHARACTERS)
    assert len(long.text) == MESSAGE_CHARACTERS and long.text.endswith("…")
    assert long.and_then("more") is long

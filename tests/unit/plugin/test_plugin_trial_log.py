"""Reading a trial's log back: who said what, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sim.plugin.trial_log import LogEntry, read_log, reasons

NOON_S = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()


def written(folder: Path, *lines: str) -> Path:
    file = folder / "envoy.log"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_plugins_words_are_told_from_envoys(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "12:00:01.500000 17 warning wasm wasm log trial my_root: it: is so",
        "12:00:02.000000 17 info wasm wasm log: at the start",
        "12:00:03.000000 17 error wasm Wasm VM failed",
        "12:00:04.000000 17 error config no such thing",
    )
    plugin, start, vm, other = read_log(file, NOON_S)
    assert (plugin.of_plugin, plugin.shown, plugin.level, plugin.at_s) == (True, "it: is so", "warning", NOON_S + 1.5)
    assert (start.of_plugin, start.shown) == (True, "at the start")
    assert (vm.of_plugin, vm.shown, vm.is_problem) == (False, "Wasm VM failed", True)
    assert (other.about_wasm, other.is_problem) == (False, False)
    assert plugin.as_dict() == {"level": "warning", "said_by": "plugin", "text": "it: is so"}


def test_lines_that_have_no_head_belong_to_the_message_before(tmp_path: Path) -> None:
    file = written(
        tmp_path, "lost", "12:00:01.000000 17 error wasm wasm log x: panic: oh", "goroutine 1:", "\tmain.go:3"
    )
    (entry,) = read_log(file, NOON_S)
    assert entry.shown == "panic: oh\ngoroutine 1:\n\tmain.go:3"


def test_a_log_may_go_on_over_midnight(tmp_path: Path) -> None:
    started_s = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC).timestamp()
    file = written(tmp_path, "23:59:59.500000 1 info wasm a", "00:00:00.500000 1 info wasm b")
    assert [entry.at_s - started_s for entry in read_log(file, started_s)] == pytest.approx([0.5, 1.5])


def test_no_log_has_no_messages(tmp_path: Path) -> None:
    assert read_log(tmp_path / "envoy.log", NOON_S) == []
    assert LogEntry(0.0, "info", "main", "x").shown == "x"


def test_the_thread_is_kept(tmp_path: Path) -> None:
    file = written(tmp_path, "12:00:01.000000 17 debug wasm a", "12:00:01.000000 18 debug wasm b")
    assert [entry.thread for entry in read_log(file, NOON_S)] == [17, 18]


def test_a_crash_is_told_from_what_a_plugin_says() -> None:
    said = "Function: proxy_on_log failed: Uncaught RuntimeError: unreachable"
    assert LogEntry(1, "error", "wasm", said).crash == "in proxy_on_log: Uncaught RuntimeError: unreachable"
    assert LogEntry(1, "error", "wasm", f"wasm log: {said}").crash is None
    assert LogEntry(1, "error", "main", said).crash is None


def test_a_refusal_is_told_in_the_plugins_words_and_the_first_of_envoys() -> None:
    log = [
        LogEntry(1, "info", "wasm", "wasm log: hello"),
        LogEntry(2, "warning", "wasm", "wasm log: no such key"),
        LogEntry(3, "error", "wasm", "wasm log: there is no rule"),
        LogEntry(4, "error", "wasm", "Wasm VM failed"),
        LogEntry(5, "critical", "wasm", "Plugin configured to fail closed failed to load"),
    ]
    assert reasons(log) == "there is no rule; Wasm VM failed"
    assert reasons([log[1], log[3]]) == "no such key; Wasm VM failed"
    assert reasons(log[:2]) == ""

"""Envoy's log of a trial: what the plugin said, and when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

_DAY_S = 24 * 3600
#: As sim.envoy.log writes a line: time of day in UTC, thread, level, component, text.
_LINE = re.compile(r"(\d\d):(\d\d):(\d\d\.\d+) (\d+) (\w+) (\S+) (.*)")
#: What proxy-wasm-cpp-host puts before a plugin's own words: its name, root id and VM id.
_PLUGIN_SAYS = re.compile(r"wasm log(?: [^:]*)?: ?(.*)", re.DOTALL)
#: What proxy-wasm-cpp-host says when a call into the plugin trapped: its VM is gone then.
_CRASHED = re.compile(r"Function: (\S+) failed: ?(.*)", re.DOTALL)
_PROBLEMS = ("error", "critical")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A message of one or more lines. `at_s` is seconds since the epoch; `thread` is that of Envoy's which said it."""

    at_s: float
    level: str
    component: str
    text: str
    thread: int = 0

    @property
    def about_wasm(self) -> bool:
        return self.component == "wasm"

    @property
    def of_plugin(self) -> bool:
        """Whether the plugin said it, and not Envoy."""
        return self.component == "wasm" and _PLUGIN_SAYS.match(self.text) is not None

    @property
    def is_problem(self) -> bool:
        return self.about_wasm and self.level in _PROBLEMS

    @property
    def is_complaint(self) -> bool:
        return self.level == "warning" or self.is_problem

    @property
    def crash(self) -> str | None:
        """The function in which the plugin's VM crashed and why, None where the message tells of nothing like it."""
        found = None if not self.about_wasm or self.of_plugin else _CRASHED.match(self.text)
        return None if found is None else f"in {found[1]}: {found[2]}"

    @property
    def shown(self) -> str:
        """The plugin's own words, or Envoy's text."""
        found = _PLUGIN_SAYS.match(self.text)
        return found[1] if found is not None else self.text

    def as_dict(self) -> dict[str, str]:
        """Ready for JSON."""
        return {"level": self.level, "said_by": "plugin" if self.of_plugin else "envoy", "text": self.shown}


def read_log(file: Path, started_s: float) -> list[LogEntry]:
    """The messages of an `envoy.log` that was begun at `started_s`, seconds since the epoch, not a day ago."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    midnight_s = datetime.fromtimestamp(started_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    entries: list[LogEntry] = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            if entries and line:
                entries[-1] = replace(entries[-1], text=f"{entries[-1].text}\n{line}")
            continue
        hour, minute, second, thread, level, component, text = found.groups()
        at_s = midnight_s + int(hour) * 3600 + int(minute) * 60 + float(second)
        # A message from before the start is one from after midnight.
        if at_s < started_s - 1:
            at_s += _DAY_S
        entries.append(LogEntry(at_s, level, component, text, int(thread)))
    return entries


def reasons(log: Sequence[LogEntry]) -> str:
    """Why Envoy refused a plugin: the plugin's errors, and the first of Envoy's own; empty where there are none.

    The plugin's warnings count where it has no errors.
    """
    problems = [entry for entry in log if entry.is_problem]
    if not problems:
        return ""
    # Envoy goes on to say that the code, the plugin and the configuration failed.
    telling = [entry for entry in log if entry.of_plugin and entry.is_problem]
    telling = telling or [entry for entry in log if entry.of_plugin and entry.is_complaint]
    telling += [entry for entry in problems if not entry.of_plugin][:1]
    return "; ".join(dict.fromkeys(entry.shown for entry in telling))

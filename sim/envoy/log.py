"""Envoy's log, line by line: when, by whom, about what."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

#: What Envoy is told by --log-format: seconds and nanoseconds of the wall clock, thread, level, component, text.
LOG_FORMAT = "%E.%F %t %l %n %v"
#: From which level on a plugin's own words are events of the trace.
WasmLogLevel = Literal["trace", "debug", "info"]
#: A longer message is cut in the trace, not in envoy.log.
MESSAGE_CHARACTERS = 16_384

_LINE = re.compile(
    r"(?P<s>\d{9,})\.(?P<ns>\d{9}) (?P<thread>\d+) (?P<level>\w+) (?P<component>\S+) (?P<text>.*)", re.DOTALL
)
_FILTER_CONFIG = re.compile(
    r"Updat(?:ed|ing) filter config (?P<name>\S+) (?P<what>accepted, posting to workers|created, warming done|failed)"
)


def component_levels(wasm: WasmLogLevel) -> str:
    """What Envoy is told by --component-log-level: to tell of Wasm code, of workers, and which plugin is taken up."""
    return f"wasm:{'trace' if wasm == 'trace' else 'debug'},filter:debug"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A message in our format. `wall_ns` is nanoseconds since the epoch; `text` may have several lines."""

    wall_ns: int
    thread: int
    level: str
    component: str
    text: str

    @property
    def base_created(self) -> bool:
        """The module is being compiled, on the main thread."""
        return self.component == "wasm" and "Base Wasm created" in self.text

    @property
    def thread_local_created(self) -> bool:
        """A thread has the module's VM."""
        return self.component == "wasm" and "Thread-Local Wasm created" in self.text

    @property
    def main_loop_starts(self) -> bool:
        """The bootstrap is done with; what comes over xDS comes from now on."""
        return self.component == "main" and "starting main dispatch loop" in self.text

    @property
    def filter_config(self) -> tuple[str, Literal["taken up", "done", "failed"]] | None:
        """Which filter's configuration the main thread takes up, or has done with, and how."""
        found = _FILTER_CONFIG.match(self.text) if self.component == "filter" else None
        if found is None:
            return None
        match found["what"].partition(",")[0]:
            case "accepted":
                return found["name"], "taken up"
            case "created":
                return found["name"], "done"
        return found["name"], "failed"

    @property
    def active_vms(self) -> int | None:
        """How many VMs the line says there are now."""
        found = re.search(r"(\d+) now active", self.text)
        return int(found.group(1)) if found else None

    def and_then(self, continuation: str) -> LogLine:
        """The message with one more of its lines, as far as there is room."""
        if len(self.text) >= MESSAGE_CHARACTERS:
            return self
        text = f"{self.text}\n{continuation}"
        return replace(self, text=text if len(text) < MESSAGE_CHARACTERS else f"{text[: MESSAGE_CHARACTERS - 1]}…")

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.wall_ns / 1e9, UTC).strftime("%H:%M:%S.%f")
        return f"{at} {self.thread} {self.level} {self.component} {self.text}"


def parse_line(text: str) -> LogLine | None:
    """The line's parts; None for a line of another form, such as the second of a message of several."""
    found = _LINE.match(text)
    if found is None:
        return None
    return LogLine(
        wall_ns=int(found["s"]) * 1_000_000_000 + int(found["ns"]),
        thread=int(found["thread"]),
        level=found["level"],
        component=found["component"],
        text=found["text"],
    )

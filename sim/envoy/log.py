"""Envoy's log, line by line: which lines are events of the trace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

#: What Envoy is told by --log-format: seconds and nanoseconds of the wall clock, thread, level, component, text.
LOG_FORMAT = "%E.%F %t %l %n %v"
#: And by --component-log-level: the lines that tell of Wasm code and of workers.
COMPONENT_LEVELS = "wasm:debug"

_LINE = re.compile(r"(?P<s>\d{9,})\.(?P<ns>\d{9}) (?P<thread>\d+) (?P<level>\w+) (?P<component>\S+) (?P<text>.*)")
_CREATED = re.compile(r"(?P<what>Base Wasm created|Thread-Local Wasm created) (?P<vms>\d+) now active", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line in our format. `wall_ns` is nanoseconds since the epoch."""

    wall_ns: int
    thread: int
    level: str
    component: str
    text: str

    @property
    def base_created(self) -> bool:
        """The module was compiled, on the main thread."""
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
    def active_vms(self) -> int | None:
        """How many VMs the line says there are now."""
        found = re.search(r"(\d+) now active", self.text)
        return int(found.group(1)) if found else None

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

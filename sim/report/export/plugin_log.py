"""What plugins said, and what Envoy said of them: the lines of Envoy's log that the trace has."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.report.phrases import clean
from sim.trace import Event
from sim.trace.plugin_words import own_words

#: As Envoy (spdlog) orders them; what is below `info` is in the trace where the scenario asked for it (`wasm_log`).
LEVELS = ("trace", "debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class LogLine:
    """`plugin` is `namespace/name`, None where the line does not tell; `worker` is None on Envoy's main thread."""

    t_ns: int
    after_ms: float
    level: str
    text: str
    said_by: Literal["plugin", "envoy"]
    plugin: str | None = None
    worker: int | None = None
    gateway: str | None = None
    #: How many lines of details before it the trace has not, because there were too many.
    left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "t_ns": self.t_ns,
            "after_ms": self.after_ms,
            "level": self.level,
            "plugin": self.plugin,
            "said_by": self.said_by,
            "gateway": self.gateway,
            "worker": self.worker,
            "text": self.text,
            **({"left_out": self.left_out} if self.left_out else {}),
        }

    def to_text(self) -> str:
        """Harmless to a terminal; the second and further lines of a message are indented."""
        thread = "main" if self.worker is None else f"worker {self.worker}"
        place = f"{self.gateway} {thread}" if self.gateway is not None else thread
        said = self.text if self.said_by == "plugin" else f"[envoy] {self.text}"
        head, *rest = said.split("\n")
        first = f"+{self.after_ms / 1000:.3f}s {self.level:<8} {self.plugin or '-'} {place}: {head}"
        missing = [f"    ({self.left_out} lines before this one are in envoy.log alone)"] if self.left_out else []
        return "\n".join([*missing, clean(first), *(f"    {clean(line)}" for line in rest)])


@dataclass(slots=True)
class PluginLog:
    """Takes events in their order and gives the lines among them. `plugins` and `gateways` are those seen so far."""

    plugins: set[str] = field(default_factory=set)
    gateways: set[str] = field(default_factory=set)
    latest_ns: int = 0
    _first_ns: int | None = None
    #: Those that each gateway's agent has handled.
    _held: dict[str | None, set[str]] = field(default_factory=dict)

    def take(self, events: Iterable[Event]) -> list[LogLine]:
        return [line for event in events if (line := self._take(event)) is not None]

    def _take(self, event: Event) -> LogLine | None:
        if self._first_ns is None:
            self._first_ns = event.t_ns
        self.latest_ns = max(self.latest_ns, event.t_ns)
        gateway = event.data.get("gateway")
        if event.plugin is not None:
            self.plugins.add(event.plugin)
        if event.part == "agent":
            if gateway is not None:
                self.gateways.add(gateway)
            if event.plugin is not None:
                self._held.setdefault(gateway, set()).add(event.plugin)
        if event.event != "envoy.log":
            return None
        text = str(event.data.get("text", ""))
        found = own_words(text) if "component" not in event.data else None
        plugin = event.plugin
        if plugin is None:
            plugin = self._named(found[0]) if found is not None else self._mentioned(text)
        if plugin is None and (found is None or found[0] is None):
            if "component" in event.data:
                return None
            # The VM's own complaints name nobody; with one plugin there is no doubt.
            there = self._held.get(gateway) or self.plugins
            plugin = next(iter(there)) if len(there) == 1 else None
        return LogLine(
            t_ns=event.t_ns,
            after_ms=round((event.t_ns - self._first_ns) / 1e6, 3),
            level=str(event.data.get("level", "")),
            text=found[1] if found is not None else text,
            said_by="envoy" if found is None else "plugin",
            plugin=plugin,
            worker=event.data.get("worker"),
            gateway=gateway,
            left_out=int(event.data.get("left_out", 0)),
        )

    def _named(self, name: str | None) -> str | None:
        """`namespace/name` of Envoy's `namespace.name`; a namespace has no dot."""
        if name is None:
            return None
        namespace, dot, rest = name.partition(".")
        plugin = f"{namespace}/{rest}" if dot else name
        self.plugins.add(plugin)
        return plugin

    def _mentioned(self, text: str) -> str | None:
        words = set(re.findall(r"[\w.-]+", text))
        return next((each for each in sorted(self.plugins) if each.replace("/", ".", 1) in words), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are shown; None is no condition. `plugin` is `namespace/name`, `namespace.name` or the name alone."""

    plugin: str | None = None
    level: str = "info"
    worker: int | None = None
    gateway: str | None = None
    since_ns: int = 0

    def shows(self, line: LogLine) -> bool:
        return (
            line.t_ns >= self.since_ns
            and (line.level not in LEVELS or LEVELS.index(line.level) >= LEVELS.index(self.level))
            and self.worker in (None, line.worker)
            and self.gateway in (None, line.gateway)
            and (self.plugin is None or (line.plugin is not None and self.names(line.plugin)))
        )

    def names(self, plugin: str) -> bool:
        return self.plugin in (plugin, plugin.replace("/", ".", 1), plugin.rpartition("/")[2])

    def check(self, log: PluginLog) -> None:
        """Raises InvalidInput when the run has no such plugin or gateway."""
        if self.plugin is not None and not any(map(self.names, log.plugins)):
            known = ", ".join(sorted(log.plugins)) or "none"
            raise InvalidInput(f"this run has no plugin {self.plugin}", hint=f"its plugins: {known}")
        if self.gateway is not None and self.gateway not in log.gateways:
            known = ", ".join(sorted(log.gateways))
            hint = f"its gateways: {known}" if known else "it has one, which needs no --gateway"
            raise InvalidInput(f"this run has no gateway {self.gateway}", hint=hint)


class TraceTail:
    """A trace.jsonl that may still be written: each `read` gives the events of the lines completed since the last."""

    def __init__(self, directory: Path) -> None:
        """Raises InvalidInput when there is no trace in the directory."""
        self._file = directory / "trace.jsonl"
        self._result = directory / "result.json"
        self._position = 0
        self._lines = 0
        if not self._file.is_file():
            raise InvalidInput(
                "this is no run: there is no trace.jsonl in it",
                where=Location(str(directory)),
                hint="name a run directory, such as runs/tag-bump-…",
            )

    @property
    def over(self) -> bool:
        """Whether the trace is complete: what a run writes last is there, or its process is gone."""
        return self._result.is_file() or not self._is_being_written()

    def _is_being_written(self) -> bool:
        """Whoever writes a trace has it locked, and a process that is killed loses its locks."""
        try:
            with self._file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            # Locked; or the file system knows no locks, and nothing can be told.
            return True
        return False

    def read(self) -> list[Event]:
        """Raises InvalidInput for a line that is no event, EnvironmentProblem when the file can't be read."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                complete, _, _ = file.read().rpartition(b"\n")
        except OSError as error:
            raise EnvironmentProblem(f"can't read {self._file}: {error.strerror}", hint="was it removed?") from error
        if not complete:
            return []
        self._position += len(complete) + 1
        return list(self._events(complete))

    def _events(self, lines: bytes) -> Iterator[Event]:
        for line in lines.split(b"\n"):
            self._lines += 1
            try:
                yield Event.from_dict(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InvalidInput(
                    f"this is no event: {error!r}",
                    where=Location(str(self._file), self._lines),
                    hint="was the run made by another version of ecdsim?",
                ) from error


def newest_run(parent: Path) -> Path:
    """The run directory in `parent` whose trace was written to last.

    Raises InvalidInput when there is none.
    """
    traces = [trace for trace in parent.glob("*/trace.jsonl") if trace.is_file()]
    if not traces:
        raise InvalidInput(f"there is no run in {parent}/", hint="run a scenario, or name a run directory")
    return max(traces, key=lambda trace: trace.stat().st_mtime_ns).parent

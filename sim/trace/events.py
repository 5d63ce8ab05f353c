"""One event of the trace and what it may carry. The names are `<part>.<operation>`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

SpanState = Literal["started", "completed", "failed"]

#: Fields that stand at the top of a trace line, in this order, where they apply.
FIELDS = ("node_id", "type_url", "version_info", "nonce", "resource", "plugin", "image")


@dataclass(frozen=True, slots=True)
class Payload:
    """What crossed a hop. `render` turns it into JSON-ready data, later, off the measured path."""

    render: Callable[[], Any]


@dataclass(slots=True)
class Event:
    """One line of the trace. `t_ns` is on CLOCK_MONOTONIC; `data` holds what only this event knows."""

    t_ns: int
    event: str
    span: SpanState | None = None
    span_id: int | None = None
    node_id: str | None = None
    type_url: str | None = None
    version_info: str | None = None
    nonce: str | None = None
    resource: str | None = None
    plugin: str | None = None
    image: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    payloads: dict[str, Payload] = field(default_factory=dict)
    #: Position in its trace, from 0.
    seq: int = -1

    @property
    def part(self) -> str:
        return self.event.partition(".")[0]

    def as_dict(self, payload_refs: dict[str, str] | None = None) -> dict[str, Any]:
        """The trace line: `t_ns part event`, then what is set. `payload_refs` maps a payload's role to its hash."""
        line: dict[str, Any] = {"t_ns": self.t_ns, "part": self.part, "event": self.event}
        if self.span is not None:
            line["span"] = self.span
            line["span_id"] = self.span_id
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None:
                line[name] = value
        if self.data:
            line["data"] = self.data
        if payload_refs:
            line["payloads"] = payload_refs
        return line

    @classmethod
    def from_dict(cls, line: dict[str, Any]) -> Event:
        """Read a trace line back; payloads stay behind as references in `data["payloads"]`."""
        data = dict(line.get("data", {}))
        if "payloads" in line:
            data["payloads"] = line["payloads"]
        event = cls(
            t_ns=line["t_ns"],
            event=line["event"],
            span=line.get("span"),
            span_id=line.get("span_id"),
            data=data,
        )
        for name in FIELDS:
            setattr(event, name, line.get(name))
        return event

"""What took time in a trace: spans with beginning and end, and requests of the registry, which tell their length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.trace import Event


@dataclass(frozen=True, slots=True)
class Interval:
    """`event` is the last one known of it: of a span its end, or its beginning where it never ended (`open`)."""

    event: Event
    start_ns: int
    end_ns: int
    open: bool = False

    @property
    def failed(self) -> bool:
        return self.event.span == "failed"


def intervals(events: Sequence[Event]) -> list[Interval]:
    """All of a trace, in the order of their beginnings. What never ended goes on to the trace's last event."""
    last_ns = max((event.t_ns for event in events), default=0)
    begun: dict[tuple[str, int | None], Event] = {}
    found = []
    for event in events:
        key = (event.event, event.span_id)
        if event.span == "started":
            begun[key] = event
        elif event.span is not None:
            start = begun.pop(key, event)
            found.append(Interval(event, start.t_ns, max(start.t_ns, event.t_ns)))
        elif event.event == "registry.request":
            found.append(_request(event))
    found += [Interval(event, event.t_ns, max(event.t_ns, last_ns), open=True) for event in begun.values()]
    return sorted(found, key=lambda interval: (interval.start_ns, -interval.end_ns))


def _request(event: Event) -> Interval:
    took_ns = round(float(event.data.get("duration_ms", 0)) * 1e6)
    return Interval(event, event.t_ns - took_ns, event.t_ns)

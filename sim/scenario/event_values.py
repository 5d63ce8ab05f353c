"""The trace as expectations see it: `events("agent.fetch")` is a list of maps, and what is in them.

`events(pattern)` gives every event whose name matches, in the order of the trace; `*` stands for anything. An operation
is told by its end alone, be it `completed` or `failed`, so that `events("agent.fetch").size()` counts pulls; one that
never ended is not among them. `events(pattern, span)` gives only those whose `span` is `started`, `completed` or
`failed`.

Each event has every field of `TraceEvent`, null where it says nothing, its own fields under `data`, and what crossed
the hop under `payloads`, as JSON: `before`, `after`, `sent`, `forwarded` or `delivered`, null where it has no such.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, create_model

from sim.model import short_name
from sim.scenario.problems import suggestion
from sim.trace import Event, SpanState
from sim.trace.events import FIELDS
from sim.trace.names import COMMON, EVENTS

#: The function's name in expressions.
FUNCTION = "events"
SPANS: tuple[str, ...] = get_args(SpanState)
PARTS: tuple[str, ...] = tuple(dict.fromkeys(name.partition(".")[0] for name in EVENTS))

#: Gives the events that match a name and, if one is named, a span.
Lookup = Callable[[str, str | None], "Matched"]


class TraceEvent(BaseModel):
    """What every event is asked for in an expression. `type` is `type_url` in short: `ECDS`, `LDS`, `WasmPlugin`."""

    t_ns: int
    part: str
    event: str
    span: SpanState | None
    node_id: str | None
    type_url: str | None
    type: str | None
    version_info: str | None
    nonce: str | None
    resource: str | None
    plugin: str | None
    image: str | None
    payloads: Any


class Payloads(Mapping[str, Any]):
    """What an event carries, by role. Each is rendered when it is first asked for: few ever are."""

    def __init__(self, origin: Event) -> None:
        self._origin = origin
        self._rendered: dict[str, Any] = {}

    def __getitem__(self, role: str) -> Any:
        if role not in self._rendered:
            self._rendered[role] = _json_ready(self._origin.payloads[role].render())
        return self._rendered[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._origin.payloads)

    def __len__(self) -> int:
        return len(self._origin.payloads)


class EventValue(dict[str, Any]):
    """An event's fields, and the event itself."""

    __slots__ = ("origin",)

    def __init__(self, origin: Event) -> None:
        from sim.scenario.cel import Nullable

        super().__init__(
            t_ns=origin.t_ns,
            part=origin.part,
            event=origin.event,
            span=origin.span,
            type=None if origin.type_url is None else short_name(origin.type_url),
            **{name: getattr(origin, name) for name in FIELDS},
            data=Nullable({key: _json_ready(value) for key, value in origin.data.items()}),
            payloads=Payloads(origin),
        )
        self.origin = origin


class Matched(list[EventValue]):
    """What `events(…)` gave, or what a condition `narrowed` it to."""

    narrowed = False

    def only(self, holds: Callable[[EventValue], bool]) -> Matched:
        """Those for which it holds."""
        made = Matched(event for event in self if holds(event))
        made.narrowed = True
        return made


def lookup_in(events: Sequence[Event]) -> Lookup:
    """The function `events` over a trace; what was looked up once is not searched for again."""

    @lru_cache(maxsize=64)
    def look_up(pattern: str, span: str | None = None) -> Matched:
        return Matched(
            EventValue(event)
            for event in events
            if fnmatch.fnmatchcase(event.event, pattern)
            and (event.span != "started" if span is None else event.span == span)
        )

    return look_up


def cel_function(look_up: Lookup) -> Callable[..., Any]:
    """The same as a function for CEL, with its values in celpy's types."""
    from sim.scenario.cel import to_cel

    @lru_cache(maxsize=64)
    def give(pattern: str, span: str | None) -> Any:
        return to_cel(look_up(pattern, span))

    return lambda pattern, span=None: give(str(pattern), None if span is None else str(span))


def unknown_event(pattern: str) -> tuple[str, str] | None:
    """What is wrong with a pattern that no event's name matches, and what may have been meant."""
    if _names(pattern):
        return None
    part = pattern.partition(".")[0]
    own = [name for name in EVENTS if name.startswith(f"{part}.")]
    if own:
        return f"there is no event {pattern}", suggestion(pattern, own, f"events of {part} are {', '.join(own)}")
    known = f"write part.operation, such as agent.fetch or envoy.*; parts are {', '.join(PARTS)}"
    return f"there is no event {pattern}", suggestion(pattern, EVENTS, known)


def wrong_arguments(arguments: Sequence[Any]) -> tuple[str, str] | None:
    """What is wrong with the arguments of `events(…)`, given as literals, None for one that is none; and a hint."""
    if not 1 <= len(arguments) <= 2 or not all(isinstance(argument, str) for argument in arguments):
        return (
            "events() takes the name of an event in quotes and, if only these are meant, a span",
            f'write events("agent.fetch"), events("envoy.*") or events("agent.fetch", "failed"); '
            f"spans are {', '.join(SPANS)}",
        )
    if len(arguments) == 2 and arguments[1] not in SPANS:
        return f"there is no span {arguments[1]}", suggestion(arguments[1], SPANS, f"spans are {', '.join(SPANS)}")
    return unknown_event(arguments[0])


def event_type(pattern: str) -> type[BaseModel]:
    """`TraceEvent` with the fields that `data` has in events of these names."""
    return _event_type(_names(pattern))


@lru_cache(maxsize=64)
def _event_type(names: tuple[str, ...]) -> type[BaseModel]:
    fields: dict[str, Any] = dict.fromkeys(COMMON, (Any, None))
    for name in names:
        own = EVENTS[name]
        if own is None:
            return create_model("OpenEvent", __base__=TraceEvent, data=(Any, None))
        fields |= dict.fromkeys(own, (Any, None))
    return create_model("NamedEvent", __base__=TraceEvent, data=(create_model("Data", **fields), ...))


def _names(pattern: str) -> tuple[str, ...]:
    return tuple(name for name in EVENTS if fnmatch.fnmatchcase(name, pattern))


def _json_ready(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_ready(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_json_ready(item) for item in value]
    return str(value)

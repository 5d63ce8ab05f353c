"""The append-only trace of a run: parts emit, anyone may wait for or look back at what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from sim.clock import Clock, SystemClock
from sim.trace.events import Event, Payload, SpanState

Predicate = Callable[[Event], bool]


class Span:
    """An operation with a beginning and an end; `with` closes it, as failed when an exception passes."""

    def __init__(self, trace: Trace, event: str, span_id: int, fields: dict[str, Any]) -> None:
        self._trace = trace
        self._event = event
        self._span_id = span_id
        self._fields = fields
        self._closed = False

    def add(self, **fields: Any) -> None:
        """Fields known only now; they appear on the closing event."""
        self._fields.update(fields)

    def complete(self, **fields: Any) -> Event:
        return self._close("completed", fields)

    def fail(self, error: str, **fields: Any) -> Event:
        return self._close("failed", {**fields, "error": error})

    def _close(self, state: SpanState, fields: dict[str, Any]) -> Event:
        self._closed = True
        return self._trace.emit(self._event, span=state, span_id=self._span_id, **{**self._fields, **fields})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._closed:
            return
        if error is None:
            self.complete()
        else:
            self.fail(str(error) or type(error).__name__)


class Trace:
    """Events in the order of their arrival. Not thread-safe: emit from the event loop's thread.

    Without `keep` the listeners hear of events and nobody can look back: for a part that runs for weeks.
    """

    def __init__(self, clock: Clock | None = None, *, keep: bool = True) -> None:
        self.clock: Clock = clock or SystemClock()
        self._keep = keep
        self._emitted = 0
        self.events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._next_span = 1

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def emit(
        self,
        event: str,
        *,
        t_ns: int | None = None,
        span: SpanState | None = None,
        span_id: int | None = None,
        node_id: str | None = None,
        type_url: str | None = None,
        version_info: str | None = None,
        nonce: str | None = None,
        resource: str | None = None,
        plugin: str | None = None,
        image: str | None = None,
        payloads: dict[str, Payload] | None = None,
        **data: Any,
    ) -> Event:
        """Append an event that happened now (or at `t_ns`, elsewhere) and tell the listeners.

        What is None is left out.
        """
        made = Event(
            t_ns=self.clock.monotonic_ns() if t_ns is None else t_ns,
            event=event,
            span=span,
            span_id=span_id,
            node_id=node_id,
            type_url=type_url,
            version_info=version_info,
            nonce=nonce,
            resource=resource,
            plugin=plugin,
            image=image,
            data={key: value for key, value in data.items() if value is not None},
            payloads=payloads or {},
            seq=self._emitted,
        )
        self._emitted += 1
        if self._keep:
            self.events.append(made)
        for listener in tuple(self._listeners):
            listener(made)
        return made

    def tagged(self, **tags: Any) -> Trace:
        """The same trace for somebody whose events all carry these further fields of `data`."""
        return _Tagged(self, tags)

    def span(self, event: str, **fields: Any) -> Span:
        """Emit `started` and give the handle that closes it."""
        span_id = self._next_span
        self._next_span += 1
        started = dict(fields)
        self.emit(event, span="started", span_id=span_id, **started)
        return Span(self, event, span_id, fields)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` for every later event; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def find(self, predicate: Predicate, since: int = 0) -> Event | None:
        """The first event from position `since` on that `predicate` accepts."""
        return next((event for event in self.events[since:] if predicate(event)), None)

    async def wait_for(self, predicate: Predicate, since: int = 0) -> Event:
        """The first event, past (from position `since`) or to come, that `predicate` accepts."""
        found = self.find(predicate, since)
        if found is not None:
            return found
        arrived: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def check(event: Event) -> None:
            if not arrived.done() and predicate(event):
                arrived.set_result(event)

        stop = self.listen(check)
        try:
            return await arrived
        finally:
            stop()


class _Tagged(Trace):
    """A trace that belongs to another, and adds to what is emitted."""

    def __init__(self, whole: Trace, tags: dict[str, Any]) -> None:
        super().__init__(whole.clock)
        self._whole = whole
        self._tags = tags
        # One list for all: whoever looks back sees the whole trace.
        self.events = whole.events

    def emit(self, event: str, **fields: Any) -> Event:
        return self._whole.emit(event, **self._tags, **fields)

    def span(self, event: str, **fields: Any) -> Span:
        return self._whole.span(event, **self._tags, **fields)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        return self._whole.listen(listener)

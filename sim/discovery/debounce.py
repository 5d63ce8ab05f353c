"""istiod's debounce: wait for quiet, but not for ever, and one push at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sim.trace import Span, Trace


@dataclass(frozen=True, slots=True)
class DebounceTimes:
    """`PILOT_DEBOUNCE_AFTER` and `PILOT_DEBOUNCE_MAX`, in seconds."""

    after_s: float = 0.1
    max_s: float = 10.0


#: A loop's timer may come this much too early.
_ROUNDING_S = 1e-5


class Debounce:
    """Gathers changed kinds; calls `push` with them once nothing came for `after_s`, or after `max_s`.

    `prepare` is called after each change, with the kinds so far, for work that fits into the waiting: what it does
    must show nowhere before `push`. Imitates istiod's `debounce` (pilot/pkg/xds/discovery.go). The timing is the
    event loop's.
    """

    def __init__(
        self,
        times: DebounceTimes,
        push: Callable[[frozenset[str]], None],
        trace: Trace,
        prepare: Callable[[frozenset[str]], None] | None = None,
    ) -> None:
        self._times = times
        self._push = push
        self._prepare = prepare
        self._trace = trace
        self._kinds: set[str] = set()
        self._events = 0
        self._first_s = 0.0
        self._last_s = 0.0
        self._span: Span | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._preparing: asyncio.Handle | None = None

    def changed(self, kind: str) -> None:
        """Note a change; the push follows."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._events:
            self._first_s = now
            self._span = self._trace.span("discovery.debounce")
        self._events += 1
        self._last_s = now
        self._kinds.add(kind)
        if self._timer is None:
            self._timer = loop.call_later(self._times.after_s, self._look)
        if self._prepare is not None and self._preparing is None:
            # Not at once: who reported the change has its own answer to send first.
            self._preparing = loop.call_soon(self._run_prepare)

    def _run_prepare(self) -> None:
        self._preparing = None
        if self._prepare is not None and self._events:
            self._prepare(frozenset(self._kinds))

    def _look(self) -> None:
        """Push, or wait for the rest of the quiet. As in istiod the maximum counts only at these moments."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        quiet_s = now - self._last_s
        if quiet_s >= self._times.after_s - _ROUNDING_S or now - self._first_s >= self._times.max_s - _ROUNDING_S:
            self._fire()
        else:
            self._timer = loop.call_later(self._times.after_s - quiet_s, self._look)

    def _fire(self) -> None:
        kinds, events, span = frozenset(self._kinds), self._events, self._span
        self._kinds.clear()
        self._events, self._span, self._timer = 0, None, None
        if span is not None:
            span.complete(changes=events, kinds=sorted(kinds))
        self._push(kinds)

    def close(self) -> None:
        """Forget what waits."""
        for handle in (self._timer, self._preparing):
            if handle is not None:
                handle.cancel()
        self._timer = self._preparing = None

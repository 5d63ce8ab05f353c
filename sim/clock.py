"""Time, injected: CLOCK_MONOTONIC in nanoseconds everywhere, so that processes share one axis."""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a part may ask of time."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on CLOCK_MONOTONIC, the axis of the trace."""
        ...

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def now(self) -> datetime:
        return datetime.now(UTC)


class SkewedClock:
    """The machine's clocks plus an offset that only `advance` changes: a day passes when a test says so."""

    def __init__(self) -> None:
        self._offset_ns = 0

    def advance(self, seconds: float) -> None:
        """Move forward; time never goes back, so a negative value is refused."""
        if seconds < 0:
            raise ValueError("a clock can't be moved backwards")
        self._offset_ns += round(seconds * 1e9)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self._offset_ns / 1e9, UTC)


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are good to microseconds, for a process with few open files.

    epoll's timers are rounded up to whole milliseconds, which a debounce of one millisecond can't bear. select takes
    no file descriptor from 1,024 on; a run opens some dozens.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())

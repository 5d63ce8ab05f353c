"""The synchronous form of a run, for tests that are no coroutines: it goes on in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

from sim.errors import InvalidInput, SimError
from sim.pytest_plugin.failures import ExpectationsFailed
from sim.pytest_plugin.live_run import DrivenRun, Held, LiveRun, Work
from sim.pytest_plugin.loop_thread import LoopThread
from sim.pytest_plugin.opening import OpenRun

_T = TypeVar("_T")

#: pytest leaves the frames of this module out of tracebacks: they tell a test's author nothing.
__tracebackhide__ = True


class BlockingRun(DrivenRun[None]):
    """An open run, in a test that is a plain function: `run.bump(tag="2.0.0")` returns when it is done."""

    def __init__(self, held: Held, thread: LoopThread[LiveRun]) -> None:
        super().__init__(held)
        self._thread = thread

    def _do(self, work: Work) -> None:
        try:
            self._thread.carry_out(work)
        except (SimError, ExpectationsFailed) as error:
            raise error.with_traceback(None) from error.__cause__

    def _look(self, read: Callable[[], _T]) -> _T:
        async def reading() -> _T:
            return read()

        return self._thread.carry_out(reading())


class OpenBlockingRun(AbstractContextManager[BlockingRun]):
    """As `OpenRun`, entered and left by `with`."""

    def __init__(self, run: OpenRun) -> None:
        self._thread = LoopThread(run)
        self._run = run

    def __enter__(self) -> BlockingRun:
        if _in_a_loop():
            raise InvalidInput(
                "this test runs in an event loop, which would stand still", hint="write `async with ecdsim(…) as run:`"
            )
        try:
            self._thread.enter()
        except SimError as error:
            raise error.with_traceback(None) from None
        return BlockingRun(self._run.held, self._thread)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = self._thread.leave(error)
        if error is not None:
            # It was raised once more over there; here it is told from where the test raised it.
            error.__traceback__ = trace
        if ending is None or ending is error or isinstance(ending, asyncio.CancelledError):
            return
        raise ending.with_traceback(None)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""An asynchronous context manager that is entered, driven and left from a thread without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypeVar

from sim.clock import precise_loop

Entered = TypeVar("Entered")
_T = TypeVar("_T")

#: pytest leaves the frames of this module out of tracebacks: they tell a test's author nothing.
__tracebackhide__ = True

#: What can only be raised where it happened; a loop that is given one of these would end without order.
_INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class LoopThread(Generic[Entered]):
    """A thread with an event loop, in which one task enters a context, does what it is told in it, and leaves it.

    One task does all of it: where a task group of the context's cancels whoever is inside, that is the task that a
    caller waits for. Once the task has ended by itself, every call raises what it ended with.
    """

    def __init__(self, context: AbstractAsyncContextManager[Entered]) -> None:
        self._context = context
        self._entered: Future[Entered] = Future()
        self._ended: Future[None] = Future()
        self._begun = threading.Event()
        #: The latest answer that a caller has waited for.
        self._awaited: Future[Any] | None = None
        self._thread = threading.Thread(target=self._main, name="ecdsim-run")
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None] | None = None
        self._orders: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]] | BaseException | None]

    def enter(self) -> Entered:
        """Start the thread and enter the context. Raises what entering does; then nothing is left."""
        self._thread.start()
        try:
            return self._first(self._entered)
        except BaseException:
            self._interrupt()
            self._thread.join()
            raise

    def carry_out(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have the task do this, and wait for it. Raises what it does."""
        answer: Future[_T] = Future()
        self._awaited = answer

        async def order() -> None:
            try:
                value = await work
            except Exception as error:  # noqa: BLE001  whatever it is, the caller gets it
                answer.set_exception(error)
            else:
                answer.set_result(value)

        self._tell(order)
        try:
            return self._first(answer)
        finally:
            if self._ended.done():
                # It may never have begun.
                work.close()

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Leave the context with this error, or none; what the task has ended with, which may be the same."""
        cut_short = self._awaited is not None and not self._awaited.done()
        if cut_short or isinstance(error, _INTERRUPTS):
            # Whoever waited did so no longer, because of a signal or a time-out: then the task shall not go on, either.
            self._interrupt()
        else:
            self._tell(error)
        self._thread.join()
        return self._ended.exception()

    def _tell(self, order: Callable[[], Coroutine[Any, Any, None]] | BaseException | None) -> None:
        # A loop that has ended in this very moment is told nothing; whoever waits finds out.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._orders.put_nowait, order)

    def _first(self, answer: Future[_T]) -> _T:
        either: list[Future[Any]] = [answer, self._ended]
        wait(either, return_when=FIRST_COMPLETED)
        if not answer.done():
            ending = self._ended.exception()
            raise ending if ending is not None else RuntimeError("the run has ended")
        return answer.result()

    def _interrupt(self) -> None:
        self._begun.wait()
        if self._task is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=precise_loop) as runner:
                runner.run(self._own())
        except BaseException as error:  # noqa: BLE001  the thread that waits for it raises it
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        finally:
            self._begun.set()

    async def _own(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._orders = asyncio.Queue()
        self._begun.set()
        async with self._context as entered:
            self._entered.set_result(entered)
            while (order := await self._orders.get()) is not None:
                if isinstance(order, BaseException):
                    raise order
                await order()

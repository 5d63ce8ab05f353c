"""A context that is entered, driven and left from a thread that has no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sim.pytest_plugin.loop_thread import LoopThread


class Stage:
    """A context that remembers how it was left, and cancels whoever is inside when something of it dies."""

    def __init__(self) -> None:
        self.left_by: list[BaseException | None] = []
        self.task: asyncio.Task[object] | None = None
        self.inside = threading.Event()
        self.die = asyncio.Event()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[Stage]:
        self.task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as tasks:
                dying = tasks.create_task(self._die())
                try:
                    yield self
                finally:
                    dying.cancel()
        except BaseException as error:
            self.left_by.append(error)
            raise
        self.left_by.append(None)

    async def _die(self) -> None:
        await self.die.wait()
        raise OSError("dead")

    async def doubled(self, number: int) -> int:
        assert asyncio.current_task() is self.task
        return 2 * number

    async def fail(self) -> None:
        raise ValueError("no")

    async def for_ever(self) -> None:
        self.inside.set()
        await asyncio.Event().wait()

    async def kill(self) -> None:
        self.die.set()


def test_everything_happens_in_the_task_that_entered() -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    assert thread.enter() is stage
    assert thread.carry_out(stage.doubled(21)) == 42
    assert thread.leave(None) is None
    assert stage.left_by == [None]
    assert not any(each.name == "ecdsim-run" for each in threading.enumerate())


def test_what_is_raised_over_there_is_raised_here_and_the_context_stays_open() -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    thread.enter()
    with pytest.raises(ValueError, match=r"^no$"):
        thread.carry_out(stage.fail())
    assert thread.carry_out(stage.doubled(1)) == 2
    assert thread.leave(None) is None


def test_what_ends_the_task_is_raised_by_who_waits_and_by_every_call_after() -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    thread.enter()
    thread.carry_out(stage.kill())
    for work in (stage.for_ever(), stage.doubled(1)):
        with pytest.raises(ExceptionGroup) as raised:
            thread.carry_out(work)
        assert raised.group_contains(OSError, match="dead")
    assert thread.leave(raised.value) is raised.value


def test_an_error_of_the_callers_leaves_the_context_with_that_error() -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    thread.enter()
    mine = KeyError("mine")
    thread.leave(mine)
    (group,) = stage.left_by
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions == (mine,)


def test_an_interrupt_cancels_what_is_under_way() -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    thread.enter()
    assert isinstance(thread.leave(KeyboardInterrupt()), asyncio.CancelledError)
    assert isinstance(stage.left_by[0], asyncio.CancelledError)


def test_work_that_nobody_waits_for_any_more_does_not_hold_up_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    thread = LoopThread(stage.entered())
    thread.enter()
    late = TimeoutError("as a signal raises it in the thread that waits")

    def given_up(*_: object, **__: object) -> None:
        stage.inside.wait()
        raise late

    monkeypatch.setattr("sim.pytest_plugin.loop_thread.wait", given_up)
    with pytest.raises(TimeoutError):
        thread.carry_out(stage.for_ever())
    assert isinstance(thread.leave(late), asyncio.CancelledError)


def test_entering_raises_what_it_does_and_leaves_no_thread() -> None:
    @asynccontextmanager
    async def refusing() -> AsyncIterator[None]:
        raise OSError("no")
        yield

    with pytest.raises(OSError, match=r"^no$"):
        LoopThread(refusing()).enter()
    assert not any(each.name == "ecdsim-run" for each in threading.enumerate())

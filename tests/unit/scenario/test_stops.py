"""Step mode by itself: who is held where, and what goes on when."""

from __future__ import annotations

import asyncio

from sim.scenario.stops import LAST, Stops
from sim.trace import Trace


def stops() -> Stops:
    made = Stops()
    made.trace = Trace()
    made.on = True
    return made


async def held(where: Stops, step: int) -> None:
    assert where.trace is not None
    await where.trace.wait_for(lambda event: event.event == "run.held" and event.data["step"] == step)


async def test_a_change_waits_for_the_first_step() -> None:
    mode = stops()
    async with asyncio.TaskGroup() as tasks:
        beginning = tasks.create_task(mode.begin())
        await held(mode, 1)
        assert (mode.next, mode.waiting[1], beginning.done()) == (1, 1, False)
        assert await mode.step_on() == 1
    assert (mode.next, mode.waiting.total()) == (2, 0)


async def test_what_waits_further_down_is_not_let_through_by_the_steps_before() -> None:
    mode = stops()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(mode.begin())
        await held(mode, 1)
        await mode.step_on()
        intercepting = tasks.create_task(mode.reach(6))
        await held(mode, 6)
        for step in (2, 3, 4, 5):
            assert await mode.step_on() == step
            await asyncio.sleep(0)
            assert not intercepting.done()
        assert await mode.step_on() == 6
        await intercepting
        await mode.finish()


async def test_the_last_step_ends_the_rollout_and_the_next_one_is_held_again() -> None:
    mode = stops()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(mode.begin())
        await held(mode, 1)
        waiting = tasks.create_task(mode.begin())
        for step in range(1, LAST + 1):
            assert await mode.step_on() == step
        assert await mode.step_on() is None
        assert mode.trace is not None
        seen = len(mode.trace.events)
        await mode.trace.wait_for(lambda event: event.event == "run.held", since=seen)
        assert (mode.next, waiting.done()) == (1, False)
        await mode.finish()


async def test_switched_off_nothing_stays_held_and_nothing_is_held_later() -> None:
    mode = stops()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(mode.begin())
        tasks.create_task(mode.begin())
        await held(mode, 1)
        await mode.switch(on=False)
    await mode.begin()
    await mode.reach(9)
    assert mode.next is None

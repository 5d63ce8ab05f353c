"""A place where a part runs, and from which it can be taken, dropped and put back while the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from sim.errors import StepFailed

Part = TypeVar("Part")

#: Makes the part; it is given the address where its predecessor was, "" for the first.
Make = Callable[[str], AbstractAsyncContextManager[Part]]


class Slot(Generic[Part]):
    """The part of one name. It lives in a task of its own, so that any step may end it.

    Entering and leaving belong to `up` and `down`; a part that dies by itself ends the task group, which is the
    run's. Raises what making the part raises.
    """

    def __init__(
        self, name: str, tasks: asyncio.TaskGroup, make: Make[Part], address_of: Callable[[Part], str] | None = None
    ) -> None:
        self.name = name
        self._tasks = tasks
        self._make = make
        self._address_of = address_of
        self._address = ""
        self._part: Part | None = None
        self._owner: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()

    @property
    def part(self) -> Part:
        """The running part. Raises StepFailed while there is none."""
        if self._part is None:
            raise StepFailed(f"{self.name} is down", hint=f"bring it back first: restart: {self.name}")
        return self._part

    @property
    def running(self) -> bool:
        return self._part is not None

    async def up(self) -> Part:
        """Start the part, where it was before if it was."""
        if self._part is not None:
            return self._part
        self._leave = asyncio.Event()
        entered: asyncio.Future[Part] = asyncio.get_running_loop().create_future()
        self._owner = self._tasks.create_task(self._own(entered, self._leave), name=f"part-{self.name}")
        try:
            self._part = await entered
        except asyncio.CancelledError:
            self._owner.cancel()
            raise
        if self._address_of is not None:
            self._address = self._address_of(self._part)
        return self._part

    async def down(self) -> None:
        """End the part and wait until it is gone."""
        self._part = None
        owner, self._owner = self._owner, None
        if owner is not None:
            self._leave.set()
            await asyncio.wait([owner])

    async def _own(self, entered: asyncio.Future[Part], leave: asyncio.Event) -> None:
        try:
            async with self._make(self._address) as part:
                entered.set_result(part)
                await leave.wait()
        except Exception as error:
            if entered.done():
                raise
            entered.set_exception(error)
        finally:
            if not entered.done():
                entered.cancel()

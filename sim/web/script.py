"""The scenario's own steps, carried out one by one as they are asked for."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from sim.errors import SimError
from sim.scenario.describe import describe
from sim.scenario.session import Session

StepState = Literal["todo", "running", "done", "failed"]


class Script:
    """`run` carries out what was asked for; a step that fails ends what was asked for, and may be asked for again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._steps = session.loaded.steps
        self._states: list[StepState] = ["todo"] * len(self._steps)
        self._errors: list[str | None] = [None] * len(self._steps)
        self._next = 0
        self._wanted = 0
        self._wake = asyncio.Event()

    def told(self) -> list[dict[str, Any]]:
        """As the page lists them."""
        return [
            {"number": step.number, "text": describe(step.step), "state": state, "error": error}
            for step, state, error in zip(self._steps, self._states, self._errors, strict=True)
        ]

    def ask(self, count: int | None) -> None:
        """So many more of the steps; None: all that are left."""
        left = len(self._steps) - self._next
        self._wanted = left if count is None else min(self._wanted + count, left)
        self._wake.set()

    async def run(self) -> None:
        """Carry out steps as they are asked for, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._wanted > 0:
                self._wanted -= 1
                position, self._next = self._next, self._next + 1
                self._states[position], self._errors[position] = "running", None
                try:
                    await self._session.scenario_step(self._steps[position])
                    self._states[position] = "done"
                except SimError as error:
                    self._states[position], self._errors[position] = "failed", str(error)
                    self._next, self._wanted = position, 0

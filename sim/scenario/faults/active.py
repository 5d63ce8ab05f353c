"""A fault in force: its name, its attributes, how often it hit, and the lots it draws."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from sim.scenario.faults.kind import FaultKind

#: As Toxiproxy has it: downstream flows to the client, upstream to the server.
Direction = Literal["downstream", "upstream"]

KindT = TypeVar("KindT", bound=FaultKind, covariant=True)


@dataclass(slots=True, eq=False)
class ActiveFault(Generic[KindT]):
    """A fault in force. Whoever carries it out calls `hit`, once for everything that it does to somebody.

    `on` is where it acts, `stream` and `toxicity` are for faults of connections only. Its lots depend on `seed`
    and the number of the connection alone, never on time.
    """

    name: str
    kind: KindT
    on: str = ""
    stream: Direction = "downstream"
    toxicity: float = 1.0
    seed: str = ""
    #: Told of each hit, with the fields that say what was hit.
    tell: Callable[[ActiveFault[Any], dict[str, Any]], None] | None = None
    hits: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def left(self) -> int | None:
        """How often it may still hit, None when there is no limit."""
        most = self.kind.most_hits
        return None if most is None else most - self.hits

    @property
    def spent(self) -> bool:
        return self.left == 0

    def hit(self, **what: Any) -> None:
        """Note that it did something. `what` are fields of the event `fault.hit`."""
        self.hits += 1
        if self.tell is not None:
            self.tell(self, what)

    def take(self, **what: Any) -> bool:
        """Note a hit unless it is spent: whether it may hit."""
        if self.spent:
            return False
        self.hit(**what)
        return True

    def lots(self, connection: int) -> random.Random:
        """The generator for one connection. Its first number decides whether the connection is hit at all."""
        return random.Random(f"{self.seed}/{self.on}/{self.name}/{connection}")

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the fault is in force."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()

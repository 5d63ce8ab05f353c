"""The faults of a run: one board for what all gateways share, one for each gateway's own links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.errors import StepFailed
from sim.scenario.faults import ALL, REGISTRY, ActiveFault, FaultBoard, FaultSpec

#: Where a fault hits every gateway alike; the other links are there once for each gateway.
SHARED_PLACES: tuple[str, ...] = ("core-discovery", REGISTRY)


class RunFaults:
    """Injects and clears faults, whichever board they belong on. A name is in force once in a run.

    `gateways` has a board for each gateway by its name, in the gateways' order.
    """

    def __init__(self, shared: FaultBoard, gateways: Mapping[str, FaultBoard]) -> None:
        self._shared = shared
        self._gateways = dict(gateways)

    def __repr__(self) -> str:
        return f"<RunFaults {', '.join(self.active) or 'none'}>"

    @property
    def active(self) -> Sequence[str]:
        """The names of the faults in force."""
        return list(dict.fromkeys(name for board in self._boards for name in board.active))

    @property
    def in_force(self) -> Mapping[str, ActiveFault[Any]]:
        """The faults in force by name; one that is on every gateway's link, once."""
        return {name: fault for board in reversed(self._boards) for name, fault in board.active.items()}

    async def inject(self, spec: FaultSpec, gateway: str | None = None) -> None:
        """Let a fault begin, on this gateway's link or, where none is named, on every gateway's; it acts at once.

        Raises StepFailed when its name is taken, or it is about something that this run has not.
        """
        if spec.fault_name in self.active:
            raise StepFailed(
                f"the fault {spec.fault_name} is in force already",
                hint=f"clear it first, or give this one a name: {spec.fault_name}-2",
            )
        for board in self._boards_of(spec, gateway):
            await board.inject(spec)

    async def clear(self, name: str) -> None:
        """End the fault of this name, or `all`; what it held back goes on when this returns.

        Raises StepFailed when there is none of this name; `all` may be none.
        """
        holding = [board for board in self._boards if name == ALL or name in board.active]
        if not holding:
            raise StepFailed(
                f"there is no fault {name}",
                hint=f"in force are {', '.join(self.active)}" if self.active else "no fault is in force",
            )
        for board in holding:
            await board.clear(name)

    async def clear_all(self) -> None:
        """End every fault that is left."""
        await self.clear(ALL)

    @property
    def _boards(self) -> list[FaultBoard]:
        return [self._shared, *self._gateways.values()]

    def _boards_of(self, spec: FaultSpec, gateway: str | None) -> list[FaultBoard]:
        if spec.on in SHARED_PLACES:
            return [self._shared]
        if gateway is None or len(self._gateways) == 1:
            return list(self._gateways.values())
        if gateway not in self._gateways:
            raise StepFailed(f"there is no gateway {gateway}", hint=f"there are {', '.join(self._gateways)}")
        return [self._gateways[gateway]]

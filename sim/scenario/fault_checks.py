"""The steps `fault` and `clear`, followed without running anything: which fault is in force when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sim.errors import InvalidInput, Location
from sim.scenario.faults import ALL
from sim.scenario.places import PlacedStep
from sim.scenario.problems import suggestion
from sim.scenario.run_faults import SHARED_PLACES
from sim.scenario.step_kinds import Parallel, Repeat
from sim.scenario.step_models import Clear, Fault


def fault_problems(steps: Sequence[PlacedStep], where: Callable[..., Location]) -> list[InvalidInput]:
    """What is wrong with a scenario's faults: names that are taken or unknown, gateways where there is but one place.

    `where` gives a path's place in the file. Of branches side by side nobody knows which step comes first: there a
    clear may be of what any of them injects.
    """
    walk = _Walk(where)
    walk.through(steps)
    return list(walk.found.values())


class _Walk:
    def __init__(self, where: Callable[..., Location]) -> None:
        #: By place and message: a repeated step is looked at more than once.
        self.found: dict[tuple[str, str], InvalidInput] = {}
        self._where = where
        self._in_force: set[str] = set()
        #: Names that another branch may have injected by now.
        self._perhaps: set[str] = set()
        self._ever: dict[str, None] = {}

    def through(self, steps: Iterable[PlacedStep]) -> None:
        for placed in steps:
            match placed.step:
                case Fault() as fault:
                    self._fault(fault, placed)
                case Clear() as clear:
                    self._clear(clear, placed)
                case Repeat() as repeat:
                    # What is left over from a round is there in the next.
                    for _ in range(min(repeat.times, 2)):
                        self.through(placed.within[0])
                case Parallel():
                    self._parallel(placed)

    def _fault(self, fault: Fault, placed: PlacedStep) -> None:
        name = fault.fault_name
        if name in self._in_force:
            self._problem(
                f"the fault {name} is in force already",
                f"clear it before this step, or give this one a name: {name}-2",
                self._where(*placed.path, *(("name",) if fault.name is not None else ())),
            )
        if fault.gateway is not None and fault.on in SHARED_PLACES:
            self._problem(f"all gateways share {fault.on}", "leave gateway out", self._where(*placed.path, "gateway"))
        self._in_force.add(name)
        self._ever[name] = None

    def _clear(self, clear: Clear, placed: PlacedStep) -> None:
        if clear.name == ALL:
            self._in_force.clear()
            return
        if clear.name not in self._in_force | self._perhaps:
            known = sorted(self._in_force)
            if clear.name in self._ever:
                hint = "it was cleared before; leave this step out"
            else:
                in_force = f"in force by then: {', '.join(known)}" if known else "no earlier step injects a fault"
                hint = suggestion(clear.name, known, in_force)
            self._problem(f"no fault {clear.name} is in force", hint, self._where(*placed.path, "name"))
        self._in_force.discard(clear.name)

    def _parallel(self, placed: PlacedStep) -> None:
        before, perhaps = set(self._in_force), set(self._perhaps)
        after: set[str] = set()
        for branch in placed.within:
            others = (step for other in placed.within if other is not branch for step in other)
            self._in_force = set(before)
            self._perhaps = perhaps | set(_injected(others))
            self.through(branch)
            after |= self._in_force - before
            # What a branch has cleared is gone, whatever the others thought of it.
            before &= self._in_force
        self._in_force, self._perhaps = before | after, perhaps

    def _problem(self, message: str, hint: str | None, where: Location) -> None:
        self.found[str(where), message] = InvalidInput(message, where=where, hint=hint)


def _injected(steps: Iterable[PlacedStep]) -> Iterator[str]:
    for placed in steps:
        for each in placed.everything():
            if isinstance(each.step, Fault):
                yield each.step.fault_name

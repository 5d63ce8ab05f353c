"""Where each step stands: its place in the file, its number, and the steps within it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sim.errors import Location
from sim.manifests import Document
from sim.scenario.problems import written_path
from sim.scenario.step_kinds import Parallel, Repeat
from sim.scenario.step_models import Step

#: Positions from the top, from 0: `(2,)` is the third step, `(2, 0, 1)` the second step of its first list.
StepKey = tuple[int, ...]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step at its place. `path` is that of its kind's key; `within` are the lists of steps in it, if it has any."""

    step: Step
    key: StepKey
    path: Path
    where: Location
    within: tuple[tuple[PlacedStep, ...], ...] = ()

    @property
    def number(self) -> str:
        """As people count: `3`, `3.1.2`."""
        return ".".join(str(position + 1) for position in self.key)

    def everything(self) -> Iterator[PlacedStep]:
        """The step and all the steps within it."""
        yield self
        for branch in self.within:
            for step in branch:
                yield from step.everything()


def placed(
    steps: Sequence[Step], document: Document, path: Path = ("spec", "steps"), key: StepKey = ()
) -> tuple[PlacedStep, ...]:
    """The steps of a list that stands at `path`."""
    return tuple(_placed(step, document, (*path, index), (*key, index)) for index, step in enumerate(steps))


def _placed(step: Step, document: Document, path: Path, key: StepKey) -> PlacedStep:
    inside = (*path, step.kind)
    within: tuple[tuple[PlacedStep, ...], ...] = ()
    if isinstance(step, Repeat):
        within = (placed(step.steps, document, (*inside, "steps"), (*key, 0)),)
    elif isinstance(step, Parallel):
        within = tuple(
            placed(branch, document, (*inside, "branches", index), (*key, index))
            for index, branch in enumerate(step.branches)
        )
    written = written_path(path, document.data)
    return PlacedStep(step, key, written_path(inside, document.data), document.where(*written), within)

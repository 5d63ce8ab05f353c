"""What became of the cases of a suite: their attempts, and how they stand to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sim.scenario.baseline import Baseline, Update
from sim.scenario.compare import Difference, compare, merged
from sim.scenario.result import Result
from sim.scenario.suite import Case
from sim.scenario.transcript import read_transcript

AttemptOutcome = Literal["passed", "failed", "error", "interrupted"]
CaseOutcome = Literal["passed", "failed", "flaky", "error", "interrupted", "not run"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a case. `result` is None where none could begin; `told` is what its process said on stderr."""

    outcome: AttemptOutcome
    result: Result | None
    seconds: float
    told: str

    @property
    def directory(self) -> Path | None:
        return Path(self.result.directory) if self.result is not None and self.result.directory else None


@dataclass(slots=True)
class Drift:
    """How a case stands to its baseline.

    `missing`: it has none. `varying`: one run is not as another, so there is nothing to hold against anything.
    `update`: what became of its file, where it was to be written. `file` is the baseline's, `run` the first directory
    that was held against it; None where neither came into it.
    """

    missing: bool = False
    varying: Difference | None = None
    difference: Difference | None = None
    update: Update | None = None
    file: Path | None = None
    run: Path | None = None

    @property
    def none(self) -> bool:
        """Whether the case is as its baseline has it."""
        return not self.missing and self.varying is None and (self.difference is None or self.difference.same)


@dataclass(slots=True)
class CaseVerdict:
    """What is known of a case, while it is run and after."""

    case: Case
    #: How often it is to be run.
    runs: int = 1
    attempts: list[Attempt] = field(default_factory=list)
    drift: Drift | None = None

    @property
    def passed(self) -> int:
        """How many attempts passed."""
        return sum(attempt.outcome == "passed" for attempt in self.attempts)

    @property
    def seconds(self) -> float:
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def complete(self) -> bool:
        return len(self.attempts) == self.runs and not any(a.outcome == "interrupted" for a in self.attempts)

    @property
    def outcome(self) -> CaseOutcome:
        """Passed only if every attempt did and nothing drifted; flaky if some attempts passed and some did not."""
        outcomes = {attempt.outcome for attempt in self.attempts} - {"interrupted"}
        bad = outcomes - {"passed"}
        if bad and "passed" in outcomes:
            return "flaky"
        if bad:
            return "error" if "error" in bad else "failed"
        if not self.complete:
            return "interrupted" if self.attempts else "not run"
        return "passed" if self.drift is None or self.drift.none else "failed"

    @property
    def environment(self) -> bool:
        """Whether an attempt did not come to an end by itself: no failure of the scenario's."""
        return any(attempt.outcome == "error" for attempt in self.attempts)


def check_drift(verdict: CaseVerdict, baseline: Baseline, max_ratio: float | None, *, update: bool) -> Drift:
    """Hold the attempts of a case that passed against its baseline, or make them the baseline.

    Raises InvalidInput or EnvironmentProblem when a run directory or the baseline can't be used.
    """
    case = verdict.case
    directories = _directories(verdict.attempts)
    whole, varying = merged([read_transcript(directory) for directory in directories])
    if varying:
        return Drift(varying=varying[0][1])
    if update:
        return Drift(update=baseline.write(case.slug, whole, times=max_ratio is not None))
    held = baseline.read(case.slug)
    if held is None:
        return Drift(missing=True, file=baseline.file(case.slug))
    return Drift(difference=compare(held, whole, max_ratio), file=baseline.file(case.slug), run=directories[0])


def _directories(attempts: Sequence[Attempt]) -> list[Path]:
    return [attempt.directory for attempt in attempts if attempt.directory is not None]

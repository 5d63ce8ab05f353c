"""What is wrong with a case of a suite, place by place, for whoever shows it: terminal, JUnit, annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from sim.errors import InvalidInput
from sim.report.difference import difference_lines, summary, time_lines
from sim.report.phrases import lines_of
from sim.scenario.expect import in_words
from sim.scenario.result import Result
from sim.scenario.verdicts import Attempt, CaseVerdict, Drift

Kind = Literal["expectation", "step", "baseline", "error", "invalid"]

_WHERE = re.compile(r"(?P<file>.*?):(?P<line>\d+)(?::(?P<column>\d+))?")
_MOST_MOMENTS = 6
_MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `lines` are what there is to see: values, the end of a log, a difference."""

    kind: Kind
    message: str
    file: str
    line: int | None = None
    lines: tuple[str, ...] = ()
    hint: str | None = None
    #: In how many attempts, and of how many; 1 of 1 is not told.
    times: int = 1
    of: int = 1

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def failure(self) -> bool:
        """Whether the scenario's demands were not met, as opposed to a run that could not be had."""
        return self.kind in ("expectation", "step", "baseline")

    def told(self) -> list[str]:
        """The details, the hint and the frequency, in lines."""
        often = [f"in {self.times} of {self.of} runs"] if self.of > 1 else []
        hint = [f"hint: {line}" for line in lines_of(self.hint or "")]
        return [*self.lines, *hint, *often]


def problems_of(verdict: CaseVerdict) -> list[Problem]:
    """The problems of a case; one that several attempts have is told once."""
    found: dict[tuple[str, str], Problem] = {}
    for attempt in verdict.attempts:
        for problem in _of_attempt(attempt, verdict):
            key = (problem.where, problem.message)
            first = found.get(key)
            found[key] = problem if first is None else replace(first, times=first.times + 1)
    made = [replace(problem, of=len(verdict.attempts)) for problem in found.values()]
    if verdict.drift is not None and not verdict.drift.none:
        made.append(_of_drift(verdict.drift, verdict))
    return made


def invalid_problems(errors: Iterable[InvalidInput], file: str) -> list[Problem]:
    """What makes a scenario one that can't be run."""
    return [
        Problem(
            "invalid",
            f"{error.where.key}: {error.message}" if error.where is not None and error.where.key else error.message,
            error.where.file if error.where is not None else file,
            error.where.line if error.where is not None else None,
            hint=error.hint,
        )
        for error in errors
    ]


def _of_attempt(attempt: Attempt, verdict: CaseVerdict) -> Iterator[Problem]:
    file, line = str(verdict.case.file), verdict.case.where.line
    if attempt.outcome in ("passed", "interrupted"):
        return
    result = attempt.result
    if result is None:
        lines = lines_of(attempt.told.removeprefix("ecdsim: ")) or ["it said nothing"]
        # Of a traceback, the last line says what it was.
        first = lines[-1] if any("Traceback (most recent call last)" in each for each in lines) else lines[0]
        yield Problem("error", first, file, line, tuple(lines[1:][-_MOST_LINES:]))
        return
    if result.error is not None:
        place = _place(result.error.where, file, line)
        kind: Kind = "step" if result.outcome == "failed" else "error"
        first, *rest = lines_of(result.error.message) or ["no reason is known"]
        tail = lines_of(result.error.log_tail or "")
        yield Problem(kind, first, *place, (*rest, *tail[-_MOST_LINES:]), result.error.hint)
    yield from _unkept(result, file, line)


def _unkept(result: Result, file: str, line: int | None) -> Iterator[Problem]:
    for expectation in result.expectations:
        if not expectation.passed:
            moments = [moment.line() for moment in expectation.trace[-_MOST_MOMENTS:]]
            shown = (in_words(expectation), *(line for text in moments for line in lines_of(text)))
            yield Problem("expectation", f"not so: {expectation.that}", *_place(expectation.where, file, line), shown)
    for threshold in result.thresholds:
        if not threshold.passed:
            actual = threshold.error or f"{threshold.actual:g}"
            shown = (f"{actual}, of {threshold.count} samples",)
            message = f"not so: {threshold.metric} {threshold.that}"
            yield Problem("expectation", message, *_place(threshold.where, file, line), shown)


def _of_drift(drift: Drift, verdict: CaseVerdict) -> Problem:
    file, line = str(verdict.case.file), verdict.case.where.line
    if drift.missing:
        hint = "add --update-baseline to write it, look at it, and keep it"
        told = f"there is no baseline for this case{f': {drift.file}' if drift.file is not None else ''}"
        return Problem("baseline", told, file, line, hint=hint)
    if drift.varying is not None:
        lines = tuple(difference_lines(drift.varying))
        message = f"two runs of it are not the same, so neither can be a baseline: {summary(drift.varying, None)}"
        return Problem("baseline", message, file, line, lines)
    assert drift.difference is not None
    sides = (f"{drift.file or 'the baseline'}", f"{drift.run or 'this run'}")
    lines = (*difference_lines(drift.difference, sides), *time_lines(drift.difference.slower, ("baseline", "now")))
    ratio: Any = 1.0 if drift.difference.slower else None
    message = f"not as the baseline has it, {summary(drift.difference, ratio)}"
    return Problem("baseline", message, file, line, lines, "if that is meant, write it anew with --update-baseline")


def _place(where: str | None, file: str, line: int | None) -> tuple[str, int | None]:
    """File and line of `file:line` or `file:line:column`; the case's own where nothing is said."""
    if where is None:
        return file, line
    found = _WHERE.fullmatch(where)
    return (found["file"], int(found["line"])) if found is not None else (where, None)

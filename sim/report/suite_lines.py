"""A suite on the terminal: a line for each case as it ends, what is wrong with it below, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from sim.report.case_problems import Problem, problems_of
from sim.report.phrases import clean, milliseconds
from sim.scenario.result import Result
from sim.scenario.verdicts import CaseOutcome, CaseVerdict

_STYLES: dict[CaseOutcome, str] = {
    "passed": "green",
    "failed": "bold red",
    "flaky": "bold red",
    "error": "bold red",
    "interrupted": "yellow",
    "not run": "yellow",
}
_WIDTH = len("INTERRUPTED")
#: In this order the summary counts.
_COUNTED: tuple[CaseOutcome, ...] = ("passed", "failed", "flaky", "error", "interrupted", "not run")


def case_lines(verdict: CaseVerdict) -> Iterator[Text]:
    """The case's line, and its problems if it has any."""
    outcome = verdict.outcome
    line = Text.assemble(
        (outcome.upper().ljust(_WIDTH), _STYLES[outcome]), f" {verdict.seconds:7.1f} s  {clean(verdict.case.name)}"
    )
    if verdict.runs > 1:
        line.append(f"  {verdict.passed} of {verdict.runs} passed")
    if verdict.drift is not None and verdict.drift.update not in (None, "unchanged"):
        line.append(f"  baseline {verdict.drift.update}")
    yield line
    for problem in problems_of(verdict):
        yield from problem_lines(problem)
    if outcome != "passed":
        for attempt in verdict.attempts:
            if attempt.outcome != "passed" and attempt.directory is not None:
                yield Text(f"    {clean(str(attempt.directory))}", style="dim")


def problem_lines(problem: Problem) -> Iterator[Text]:
    """Where and what, and below it what there is to see."""
    yield Text.assemble("    ", (clean(problem.where), "bold"), f"  {clean(problem.message)}")
    for line in problem.told():
        yield Text(f"        {line}")


def summary_line(verdicts: Sequence[CaseVerdict], seconds: float) -> Text:
    """`4 passed, 1 failed in 21.3 s`"""
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = [(f"{counts[outcome]} {outcome}", _STYLES[outcome]) for outcome in _COUNTED if counts[outcome]]
    line = Text()
    for index, piece in enumerate(told or [("no case", "yellow")]):
        line.append(", " if index else "")
        line.append(*piece)
    return line.append(f" in {seconds:.1f} s")


def combination_lines(results: Sequence[Result]) -> Iterator[str]:
    """The combinations of one scenario after they were run, one a line."""
    yield "combinations"
    names = [result.combination.name if result.combination is not None else result.scenario for result in results]
    width = max(len(name) for name in names)
    for name, result in zip(names, results, strict=True):
        effective = [milliseconds(each.effective_ms) for each in result.rollouts if each.effective_ms is not None]
        told = f"  effective {', '.join(effective[:4])}{', …' if len(effective) > 4 else ''}" if effective else ""
        line = f"  {result.outcome.upper().ljust(6)}  {clean(name).ljust(width)}  {milliseconds(result.duration_ms)}"
        yield line + told

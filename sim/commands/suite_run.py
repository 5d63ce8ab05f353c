"""A suite, carried out and reported: on the terminal, as JUnit XML, as annotations, as data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from sim.commands import statuses
from sim.commands.case_runs import CaseRuns, RunArguments
from sim.commands.output import reading_may_end, stdout_console
from sim.commands.until_signal import run_async
from sim.errors import EnvironmentProblem, InvalidInput, SimError
from sim.profiles import load_profile
from sim.report.annotations import annotation_lines
from sim.report.case_problems import invalid_problems, problems_of
from sim.report.junit import invalid_junit_xml, junit_xml
from sim.report.suite_lines import case_lines, summary_line
from sim.scenario.baseline import Baseline
from sim.scenario.runner import RunOptions, check_envoys, check_fixed
from sim.scenario.suite import Case, Suite, namesakes
from sim.scenario.verdicts import Attempt, CaseVerdict, check_drift


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """How a suite is run and told. `data`: stdout belongs to data, lines go to stderr."""

    arguments: RunArguments = field(default_factory=RunArguments)
    jobs: int = 1
    runs: int = 1
    fail_fast: bool = False
    junit_xml: Path | None = None
    github_annotations: bool = False
    baseline: Baseline | None = None
    update_baseline: bool = False
    max_ratio: float | None = None
    data: bool = False


class SuiteRun:
    """One run of a suite: `prepare`, `carry_out`, `report`, and then `status` and `to_json` say what came out."""

    def __init__(self, cases: Sequence[Case], options: SuiteOptions) -> None:
        self._options = options
        self._verdicts = {id(case): CaseVerdict(case, options.runs) for case in cases}
        self._cases = cases
        self._lines = _Lines(options)
        self._started = datetime.now(UTC)
        self._started_s = time.monotonic()
        self._seconds = 0.0
        self._interrupted = False

    @property
    def verdicts(self) -> list[CaseVerdict]:
        return list(self._verdicts.values())

    def prepare(self, *, everything: bool) -> None:
        """Find out what would prevent the runs, or make them vain, before the first. `everything`: none was left out.

        Raises InvalidInput or EnvironmentProblem.
        """
        options, arguments = self._options, self._options.arguments
        asked = RunOptions(envoy=arguments.envoy, fixed=frozenset(arguments.fixed))
        profile = load_profile(arguments.profile) if arguments.profile is not None else None
        for case in self._cases:
            check_fixed(profile or case.loaded.profile, case.loaded, asked)
        # An Envoy that only some cases ask for is their own affair.
        check_envoys([case.loaded for case in self._cases if arguments.envoy or case.loaded.envoy is None], asked)
        if options.baseline is not None:
            self._prepare_baseline(options.baseline, everything=everything)
        self._write_junit(ended=False)

    def carry_out(self) -> None:
        """Run the cases. An interrupt ends it early, after what is running was stopped."""
        runs = CaseRuns(self._options.arguments, self._options.jobs, self._take)
        attempts = [case for case in self._cases for _ in range(self._options.runs)]
        try:
            run_async(runs.run(attempts))
        except asyncio.CancelledError:
            self._interrupted = True
        self._seconds = time.monotonic() - self._started_s

    def report(self) -> None:
        """The summary, and the files. Raises EnvironmentProblem for what can't be written."""
        for verdict in self.verdicts:
            if not verdict.complete and verdict.attempts:
                self._lines.say(case_lines(verdict))
                self._annotate(verdict)
        summary = summary_line(self.verdicts, self._seconds)
        self._lines.say([Text.assemble("interrupted: ", summary) if self._interrupted else summary])
        self._write_junit(ended=not self._interrupted)
        if self._lines.problem is not None:
            raise self._lines.problem

    @property
    def status(self) -> int:
        """The exit status."""
        if self._interrupted:
            return statuses.INTERRUPTED
        if any(verdict.environment for verdict in self.verdicts):
            return statuses.ENVIRONMENT
        bad = any(verdict.outcome in ("failed", "flaky") for verdict in self.verdicts)
        return statuses.FAILED if bad else statuses.PASSED

    def to_json(self) -> dict[str, Any]:
        """Every case with what is wrong with it."""
        return {
            "outcome": {0: "passed", 1: "failed", 3: "error", 130: "interrupted"}[self.status],
            "seconds": round(self._seconds, 3),
            "cases": [_case_json(verdict) for verdict in self.verdicts],
        }

    # -- while it runs ----------------------------------------------------------------------------------------

    def _take(self, case: Case, attempt: Attempt) -> bool:
        """Note an attempt; whether to go on."""
        verdict = self._verdicts[id(case)]
        verdict.attempts.append(attempt)
        if verdict.complete:
            if self._options.baseline is not None and verdict.passed == verdict.runs:
                self._hold(verdict, self._options.baseline)
            self._lines.say(case_lines(verdict))
            self._annotate(verdict)
        bad = attempt.outcome != "passed" or (verdict.drift is not None and not verdict.drift.none)
        return not (self._options.fail_fast and bad)

    def _hold(self, verdict: CaseVerdict, baseline: Baseline) -> None:
        options = self._options
        try:
            verdict.drift = check_drift(verdict, baseline, options.max_ratio, update=options.update_baseline)
        except SimError as error:
            # The run was well; what came after it was not.
            verdict.attempts[-1] = Attempt("error", None, verdict.attempts[-1].seconds, str(error))

    def _annotate(self, verdict: CaseVerdict) -> None:
        if self._options.github_annotations:
            self._lines.echo(annotation_lines(problems_of(verdict), verdict.case.name))

    # -- before and after -------------------------------------------------------------------------------------

    def _prepare_baseline(self, baseline: Baseline, *, everything: bool) -> None:
        for one, other in namesakes(self._cases):
            raise InvalidInput(
                f"two scenarios would have one baseline, {one.slug}: {one.file} and {other.file}",
                where=other.where,
                hint="give one of them another name",
            )
        if self._options.update_baseline:
            baseline.ready()
        else:
            held = {case.slug: baseline.read(case.slug) for case in self._cases}
            timeless = [slug for slug, transcript in held.items() if transcript is not None and not transcript.times_ms]
            if self._options.max_ratio is not None and timeless:
                raise InvalidInput(
                    f"the baseline has no times of {', '.join(timeless)}",
                    hint="write them on this machine, with --update-baseline --max-ratio, or leave --max-ratio out",
                )
        strangers = baseline.strangers([case.slug for case in self._cases]) if everything else []
        if strangers:
            click.echo(f"the baseline has files of no case here: {', '.join(strangers)}", err=True)

    def _write_junit(self, *, ended: bool) -> None:
        """At the start too: whatever ends us, CI finds a file, and in it that nothing was run."""
        if self._options.junit_xml is not None:
            text = junit_xml(self.verdicts, self._started, self._seconds, interrupted=not ended)
            _write(self._options.junit_xml, text)


def tell_invalid(suite: Suite, options: SuiteOptions) -> None:
    """What is wrong with the scenarios that can't be run, in every form that was asked for."""
    lines = _Lines(options)
    for path, errors in suite.invalid.items():
        for error in errors:
            click.echo(str(error), err=True)
        if options.github_annotations:
            lines.echo(annotation_lines(invalid_problems(errors, str(path)), str(path)))
    if options.junit_xml is not None:
        _write(options.junit_xml, invalid_junit_xml(suite, datetime.now(UTC)))


class _Lines:
    """Where lines for people go. `problem`: why they could not be written, which ends no run."""

    def __init__(self, options: SuiteOptions) -> None:
        self._data = options.data
        self._console = Console(stderr=True) if options.data else stdout_console()
        self.problem: EnvironmentProblem | None = None

    def say(self, lines: Iterable[Text]) -> None:
        self._write(lambda line: self._console.print(line, soft_wrap=True, highlight=False), lines)

    def echo(self, lines: Iterable[str]) -> None:
        self._write(lambda line: click.echo(line, err=self._data), lines)

    def _write(self, write: Callable[[Any], None], lines: Iterable[Any]) -> None:
        try:
            with reading_may_end():
                for line in lines:
                    write(line)
        except EnvironmentProblem as problem:
            self.problem = self.problem or problem


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write {file}: {error.strerror}", hint="choose another file with --junit-xml"
        ) from error


def _case_json(verdict: CaseVerdict) -> dict[str, Any]:
    case = verdict.case
    return {
        "name": case.name,
        "file": str(case.file),
        "labels": list(case.labels),
        "outcome": verdict.outcome,
        "passed": verdict.passed,
        "runs": verdict.runs,
        "seconds": round(verdict.seconds, 3),
        "directories": [str(each.directory) for each in verdict.attempts if each.directory is not None],
        "problems": [
            {"kind": each.kind, "where": each.where, "message": each.message, "lines": each.told()}
            for each in problems_of(verdict)
        ],
    }

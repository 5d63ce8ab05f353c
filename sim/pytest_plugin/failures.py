"""What pytest is told of a run that did not go as it was to."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import EnvironmentProblem, PartDied, SimError

if TYPE_CHECKING:
    from sim.report.page import Page
    from sim.scenario.result import ErrorReport, Expectation, Result

#: Narrower, and the lines of a failure can't be read.
_NARROWEST = 80
_LOG_LINES = 20
#: pytest puts `E` and blanks before each line.
_MARGIN = 8


class ExpectationsFailed(AssertionError):
    """An expectation, a threshold or a check does not hold; the message has the values that it saw."""

    # As its users import it.
    __module__ = "sim.pytest_plugin"


def expectations_failed(result: Result) -> ExpectationsFailed:
    """The error for a run that has ended, of which something expected does not hold."""
    return ExpectationsFailed(f"{headline(result)}\n\n{failure_text(result)}")


def check_failed(seen: Expectation) -> ExpectationsFailed:
    """The error for a `check` in the middle of a run."""
    from sim.report.expectations import print_expectations

    told = _page(lambda page: print_expectations(page, [seen]))
    return ExpectationsFailed(f"{_not_so(seen)}\n\n{told}")


def error_of(report: ErrorReport) -> SimError:
    """The error that a run's report tells of, with the log of a part that died as a note."""
    if report.part is None:
        return EnvironmentProblem(report.message, hint=report.hint)
    message = report.message.removeprefix(f"{report.part} died: ")
    return with_log(PartDied(report.part, message, log_tail=report.log_tail or "", hint=report.hint))


def with_log(error: SimError) -> SimError:
    """The same error; that of a part has the end of its log as a note."""
    if isinstance(error, PartDied) and error.log_tail and not hasattr(error, "__notes__"):
        lines = "\n".join(f"  {line}" for line in error.log_tail.splitlines()[-_LOG_LINES:])
        error.add_note(f"its last log lines\n{lines}")
    return error


def headline(result: Result) -> str:
    """What is wrong, in one line."""
    if result.error is not None:
        return result.error.message.partition("\n")[0]
    for expectation in result.expectations:
        if not expectation.passed:
            return _not_so(expectation)
    for threshold in result.thresholds:
        if not threshold.passed:
            return f"not so: {threshold.metric} {threshold.that}"
    return "nothing is wrong"


def place_of(result: Result) -> tuple[str, int] | None:
    """The file, and its line from 1, of what is wrong first; None where that stands in no file."""
    error = [result.error.where] if result.error is not None else []
    expectations = [each.where for each in result.expectations if not each.passed]
    thresholds = [each.where for each in result.thresholds if not each.passed]
    for where in (*error, *expectations, *thresholds):
        file, _, line = (where or "").partition(":")
        number = line.partition(":")[0]
        if number.isdecimal():
            return file, int(number)
    return None


def failure_text(result: Result) -> str:
    """What `ecdsim run` prints of expectations, thresholds and errors, and where the run directory is."""
    from sim.report.expectations import print_expectations, print_thresholds
    from sim.report.terminal import print_error

    def print_on(page: Page) -> None:
        if not all(each.passed for each in result.expectations):
            print_expectations(page, result.expectations)
        if not all(each.passed for each in result.thresholds):
            print_thresholds(page, result.thresholds)
        if result.error is not None:
            print_error(page, result.error)
        page.whole(result.directory or "")

    return _page(print_on)


def write_report(result: Result) -> None:
    """Put report.html into the directory of a run that did not pass; where that fails, say so, no more."""
    if result.outcome == "passed" or result.directory is None:
        return
    from sim.report.html import write_page

    try:
        write_page(Path(result.directory))
    except Exception as error:  # noqa: BLE001  whatever is wrong with the picture, the run and its outcome stand
        print(f"no report.html was written: {error}", file=sys.stderr)  # noqa: T201  captured by pytest


def _not_so(seen: Expectation) -> str:
    from sim.scenario.expect import in_words

    return f"not so: {seen.that}  ({in_words(seen)})"


def _page(print_on: Callable[[Page], None]) -> str:
    """What is printed, as text of the terminal's width."""
    from rich.console import Console

    from sim.report.page import Page

    width = max(_NARROWEST, shutil.get_terminal_size().columns) - _MARGIN
    # Neither a colour nor a width of the environment: this is text in a report.
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, _environ={})
    with console.capture() as captured:
        print_on(Page(console))
    return captured.get().rstrip("\n")

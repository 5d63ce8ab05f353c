"""What pytest is told of a run that did not go as it was to."""

from __future__ import annotations

from sim.errors import EnvironmentProblem, PartDied
from sim.pytest_plugin.failures import error_of, expectations_failed, failure_text, headline, place_of
from sim.scenario.result import ErrorReport, Expectation, Moment, Result, Threshold
from tests.unit.report.results import result

MOMENT = Moment(t_ns=1, step="2", doing="wait", after_ms=3.5, event="traffic.failed", text="status=503")
UNKEPT = Expectation(
    that="traffic.users.failed == 0",
    passed=False,
    actual={"traffic.users.failed": 7},
    where="a/scenario.yaml:12",
    line="- traffic.users.failed == 0",
    trace=[MOMENT],
)


def failed(**changes: object) -> Result:
    return result().model_copy(update={"outcome": "failed", "directory": "runs/a-1", **changes})


def test_the_first_line_has_the_expression_and_its_values_and_the_rest_is_as_ecdsim_run_prints_it() -> None:
    lines = str(expectations_failed(failed(expectations=[UNKEPT]))).splitlines()
    assert lines[0] == "not so: traffic.users.failed == 0  (traffic.users.failed = 7)"
    assert lines[2:] == [
        "expectations  0 of 1 hold",
        "  ✗ traffic.users.failed == 0",
        "      traffic.users.failed is 7",
        "      a/scenario.yaml:12  - traffic.users.failed == 0",
        "      in the trace",
        "        step 2  wait",
        "          +3.5 ms  traffic.failed status=503",
        "runs/a-1",
    ]


def test_a_threshold_is_told_with_its_place() -> None:
    threshold = Threshold(
        metric="effective_ms",
        that="max < 1ms",
        passed=False,
        actual=None,
        count=0,
        rollouts=1,
        distribution=None,
        where="s.yaml:9",
        error="no sample",
    )
    missed = failed(expectations=[], thresholds=[threshold])
    assert headline(missed) == "not so: effective_ms max < 1ms"
    assert place_of(missed) == ("s.yaml", 9)
    assert "s.yaml:9" in failure_text(missed)
    assert "expectations" not in failure_text(missed)


def test_an_error_is_told_before_what_does_not_hold() -> None:
    error = ErrorReport(message="step 2 (wait): waited\nin vain", where="s.yaml:3:5", hint="look")
    stopped = failed(error=error, expectations=[UNKEPT])
    assert headline(stopped) == "step 2 (wait): waited"
    assert place_of(stopped) == ("s.yaml", 3)
    assert "hint  look" in failure_text(stopped)


def test_what_is_in_no_file_has_no_place() -> None:
    unplaced = UNKEPT.model_copy(update={"where": "tests/test_a.py"})
    assert place_of(failed(expectations=[unplaced])) is None


def test_the_death_of_a_part_is_raised_with_the_end_of_its_log() -> None:
    log = "\n".join(f"line {number}" for number in range(1, 41))
    died = error_of(ErrorReport(message="envoy died: exit status -9", part="envoy", log_tail=log))
    assert isinstance(died, PartDied)
    assert str(died) == "envoy died: exit status -9"
    (note,) = died.__notes__
    assert note.splitlines()[:2] == ["its last log lines", "  line 21"]
    assert note.endswith("  line 40")


def test_any_other_error_of_a_run_is_the_environments() -> None:
    problem = error_of(ErrorReport(message="the disk is full", hint="free some"))
    assert isinstance(problem, EnvironmentProblem)
    assert str(problem) == "the disk is full\n  hint: free some"

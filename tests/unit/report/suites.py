"""Cases with what became of them, to report on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.scenario.result import Expectation, Result
from sim.scenario.suite import Case, load_suite
from sim.scenario.verdicts import Attempt, AttemptOutcome, CaseVerdict
from tests.unit.report.results import result

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: NAME, title: {en: A demonstration}, labels: [incident]}
spec:
  steps:
  - sleep: 1ms
"""


def case(folder: Path, name: str = "demo") -> Case:
    file = folder / name / "scenario.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SCENARIO.replace("NAME", name), encoding="utf-8")
    (made,) = load_suite([file]).cases
    return made


def attempt(outcome: AttemptOutcome = "passed", told: str = "", **changes: Any) -> Attempt:
    """One that took two seconds. What could not begin has no result."""
    if told:
        return Attempt(outcome, None, 2.0, told)
    made: Result = result(outcome="passed" if outcome == "interrupted" else outcome, directory="runs/demo-1", **changes)
    return Attempt(outcome, made, 2.0, "")


def missed(that: str = "traffic.users.failed == 0", where: str = "demo/scenario.yaml:9", **actual: Any) -> Expectation:
    return Expectation(that=that, passed=False, actual=actual or {"traffic.users.failed": 3}, where=where)


def verdict(folder: Path, *attempts: Attempt, runs: int | None = None, name: str = "demo") -> CaseVerdict:
    return CaseVerdict(case(folder, name), runs or max(1, len(attempts)), list(attempts))

"""The lines of a suite and of a difference: what happened first, then where, what was seen, and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim.report.case_problems import problems_of
from sim.report.difference import difference_lines, summary, time_lines, verdict_lines
from sim.report.suite_lines import case_lines, summary_line
from sim.scenario.compare import compare
from sim.scenario.result import ErrorReport
from sim.scenario.transcript import transcript
from sim.scenario.verdicts import CaseVerdict, Drift
from tests.unit.report.suites import attempt, missed, verdict
from tests.unit.scenario.recorded import PLUGIN, tag_bump


def lines(made: CaseVerdict) -> list[str]:
    return [line.plain for line in case_lines(made)]


def test_a_case_that_passed_is_one_line(tmp_path: Path) -> None:
    assert lines(verdict(tmp_path, attempt())) == ["PASSED          2.0 s  demo"]


def test_a_case_that_failed_says_where_what_and_with_which_values(tmp_path: Path) -> None:
    told = lines(verdict(tmp_path, attempt("failed", expectations=[missed()])))
    assert told[0] == "FAILED          2.0 s  demo"
    assert told[1] == "    demo/scenario.yaml:9  not so: traffic.users.failed == 0"
    assert told[2] == "        traffic.users.failed = 3"
    assert told[-1] == "    runs/demo-1"


def test_a_step_that_failed_tells_its_hint(tmp_path: Path) -> None:
    error = ErrorReport(message="step 2 (wait): ran out of time", where="demo/scenario.yaml:6:3", hint="look at acked")
    told = lines(verdict(tmp_path, attempt("failed", error=error)))
    assert told[1:3] == ["    demo/scenario.yaml:6  step 2 (wait): ran out of time", "        hint: look at acked"]


def test_a_part_that_died_tells_the_end_of_its_log(tmp_path: Path) -> None:
    error = ErrorReport(message="envoy died: exit status -11", part="envoy", log_tail="one\ntwo")
    told = lines(verdict(tmp_path, attempt("error", error=error)))
    assert told[0].startswith("ERROR")
    assert told[2:4] == ["        one", "        two"]


def test_what_could_not_begin_tells_what_its_process_said(tmp_path: Path) -> None:
    told = lines(verdict(tmp_path, attempt("error", told="ecdsim: no Envoy at x\n  hint: install it")))
    assert told[1].endswith("/demo/scenario.yaml:3  no Envoy at x")
    assert "hint: install it" in told[2]


def test_a_traceback_is_told_by_its_last_line(tmp_path: Path) -> None:
    text = "Traceback (most recent call last):\n  File x\nKeyError: 'y'"
    assert lines(verdict(tmp_path, attempt("error", told=text)))[1].endswith("  KeyError: 'y'")


def test_a_flaky_case_has_not_passed_and_says_how_often_it_did(tmp_path: Path) -> None:
    made = verdict(tmp_path, *[attempt()] * 9, attempt("failed", expectations=[missed()]))
    assert made.outcome == "flaky"
    told = lines(made)
    assert told[0] == "FLAKY          20.0 s  demo  9 of 10 passed"
    assert "        in 1 of 10 runs" in told


def test_a_problem_that_several_runs_have_is_told_once(tmp_path: Path) -> None:
    (problem,) = problems_of(verdict(tmp_path, *[attempt("failed", expectations=[missed()])] * 3))
    assert (problem.times, problem.of) == (3, 3)


def test_a_case_that_was_interrupted_has_not_passed(tmp_path: Path) -> None:
    assert verdict(tmp_path, attempt(), attempt("interrupted"), runs=3).outcome == "interrupted"
    assert verdict(tmp_path, attempt("failed"), attempt("interrupted"), runs=3).outcome == "failed"
    assert verdict(tmp_path, runs=2).outcome == "not run"


def test_the_summary_counts_every_outcome(tmp_path: Path) -> None:
    made = [
        verdict(tmp_path, attempt()),
        verdict(tmp_path, attempt()),
        verdict(tmp_path, attempt("failed")),
        verdict(tmp_path),
    ]
    assert summary_line(made, 12.34).plain == "2 passed, 1 failed, 1 not run in 12.3 s"


RUN, OTHER = tag_bump(), tag_bump(blocked="/admin")
BEFORE, AFTER = (transcript(run.result, run.events, run.read) for run in (RUN, OTHER))


def test_a_case_that_drifted_has_failed_and_shows_the_difference_and_the_way_out(tmp_path: Path) -> None:
    made = verdict(tmp_path, attempt())
    made.drift = Drift(difference=compare(BEFORE, AFTER))
    told = lines(made)
    assert told[0].startswith("FAILED")
    assert "not as the baseline has it" in told[1]
    assert any('spec.defaultConfig.block_urls[0]  "swagger.html" → "/admin"' in line for line in told)
    assert any("--update-baseline" in line for line in told)


def test_a_case_without_a_baseline_has_failed_and_says_how_to_write_one(tmp_path: Path) -> None:
    made = verdict(tmp_path, attempt())
    made.drift = Drift(missing=True)
    assert made.outcome == "failed"
    assert any("add --update-baseline" in line for line in lines(made))


@pytest.mark.parametrize("update", ["new", "changed"])
def test_a_baseline_that_was_written_is_told(update: str, tmp_path: Path) -> None:
    made = verdict(tmp_path, attempt())
    made.drift = Drift(update="new" if update == "new" else "changed")
    assert lines(made) == [f"PASSED          2.0 s  demo  baseline {update}"]


def test_hops_with_the_same_change_are_told_together() -> None:
    told = list(difference_lines(compare(BEFORE, AFTER)))
    pushed = told.index("  rollouts[1] · discovery.push ECDS sent · higress-system.request-block")
    assert told[pushed + 1] == "  rollouts[1] · agent.rewrite before · higress-system.request-block"


def test_a_lane_shows_what_came_and_went_with_what_is_around_it() -> None:
    assert BEFORE.lanes is not None
    name = f"rollouts[1] · module {PLUGIN}"
    fetch, unpack, rewrite = BEFORE.lanes[name]
    changed = replace(BEFORE, lanes={**BEFORE.lanes, name: [fetch, rewrite, "agent.replace allow_all"]})
    told = list(difference_lines(compare(BEFORE, changed)))
    assert told == [
        "order",
        f"  {name}",
        f"      {fetch}",
        f"    - {unpack}",
        f"      {rewrite}",
        "    + agent.replace allow_all",
    ]


def test_what_is_on_one_side_alone_names_that_side() -> None:
    assert BEFORE.payloads is not None
    hop = next(iter(BEFORE.payloads))
    fewer = replace(BEFORE, payloads={key: value for key, value in BEFORE.payloads.items() if key != hop})
    sides = ("baselines/demo.json", "runs/demo-1")
    assert any("only in baselines/demo.json" in line for line in difference_lines(compare(BEFORE, fewer), sides))
    assert any("only in runs/demo-1" in line for line in difference_lines(compare(fewer, BEFORE), sides))


def test_times_stand_in_a_table_with_ratio_and_difference() -> None:
    times = {**BEFORE.times_ms, "rollouts[1]": {**BEFORE.times_ms["rollouts[1]"], "load": [58.0, 90.0, 120.0]}}
    found = compare(BEFORE, replace(BEFORE, times_ms=times), max_ratio=1.2)
    told = [line for line in time_lines(found.times) if line.split()[:1] == ["load"]]
    assert told[1].split() == [
        "load",
        "60.00",
        "ms",
        "90.00",
        "ms",
        "(58.00–120.00,",
        "3×)",
        "×1.50",
        "+30.00",
        "ms",
        "slower",
    ]
    assert list(verdict_lines(found, 1.2)) == [
        "regressed",
        "  rollouts[1] load: 60 → 90 ms, ×1.50  +30.00 ms",
        "different: 1 time",
    ]


def test_what_is_the_same_is_one_line() -> None:
    assert list(verdict_lines(compare(BEFORE, BEFORE), 2.0)) == ["same"]
    assert summary(compare(BEFORE, BEFORE), None) == "same (times are not held against each other)"

"""What counts as a difference, what as a regression, and when a time does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.scenario.compare import Change, Difference, compare, merged
from sim.scenario.transcript import Transcript, transcript
from tests.unit.scenario.recorded import tag_bump

RUN = tag_bump()
BEFORE = transcript(RUN.result, RUN.events, RUN.read)


def with_verdict(place: str, **fields: Any) -> Transcript:
    return replace(BEFORE, verdicts={**BEFORE.verdicts, place: {**BEFORE.verdicts.get(place, {}), **fields}})


def with_times(**stages: list[float]) -> Transcript:
    return replace(BEFORE, times_ms={**BEFORE.times_ms, "rollouts[1]": {**BEFORE.times_ms["rollouts[1]"], **stages}})


def test_a_run_is_the_same_as_itself() -> None:
    found = compare(BEFORE, BEFORE, max_ratio=1.0)
    assert found.same
    assert found.to_json()["regressed"] == []


@pytest.mark.parametrize(
    ("place", "fields", "regressed"),
    [
        ("rollouts[1]", {"acked": False}, ["rollouts[1].acked"]),
        ("rollouts[1]", {"nacked": True}, ["rollouts[1].nacked"]),
        ("rollouts[1]", {"error": "refused"}, ["rollouts[1].error"]),
        ("rollouts[1]", {"replaced_by": "allow_all"}, ["rollouts[1].replaced_by"]),
        ("rollouts[1]", {"listener_updates": 1}, ["rollouts[1].listener_updates"]),
        ("rollouts[0]", {"listener_updates": 0}, []),
        ("rollouts[1]", {"cached": True}, []),
        ("run", {"outcome": "failed", "error": "step 2"}, ["run.outcome", "run.error"]),
    ],
)
def test_a_verdict_that_is_worse_is_a_regression_and_one_that_is_other_a_difference(
    place: str, fields: dict[str, Any], regressed: list[str]
) -> None:
    found = compare(BEFORE, with_verdict(place, **fields))
    assert not found.same
    assert [change.name for change in found.regressions()] == regressed


def test_what_was_bad_before_and_is_well_now_is_no_regression() -> None:
    found = compare(with_verdict("rollouts[1]", acked=False), BEFORE)
    assert not found.same
    assert found.regressions() == []


def test_an_expectation_is_known_by_its_expression() -> None:
    one = with_verdict("expectations", **{"size(rollouts) == 2": True, "a.b > 1": True})
    other = with_verdict("expectations", **{"size(rollouts) == 2": False})
    found = compare(one, other)
    assert [change.name for change in found.regressions()] == ["expectations: size(rollouts) == 2"]
    assert [change.path for change in found.verdicts] == ["size(rollouts) == 2", "a.b > 1"]


def test_times_are_told_and_do_not_count_without_a_ratio() -> None:
    found = compare(BEFORE, with_times(load=[600.0]))
    assert found.same
    (load,) = [each for each in found.times if (each.rollout, each.stage) == ("rollouts[1]", "load")]
    assert (load.ratio, load.delta_ms, load.slower) == (10.0, 540.0, False)


@pytest.mark.parametrize(
    ("load_ms", "slower"),
    [(60.0, False), (119.0, False), (121.0, True), (1.0, False)],
)
def test_a_time_counts_beyond_the_ratio_and_only_if_it_is_longer(load_ms: float, slower: bool) -> None:
    found = compare(BEFORE, with_times(load=[load_ms]), max_ratio=2.0)
    assert found.same is not slower
    assert [each.stage for each in found.slower] == (["load"] if slower else [])


def test_a_stage_of_less_than_a_timers_grain_never_counts() -> None:
    assert compare(BEFORE, with_times(convert=[9.9]), max_ratio=2.0).same
    assert not compare(BEFORE, with_times(convert=[10.3]), max_ratio=2.0).same


def test_several_runs_are_held_against_each_other_by_their_medians() -> None:
    runs = [with_times(load=[value]) for value in (58.0, 60.0, 400.0)]
    whole, varying = merged(runs)
    assert varying == []
    found = compare(BEFORE, whole, max_ratio=2.0)
    (load,) = [each for each in found.times if (each.rollout, each.stage) == ("rollouts[1]", "load")]
    assert (load.after.median, load.after.min, load.after.max, load.after.count) == (60.0, 58.0, 400.0, 3)
    assert found.same


def test_the_same_change_made_again_and_again_is_one_group() -> None:
    verdicts = {**BEFORE.verdicts, "rollouts[2]": BEFORE.verdicts["rollouts[1]"]}
    times = {**with_times(load=[50.0]).times_ms, "rollouts[2]": {"load": [70.0]}}
    repeated = replace(BEFORE, verdicts=verdicts, times_ms=times)
    found = compare(repeated, repeated)
    (load,) = [each for each in found.times if each.stage == "load" and each.before.count == 2]
    assert (load.rollout, load.before.median) == ("rollouts[1], rollouts[2]", 60.0)


def test_runs_that_differ_from_the_first_are_named() -> None:
    _, varying = merged([BEFORE, BEFORE, with_verdict("rollouts[1]", cached=True)])
    assert [index for index, _ in varying] == [2]


def test_the_data_of_a_difference_leaves_out_the_side_that_has_nothing() -> None:
    assert set(Change("a", "b", 1, 2).to_json()) == {"place", "path", "before", "after"}
    run = tag_bump(blocked="/admin")
    found = compare(BEFORE, transcript(run.result, run.events, run.read)).to_json()
    assert found["same"] is False
    assert {"place", "path", "before", "after"} == set(found["payloads"][0])
    assert Difference().to_json()["payloads"] is None


def test_what_traffic_lost_on_one_side_alone_is_told_and_does_not_count() -> None:
    lost = {"users": {"failed": 3, "connections_broken": 0}, "others": {"failed": 2, "connections_broken": 1}}
    kept = {"users": {"failed": 0, "connections_broken": 0}, "others": {"failed": 5, "connections_broken": 1}}
    found = compare(replace(BEFORE, traffic=kept), replace(BEFORE, traffic=lost))
    assert found.same
    assert [(change.name, change.before, change.after) for change in found.traffic] == [("users.failed", 0, 3)]

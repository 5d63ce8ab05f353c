"""Thresholds: what they say, what they are held against, and what is wrong with them before anything starts."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import Location
from sim.manifests import read_documents
from sim.scenario.load import LoadedScenario, load_scenario
from sim.scenario.problems import InvalidScenario
from sim.scenario.result import Rollout, Stages, Threshold
from sim.scenario.schema import scenario_schema
from sim.scenario.thresholds import METRICS, Over, PlacedThreshold, hold_thresholds, parse_rule, percentile

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
  images: [{plugin: request-block, tag: 1.0.0}]
  gateways: [{name: east}, {name: west}]
  steps:
  - apply: plugin.yaml
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec: {url: "oci://registry.local/plugins/request-block:1.0.0"}
"""


def rollout(effective_ms: float | None, **changes: Any) -> Rollout:
    facts: dict[str, Any] = {
        "plugin": "a/b",
        "change": "image",
        "from": None,
        "to": None,
        "stages_ms": Stages(fetch=changes.pop("fetch", None)),
        "effective_ms": effective_ms,
        "settled_ms": None,
        "workers": [],
        "acked": True,
        "nacked": False,
    }
    return Rollout(**{**facts, **changes})


def held(that: str, rollouts: list[Rollout], metric: str = "effective_ms", **over: Any) -> Threshold:
    placed = PlacedThreshold(metric, parse_rule(that), Over(**over), Location("demo.yaml", 12, 5))
    (made,) = hold_thresholds([placed], rollouts)
    return made


TEN = [rollout(float(value)) for value in (100, 20, 30, 40, 50, 60, 70, 80, 90, 10)]


@pytest.mark.parametrize(
    ("that", "passed", "actual"),
    [
        ("p(95) < 96ms", True, 95.5),
        ("p(95) < 95.5ms", False, 95.5),
        ("p(95) <= 95.5ms", True, 95.5),
        ("p(100) == 100ms", True, 100.0),
        ("p(0) == 10ms", True, 10.0),
        ("p( 99.9 )<1m", True, 99.91),
        ("med < 55ms", False, 55.0),
        ("avg == 55ms", True, 55.0),
        ("min >= 0.01s", True, 10.0),
        ("max < 1s", True, 100.0),
        ("max > 0.1s", False, 100.0),
        ("max != 100ms", False, 100.0),
        ("count == 10", True, 10),
        ("count >= 11", False, 10),
    ],
)
def test_a_threshold_holds_a_statistic_of_all_rollouts_against_its_limit(
    that: str, passed: bool, actual: float
) -> None:
    made = held(that, TEN)
    assert (made.passed, made.actual, made.error) == (passed, actual, None)
    assert (made.that, made.where, made.count, made.rollouts) == (that, "demo.yaml:12", 10, 10)


def test_a_threshold_tells_the_distribution_of_its_samples() -> None:
    distribution = held("max < 1s", TEN).distribution
    assert distribution is not None
    assert distribution.model_dump() == {"min": 10.0, "avg": 55.0, "med": 55.0, "p95": 95.5, "max": 100.0}


def test_a_rollout_without_the_metric_is_no_sample_but_counted_among_the_rollouts() -> None:
    made = held("max < 1s", [rollout(5.0), rollout(None)])
    assert (made.passed, made.count, made.rollouts) == (True, 1, 2)


@pytest.mark.parametrize(
    ("over", "values"),
    [
        ({}, [1.0, 2.0, 3.0]),
        ({"change": "image"}, [1.0, 2.0]),
        ({"plugin": "a/c"}, [2.0]),
        ({"gateway": "west"}, [2.0, 3.0]),
        ({"change": "image", "gateway": "west"}, [2.0]),
    ],
)
def test_a_threshold_may_be_over_some_rollouts_only(over: dict[str, Any], values: list[float]) -> None:
    rollouts = [
        rollout(1.0, gateway="east"),
        rollout(2.0, gateway="west", plugin="a/c"),
        rollout(3.0, gateway="west", change="config"),
    ]
    made = held("max < 1s", rollouts, **over)
    assert (made.count, made.actual, made.over) == (len(values), max(values), over)


def test_the_only_gateway_of_a_run_is_the_one_that_is_named() -> None:
    assert held("max < 1s", [rollout(5.0)], gateway="east").count == 1


def test_a_stage_is_a_metric_too() -> None:
    made = held("max < 3ms", [rollout(5.0, fetch=2.0), rollout(5.0)], "stages_ms.fetch")
    assert (made.passed, made.actual, made.count, made.rollouts) == (True, 2.0, 1, 2)


@pytest.mark.parametrize(
    ("rollouts", "over", "error"),
    [
        ([], {}, "there is no sample: no plugin changed in this run"),
        (
            [rollout(None)],
            {"change": "image"},
            "there is no sample: effective_ms is null in every rollout of change image, 1 in all",
        ),
        (TEN, {"change": "config"}, "there is no sample: none of the run's 10 rollouts is of change config"),
    ],
)
@pytest.mark.parametrize("that", ["max < 1s", "count == 0", "count < 5"])
def test_a_threshold_without_a_sample_fails_and_says_so(
    rollouts: list[Rollout], over: dict[str, Any], error: str, that: str
) -> None:
    made = held(that, rollouts, **over)
    assert (made.passed, made.error, made.distribution) == (False, error, None)


@given(st.lists(st.floats(0, 1e6), min_size=2), st.integers(1, 99))
def test_a_percentile_interpolates_as_the_standard_library_does(samples: list[float], percent: int) -> None:
    expected = statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]
    assert percentile(samples, percent) == pytest.approx(expected)


# -- in a file ----------------------------------------------------------------------------------------------


def load(folder: Path, thresholds: str) -> LoadedScenario:
    (folder / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")
    file = folder / "demo.yaml"
    file.write_text(f"{SCENARIO}  thresholds:\n{thresholds}\n", encoding="utf-8")
    return load_scenario(file)


FORMS = """\
    effective_ms:
    - p(95) < 500ms
    - {over: {change: image, gateway: east}, must: [max < 1s, count >= 1]}
    settled_ms: max < 2s
    stages_ms.fetch: {over: {plugin: higress-system/block}, must: [med < 50ms]}"""


def test_every_form_of_a_threshold_is_read_and_keeps_its_place(tmp_path: Path) -> None:
    loaded = load(tmp_path, FORMS)
    told = [(each.metric, each.rule.text, each.where.line) for each in loaded.thresholds]
    assert told == [
        ("effective_ms", "p(95) < 500ms", 11),
        ("effective_ms", "max < 1s", 12),
        ("effective_ms", "count >= 1", 12),
        ("settled_ms", "max < 2s", 13),
        ("stages_ms.fetch", "med < 50ms", 14),
    ]
    assert loaded.thresholds[1].where.key == "spec.thresholds.effective_ms[1].must[0]"
    again = tmp_path / "again.yaml"
    again.write_text(loaded.resolved_yaml(), encoding="utf-8")
    assert load_scenario(again).scenario.spec.thresholds == loaded.scenario.spec.thresholds


def test_the_json_schema_takes_what_loading_takes(tmp_path: Path) -> None:
    load(tmp_path, FORMS)
    for name in ("demo.yaml", "again.yaml"):
        if name == "again.yaml":
            (tmp_path / name).write_text(load(tmp_path, FORMS).resolved_yaml(), encoding="utf-8")
        (document,) = read_documents((tmp_path / name).read_text(encoding="utf-8"), name)
        jsonschema.Draft202012Validator(scenario_schema()).validate(document.data)


WRONG = {
    "a metric that there is not": ("effectiv_ms: [max < 1s]", "effectiv_ms", "did you mean effective_ms?"),
    "a stage by itself": ("fetch_ms: [max < 1s]", "fetch_ms", "did you mean stages_ms.fetch?"),
    "a limit without a unit": ("effective_ms: [p(95) < 500]", "effective_ms[0]", "did you mean 500ms?"),
    "a number alone": ("effective_ms: [500]", "effective_ms[0]", "max < 500ms or p(95) < 500ms"),
    "a number and nothing else": ("effective_ms: 500", "effective_ms", "max < 500ms"),
    "a unit that there is not": ("effective_ms: [max < 500us]", "effective_ms[0]", "such as 100ms"),
    "a percentile as others write it": ("effective_ms: [max < 1s, p95 < 1s]", "effective_ms[1]", "write p(95)"),
    "a percentile past all": ("effective_ms: [p(101) < 1s]", "effective_ms[0]", "at most 100"),
    "a statistic that there is not": ("effective_ms: [mex < 1s]", "effective_ms[0]", "did you mean med?"),
    "a rate": ("effective_ms: [rate < 1s]", "effective_ms[0]", "use avg, min, med, max, p(N), count"),
    "no comparison": ("effective_ms: [max]", "effective_ms[0]", "write it like p(95) < 500ms"),
    "an assignment": ("effective_ms: [max = 1s]", "effective_ms[0]", "write =="),
    "three signs": ("effective_ms: [max === 1s]", "effective_ms[0]", "write =="),
    "two in one": ("effective_ms: [min > 1s && max < 2s]", "effective_ms[0]", "list each by itself"),
    "a count with a unit": ("effective_ms: [count > 5s]", "effective_ms[0]", "write count >= 20"),
    "a count of halves": ("effective_ms: [count > 0.5]", "effective_ms[0]", "write count >= 20"),
    "nothing": ("effective_ms:", "effective_ms", "nothing follows the key"),
    "an empty list": ("effective_ms: []", "effective_ms", "list at least 1"),
    "a mapping that must nothing": ("effective_ms: {over: {change: image}}", "effective_ms", "add must:"),
    "an unknown key": ("effective_ms: {ovr: {}, must: [max < 1s]}", "effective_ms.ovr", "did you mean over?"),
    "a change that there is not": (
        "effective_ms: {over: {change: images}, must: [max < 1s]}", "effective_ms.over.change", "did you mean image?"
    ),
    "a plugin that there is not": (
        "effective_ms: [{over: {plugin: higress-system/blok}, must: [max < 1s]}]", "effective_ms[0].over.plugin",
        "did you mean higress-system/block?",
    ),
    "a gateway that there is not": (
        "effective_ms: {over: {gateway: eats}, must: [max < 1s]}", "effective_ms.over.gateway", "did you mean east?"
    ),
    "a rule in must that is none": (
        "effective_ms: {must: [max < 1s, p95 < 1s]}", "effective_ms.must[1]", "write p(95)"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "key", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_threshold_is_told_at_its_place(tmp_path: Path, written: str, key: str, hint: str) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load(tmp_path, f"    {written}")
    (problem,) = refused.value.problems
    assert problem.where is not None
    assert problem.where.line == 10
    assert str(problem.where.key).startswith(f"spec.thresholds.{key}")
    assert hint in str(problem.hint)


@pytest.mark.parametrize("name", [name for name, (text, *_) in WRONG.items() if "over: {" not in text])
def test_the_json_schema_refuses_what_is_wrong_with_a_threshold(name: str) -> None:
    text = f"{SCENARIO}  thresholds:\n    {WRONG[name][0]}\n"
    (document,) = read_documents(text, "demo.yaml")
    # A percentile past all is beyond a pattern.
    assert jsonschema.Draft202012Validator(scenario_schema()).is_valid(document.data) is (
        name == "a percentile past all"
    )


def test_every_metric_can_be_read_off_a_rollout() -> None:
    full = rollout(1.0, settled_ms=1.0, stages_ms=Stages(**dict.fromkeys(Stages.model_fields, 1.0)))
    assert [held("count == 1", [full], metric).passed for metric in METRICS] == [True] * len(METRICS)

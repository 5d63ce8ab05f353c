"""Thresholds: what the rollouts of a run must keep to together, in k6's words: `p(95) < 500ms`, `max < 1s`.

A sample is one rollout for which the metric is not null. `p(N)` interpolates between the two samples next to it, as k6
does, and `med` is `p(50)`. A threshold that has no sample at all fails.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from sim.errors import Location
from sim.manifests import Document
from sim.model import parse_duration_s
from sim.scenario.problems import did_you_mean, suggestion, written_path
from sim.scenario.quantities import PluginKey, QuantityHint, Text
from sim.scenario.result import STAGES, Distribution, Rollout, Threshold
from sim.scenario.strict import Strict

METRICS = ("effective_ms", "settled_ms", *(f"stages_ms.{stage}" for stage in STAGES))
STATISTICS = ("avg", "min", "med", "max", "p(N)", "count")

_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_RULE = re.compile(r"(?P<statistic>[^<>=!]*)(?P<relation>[<>=!]+)(?P<limit>[^<>=!]*)")
_PERCENTILE = re.compile(r"p\(\s*(?P<percent>\d+(?:\.\d+)?)\s*\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PATTERN = (
    r"^\s*(avg|min|med|max|p\(\s*\d+(\.\d+)?\s*\))\s*(<=|>=|==|!=|<|>)\s*(\d+(\.\d+)?(ms|s|m|h))+\s*$"
    r"|^\s*count\s*(<=|>=|==|!=|<|>)\s*\d+\s*$"
)
_RULE_SCHEMA = {"type": "string", "pattern": _PATTERN, "examples": ["p(95) < 500ms", "max < 1s", "count >= 20"]}
_LIKE = "write it like p(95) < 500ms"


@dataclass(frozen=True, slots=True)
class Rule:
    """`statistic` is one of avg, min, med, max, count and p, which has its `percent`; `limit` is in milliseconds."""

    text: str
    statistic: str
    percent: float
    relation: str
    limit: float

    def actual(self, samples_ms: Sequence[float]) -> float | int | None:
        """The statistic over the samples; None where there are none and it is not `count`."""
        if self.statistic == "count":
            return len(samples_ms)
        if not samples_ms:
            return None
        match self.statistic:
            case "avg":
                return round(sum(samples_ms) / len(samples_ms), 3)
            case "min":
                return min(samples_ms)
            case "max":
                return max(samples_ms)
        return round(percentile(samples_ms, self.percent), 3)

    def holds(self, actual: float) -> bool:
        return _RELATIONS[self.relation](actual, self.limit)


def parse_rule(text: str) -> Rule:
    """Read `p(95) < 500ms`. Raises ValueError, with what would be right after a semicolon."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        if "&&" in text or "||" in text:
            raise ValueError(f"{text!r} is more than one threshold; list each by itself")
        raise ValueError(f"{text!r} compares nothing; {_LIKE}")
    relation = match["relation"]
    if relation not in _RELATIONS:
        meant = "==" if relation in ("=", "===") else "!=" if relation == "!==" else None
        raise ValueError(f"{relation} compares nothing; {f'write {meant}' if meant else _LIKE}")
    statistic, percent = _statistic(match["statistic"].strip())
    return Rule(text, statistic, percent, relation, _limit(match["limit"].strip(), statistic))


def _statistic(text: str) -> tuple[str, float]:
    match = _PERCENTILE.fullmatch(text)
    if match is not None:
        percent = float(match["percent"])
        if percent > 100:
            raise ValueError(f"{text} is no percentile; N in p(N) is at most 100")
        return "p", percent
    if text == "med":
        return "p", 50.0
    if text in STATISTICS and text != "p(N)":
        return text, 0.0
    bare = re.fullmatch(r"p\s*(\d+(?:\.\d+)?)", text)
    known = f"use {', '.join(STATISTICS)}"
    if bare is not None:
        raise ValueError(f"there is no statistic {text}; write p({bare[1]})")
    raise ValueError(f"there is no statistic {text!r}; {suggestion(text, STATISTICS, known)}")


def _limit(text: str, statistic: str) -> float:
    """Milliseconds, or a number where the statistic is one."""
    if statistic == "count":
        if not text.isdecimal():
            raise ValueError(f"count is a number of rollouts, not {text!r}; write count >= 20")
        return float(text)
    if _NUMBER.fullmatch(text):
        raise ValueError(f"{text} carries no unit; did you mean {text}ms?")
    try:
        return parse_duration_s(text) * 1000
    except ValueError as error:
        raise ValueError(str(error)) from None


def percentile(samples: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest ranks. There must be a sample."""
    ordered = sorted(samples)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


# -- in a scenario's file -----------------------------------------------------------------------------------


def _check_rule(text: str) -> str:
    parse_rule(text)
    return text


RuleText = Annotated[
    str,
    AfterValidator(_check_rule),
    WithJsonSchema(_RULE_SCHEMA),
    QuantityHint("a threshold", ("max < {}ms", "p(95) < {}ms")),
]


class Over(Strict):
    """Which rollouts a threshold is over; every one unless told otherwise."""

    change: Literal["add", "image", "config", "remove", "other"] | None = Field(
        default=None, description="Only changes of this kind, as rollouts[…].change has it"
    )
    plugin: PluginKey | None = Field(default=None, description="Only this plugin's")
    gateway: Text | None = Field(default=None, description="Only on this gateway")


class Thresholds(Strict):
    """What a metric must keep to, over some rollouts."""

    over: Over = Field(default_factory=Over, description="Which rollouts; every one unless told otherwise")
    must: list[RuleText] = Field(
        min_length=1, description="avg, min, med, max, p(N) or count, compared with a duration or, for count, a number"
    )


class _Written:
    """The forms that a metric's thresholds may have: one, a list of them, or a mapping with `over` and `must`."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        group = handler(schema)["items"]
        either = [_RULE_SCHEMA, group]
        return {"anyOf": [*either, {"type": "array", "items": {"anyOf": either}, "minItems": 1}]}


def _groups(value: Any) -> Any:
    """Each text as a group of its own, so that an error is told where the text stands."""
    if value is None:
        return value
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, Mapping | Thresholds) else {"must": [item]} for item in items]


def _known_metrics(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name not in METRICS:
            stage = f"stages_ms.{name.removesuffix('_ms')}"
            near = stage if stage in METRICS else did_you_mean(name, METRICS)
            known = f"metrics are effective_ms, settled_ms and stages_ms.<{', '.join(STAGES)}>"
            raise PydanticCustomError(
                "metric",
                "there is no metric {name}; {hint}",
                {"name": name, "hint": f"did you mean {near}? {known}" if near else known, "path": (name,)},
            )
    return value


ThresholdsByMetric = Annotated[
    dict[str, Annotated[list[Thresholds], BeforeValidator(_groups), Field(min_length=1), _Written()]],
    AfterValidator(_known_metrics),
    Field(json_schema_extra={"propertyNames": {"enum": list(METRICS)}}),
]


# -- over a run's rollouts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlacedThreshold:
    """One rule of a scenario, at its place."""

    metric: str
    rule: Rule
    over: Over
    where: Location


def placed_thresholds(by_metric: Mapping[str, Sequence[Thresholds]], document: Document) -> tuple[PlacedThreshold, ...]:
    """Every rule, in the order of the file."""
    found = []
    for metric, groups in by_metric.items():
        for position, group in enumerate(groups):
            for number, text in enumerate(group.must):
                path = written_path(("spec", "thresholds", metric, position, "must", number), document.data)
                found.append(PlacedThreshold(metric, parse_rule(text), group.over, document.where(*path)))
    return tuple(found)


def hold_thresholds(thresholds: Sequence[PlacedThreshold], rollouts: Sequence[Rollout]) -> list[Threshold]:
    """Each threshold with what the rollouts say of it."""
    return [_hold(threshold, rollouts) for threshold in thresholds]


def _hold(threshold: PlacedThreshold, rollouts: Sequence[Rollout]) -> Threshold:
    # The only gateway of a run has no name, so whatever it is called, every rollout was there.
    named = any(rollout.gateway is not None for rollout in rollouts)
    chosen = [rollout for rollout in rollouts if _is_over(threshold.over, rollout, named=named)]
    samples_ms = [value for rollout in chosen if (value := _value(threshold.metric, rollout)) is not None]
    actual = threshold.rule.actual(samples_ms)
    where = threshold.where
    return Threshold(
        metric=threshold.metric,
        that=threshold.rule.text,
        over={key: str(value) for key, value in threshold.over.model_dump(exclude_none=True).items()},
        passed=bool(samples_ms) and actual is not None and threshold.rule.holds(actual),
        actual=actual,
        count=len(samples_ms),
        rollouts=len(chosen),
        distribution=_distribution(samples_ms) if samples_ms else None,
        where=f"{where.file}:{where.line}" if where.line is not None else where.file,
        error=None if samples_ms else _nothing(threshold, len(chosen), len(rollouts)),
    )


def _is_over(over: Over, rollout: Rollout, *, named: bool) -> bool:
    return (
        over.change in (None, rollout.change)
        and over.plugin in (None, rollout.plugin)
        and (not named or over.gateway in (None, rollout.gateway))
    )


def _value(metric: str, rollout: Rollout) -> float | None:
    value: Any = rollout
    for name in metric.split("."):
        value = getattr(value, name)
    return value if isinstance(value, float) else None


def _distribution(samples_ms: Sequence[float]) -> Distribution:
    return Distribution(
        min=min(samples_ms),
        avg=round(sum(samples_ms) / len(samples_ms), 3),
        med=round(percentile(samples_ms, 50), 3),
        p95=round(percentile(samples_ms, 95), 3),
        max=max(samples_ms),
    )


def _nothing(threshold: PlacedThreshold, chosen: int, known: int) -> str:
    over = ", ".join(f"{key} {value}" for key, value in threshold.over.model_dump(exclude_none=True).items())
    if not known:
        return "there is no sample: no plugin changed in this run"
    if not chosen:
        return f"there is no sample: none of the run's {known} rollouts is of {over}"
    narrowed = f" of {over}" if over else ""
    return f"there is no sample: {threshold.metric} is null in every rollout{narrowed}, {chosen} in all"

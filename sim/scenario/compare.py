"""What differs between two runs, or between a run and its baseline: verdicts, order, payloads, times."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.scenario.field_changes import ABSENT, changed_fields
from sim.scenario.transcript import TIMES, Transcript

#: Two times that are nearer to each other than this are the same, whatever their ratio: schedulers and timers alone
#: move a stage of half a millisecond to a whole one.
TIME_FLOOR_MS = 10.0


@dataclass(frozen=True, slots=True)
class Change:
    """One value. `place` is what it is of: a rollout, a hop; `path` leads to it; either side may be ABSENT."""

    place: str
    path: str
    before: Any
    after: Any

    @property
    def name(self) -> str:
        """What changed, in one piece: `rollouts[1].acked`."""
        if self.place in _BY_EXPRESSION:
            return f"{self.place}: {self.path}"
        return f"{self.place}.{self.path}" if self.path else self.place

    def to_json(self) -> dict[str, Any]:
        sides = {"before": self.before, "after": self.after}
        return {"place": self.place, "path": self.path, **{k: v for k, v in sides.items() if v is not ABSENT}}


@dataclass(frozen=True, slots=True)
class LaneChange:
    """A lane whose events, or their order, are others. None: one side does not have it."""

    lane: str
    before: list[str] | None
    after: list[str] | None

    def to_json(self) -> dict[str, Any]:
        return {"lane": self.lane, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Spread:
    """A stage's times, in milliseconds."""

    median: float
    min: float
    max: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(round(statistics.median(values), 3), min(values), max(values), len(values))

    def to_json(self) -> dict[str, Any]:
        return {"median_ms": self.median, "min_ms": self.min, "max_ms": self.max, "count": self.count}


@dataclass(frozen=True, slots=True)
class TimeChange:
    """One stage on both sides. `slower`: beyond the ratio that was asked for."""

    rollout: str
    stage: str
    before: Spread
    after: Spread
    slower: bool

    @property
    def ratio(self) -> float | None:
        """Medians, after to before; None where the latter is 0."""
        return round(self.after.median / self.before.median, 3) if self.before.median else None

    @property
    def delta_ms(self) -> float:
        return round(self.after.median - self.before.median, 3)

    def to_json(self) -> dict[str, Any]:
        return {
            "rollout": self.rollout,
            "stage": self.stage,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "ratio": self.ratio,
            "delta_ms": self.delta_ms,
            "slower": self.slower,
        }


@dataclass(slots=True)
class Difference:
    """From `before` to `after`. `order` and `payloads` are None where one side has no trace."""

    verdicts: list[Change] = field(default_factory=list)
    order: list[LaneChange] | None = None
    payloads: list[Change] | None = None
    #: Requests that fail and connections that break where none did, or the other way round. It may be chance, so it
    #: counts only by an expectation.
    traffic: list[Change] = field(default_factory=list)
    times: list[TimeChange] = field(default_factory=list)

    @property
    def slower(self) -> list[TimeChange]:
        return [each for each in self.times if each.slower]

    @property
    def same(self) -> bool:
        """Whether nothing differs that counts; of the times only those beyond the ratio do."""
        return not (self.verdicts or self.order or self.payloads or self.slower)

    def regressions(self) -> list[Change]:
        """The verdicts that are worse than before."""
        return [change for change in self.verdicts if _worse(change)]

    def to_json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "regressed": [
                *(change.name for change in self.regressions()),
                *(f"{each.rollout} {each.stage}" for each in self.slower),
            ],
            "verdicts": [change.to_json() for change in self.verdicts],
            "order": None if self.order is None else [change.to_json() for change in self.order],
            "payloads": None if self.payloads is None else [change.to_json() for change in self.payloads],
            "traffic": [change.to_json() for change in self.traffic],
            "times": [each.to_json() for each in self.times],
        }


def compare(before: Transcript, after: Transcript, max_ratio: float | None = None) -> Difference:
    """What is different in `after`. Without `max_ratio` times are told, and never count."""
    made = Difference(
        verdicts=list(_field_changes(before.verdicts, after.verdicts)),
        traffic=[
            change
            for change in _field_changes(before.traffic, after.traffic)
            if isinstance(change.before, int) and isinstance(change.after, int) and 0 in (change.before, change.after)
        ],
        times=list(_time_changes(before, after, max_ratio)),
    )
    if before.lanes is not None and after.lanes is not None:
        lanes = dict.fromkeys([*before.lanes, *after.lanes])
        made.order = [
            LaneChange(name, before.lanes.get(name), after.lanes.get(name))
            for name in lanes
            if before.lanes.get(name) != after.lanes.get(name)
        ]
    if before.payloads is not None and after.payloads is not None:
        made.payloads = list(_field_changes(before.payloads, after.payloads))
    return made


def merged(transcripts: Sequence[Transcript]) -> tuple[Transcript, list[tuple[int, Difference]]]:
    """Several runs of one scenario as one, with the times of all; and which of them differ from the first, and how."""
    first = transcripts[0]
    varying = []
    times: dict[str, dict[str, list[float]]] = {}
    traffic: dict[str, dict[str, int]] = {}
    for index, each in enumerate(transcripts):
        difference = compare(first, each)
        if not difference.same:
            varying.append((index, difference))
        for rollout, stages in each.times_ms.items():
            for stage, values in stages.items():
                times.setdefault(rollout, {}).setdefault(stage, []).extend(values)
        for name, seen in each.traffic.items():
            for key, number in seen.items():
                traffic.setdefault(name, {})[key] = traffic.get(name, {}).get(key, 0) + number
    whole = Transcript(
        first.scenario,
        first.profile,
        first.combination,
        first.outcome,
        first.verdicts,
        first.lanes,
        first.payloads,
        times,
        traffic,
    )
    return whole, varying


# -- values --------------------------------------------------------------------------------------------------------


def _field_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for place in dict.fromkeys([*before, *after]):
        old, new = before.get(place, ABSENT), after.get(place, ABSENT)
        if place in _BY_EXPRESSION:
            old, new = old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
            for that in dict.fromkeys([*old, *new]):
                if old.get(that) != new.get(that):
                    yield Change(place, that, old.get(that, ABSENT), new.get(that, ABSENT))
            continue
        for path, one, other in changed_fields(old, new):
            yield Change(place, path, one, other)


#: Verdicts whose fields are expressions, not names.
_BY_EXPRESSION = ("expectations", "thresholds")

#: Fields of a verdict and the value that is the good one.
_GOOD: Mapping[str, Any] = {
    "acked": True,
    "nacked": False,
    "error": None,
    "replaced_by": None,
    "outcome": "passed",
}


def _worse(change: Change) -> bool:
    if change.place in _BY_EXPRESSION:
        return change.before is True and change.after is False
    if change.path == "listener_updates":
        return isinstance(change.before, int) and isinstance(change.after, int) and change.after > change.before
    if change.path == "error" and change.before is ABSENT:
        return True
    return change.path in _GOOD and change.before == _GOOD[change.path] and change.after != _GOOD[change.path]


# -- times ---------------------------------------------------------------------------------------------------------


def _time_changes(before: Transcript, after: Transcript, max_ratio: float | None) -> Iterator[TimeChange]:
    old, new = _grouped(before), _grouped(after)
    for key, (label, stages) in old.items():
        if key not in new:
            continue
        for stage in TIMES:
            times = (stages.get(stage), new[key][1].get(stage))
            if not times[0] or not times[1]:
                continue
            a, b = Spread.of(times[0]), Spread.of(times[1])
            beyond = max_ratio is not None and b.median > a.median * max_ratio and b.median - a.median > TIME_FLOOR_MS
            yield TimeChange(label, stage, a, b, beyond)


def _grouped(transcript: Transcript) -> dict[tuple[Any, ...], tuple[str, dict[str, list[float]]]]:
    """The times by what the rollouts were: the same change, made again and again, is one group."""
    groups: dict[tuple[Any, ...], tuple[list[str], dict[str, list[float]]]] = {}
    for rollout, stages in transcript.times_ms.items():
        verdict = transcript.verdicts.get(rollout, {})
        key = tuple(verdict.get(name) for name in ("plugin", "gateway", "change", "from", "to"))
        names, pooled = groups.setdefault(key, ([], {}))
        names.append(rollout)
        for stage, values in stages.items():
            pooled.setdefault(stage, []).extend(values)
    return {key: (_label(names), pooled) for key, (names, pooled) in groups.items()}


def _label(names: list[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]}, {names[1]}, … {names[-1]}"

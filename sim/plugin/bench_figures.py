"""What measurements amount to: medians, what they leave open, and whether a difference is one. Pure functions.

Nothing here is stated without its spread.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

#: How often the measurement is drawn anew from itself.
RESAMPLES = 500
#: Of these draws, the middle so much is the interval.
_CONFIDENCE = 0.95
#: Fixed, so that the same samples give the same interval.
_SEED = 20

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the least and greatest of them."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values), len(values))

    def as_dict(self, digits: int = 3) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "median": round(self.median, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was measured, and the interval in which it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    @property
    def discernible(self) -> bool:
        """Of a difference: whether it is more than this machine, as busy as it was, makes of nothing."""
        return self.low > 0 or self.high < 0

    @property
    def limit(self) -> float:
        """Of a difference that is not discernible: how large it may be at most, in either direction."""
        return max(abs(self.low), abs(self.high))

    def as_dict(self, digits: int = 3) -> dict[str, Any]:
        """Ready for JSON."""
        return {"value": round(self.value, digits), "low": round(self.low, digits), "high": round(self.high, digits)}


@dataclass(frozen=True, slots=True)
class Pair:
    """The latencies of two rounds beside each other, in the unit of whoever asks. Neither is empty."""

    plain: Sequence[float]
    plugin: Sequence[float]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: the least of the values that so many percent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def added_median(runs: Sequence[Sequence[Pair]]) -> Estimate:
    """What the plugin adds to the median: the median of the pairs' differences.

    `runs` are the pairs of each Envoy, none without any. The interval allows for what pairs of one Envoy have in common
    besides the plugin: Envoys are drawn, and then pairs of each (a bootstrap in two stages).
    """
    return _estimate([[median(pair.plugin) - median(pair.plain) for pair in run] for run in runs], median)


def added_percentile(runs: Sequence[Sequence[Pair]], percent: float) -> Estimate:
    """What it adds to a percentile of all requests; the interval is made as that of `added_median`."""
    return _estimate(
        [[(pair.plugin, pair.plain) for pair in run] for run in runs],
        lambda pairs: (
            _of_all([plugin for plugin, _ in pairs], percent) - _of_all([plain for _, plain in pairs], percent)
        ),
    )


def level(runs: Sequence[Sequence[Sequence[float]]], percent: float) -> Estimate:
    """A percentile of all requests of one way, of which `runs` has each Envoy's rounds."""
    return _estimate(runs, lambda rounds: _of_all(rounds, percent))


def _of_all(rounds: Sequence[Sequence[float]], percent: float) -> float:
    return percentile([value for each in rounds for value in each], percent)


def _estimate(runs: Sequence[Sequence[_T]], statistic: Callable[[Sequence[_T]], float]) -> Estimate:
    lots = random.Random(_SEED)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = lots.choices(runs, k=len(runs))
        drawn.append(statistic([value for run in chosen for value in lots.choices(run, k=len(run))]))
    drawn.sort()
    outside = round((1 - _CONFIDENCE) / 2 * RESAMPLES)
    value = statistic([value for run in runs for value in run])
    # Few values may be drawn so that what they come to lies at the very edge.
    return Estimate(value, min(drawn[outside], value), max(drawn[-1 - outside], value))

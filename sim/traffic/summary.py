"""What a load's samples amount to: pure functions, for `result.json` and for reports."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from hdrh.histogram import HdrHistogram

from sim.traffic.rollout import Rollout
from sim.traffic.samples import Attribute, Connections, Sample, Samples

#: Latencies are told apart to 3 significant digits between a microsecond and an hour.
LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
NO_VERSION = "none"


class Measured(Protocol):
    """What is summarised: a load, or anything with its samples and connections."""

    @property
    def samples(self) -> Samples: ...

    @property
    def connections(self) -> Connections: ...


def summarise(load: Measured) -> dict[str, Any]:
    """The object `traffic.<name>` of `result.json`.

    Latencies run from when a request was *due*, not from when it could be sent, so that a stall counts for
    everyone who had to wait for it (no coordinated omission); only requests that did not fail have one.
    `by_version` and `by_status` count every response, failed ones included. `longest_gap_ms` is the longest time
    between two successful responses in a row, over all connections. `versions` gives each version's first and last
    arrival.
    Nothing measured is null, never 0.
    """
    summary = load.samples.derived.setdefault("summary", Summary())
    summary.take(load.samples)
    return {
        **summary.facts(),
        "connections_opened": load.connections.opened,
        "connections_broken": load.connections.broken,
        "connections_drained": load.connections.drained,
    }


class Summary:
    """The figures of samples that grow: each is looked at once."""

    def __init__(self) -> None:
        self._seen = 0
        self._failed = 0
        self._by_version: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._versions: dict[str, dict[str, int]] = {}
        self._latencies = Latencies()
        self._last_success_ns: int | None = None
        self._longest_gap_ns: int | None = None

    def take(self, samples: Samples) -> None:
        """Take in those that came since the last call."""
        for position in range(self._seen, len(samples)):
            self._take(samples[position])
        self._seen = len(samples)

    def _take(self, sample: Sample) -> None:
        self._failed += sample.failed
        if not sample.failed:
            self._latencies.take(sample.done_ns - sample.due_ns)
            if self._last_success_ns is not None:
                self._longest_gap_ns = max(self._longest_gap_ns or 0, sample.done_ns - self._last_success_ns)
            self._last_success_ns = sample.done_ns
        if sample.status is None:
            return
        version = NO_VERSION if sample.version is None else sample.version
        self._by_version[version] += 1
        self._by_status[str(sample.status)] += 1
        seen = self._versions.setdefault(version, {"first_t_ns": sample.done_ns, "last_t_ns": 0, "count": 0})
        seen["last_t_ns"] = sample.done_ns
        seen["count"] += 1

    def facts(self) -> dict[str, Any]:
        """As `summarise` gives them, without the connections."""
        return {
            "requests": self._seen,
            "failed": self._failed,
            "by_version": dict(self._by_version),
            "by_status": dict(self._by_status),
            "versions": {version: dict(seen) for version, seen in self._versions.items()},
            "latency_ms": self._latencies.told(),
            "longest_gap_ms": round(self._longest_gap_ns / 1e6, 3) if self._longest_gap_ns is not None else None,
        }


class Latencies:
    """`p50`, `p99` (to three significant digits) and `max` (exact) in milliseconds; null without latencies."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        self._longest_us = 0

    def take(self, latency_ns: int) -> None:
        latency_us = min(max(round(latency_ns / 1000), LOWEST_US), HIGHEST_US)
        self._longest_us = max(self._longest_us, latency_us)
        self._histogram.record_value(latency_us)

    def told(self) -> dict[str, float | None]:
        if not self._longest_us:
            return {"p50": None, "p99": None, "max": None}
        # The histogram answers with the upper edge of a bucket, which may lie beyond the largest value in it.
        p50, p99 = (
            min(int(self._histogram.get_value_at_percentile(percent)), self._longest_us) for percent in (50, 99)
        )
        return {"p50": p50 / 1000, "p99": p99 / 1000, "max": self._longest_us / 1000}


def rollout_view(
    samples: Samples,
    version: str | None,
    since_ns: int,
    until_ns: int | None = None,
    attribute: Attribute | None = None,
) -> tuple[int | None, int | None]:
    """When `version` first answered after `since_ns`, and from when on nobody else did, both as arrival times.

    The second is the last response by another version, or the first by this one if that came later: it is never
    before the first. It is None while another version had the last word. `until_ns` ends the view, where the next
    rollout begins. `attribute` reads another plugin's versions.
    """
    # Asked again and again while a run goes on: what was seen of the samples need not be seen again.
    key = ("rollout", version, since_ns, until_ns, attribute)
    rollout = samples.derived.get(key)
    if rollout is None:
        rollout = samples.derived[key] = Rollout(samples, version, since_ns, attribute, until_ns=until_ns)
    first = rollout.advance()
    if first is None:
        return None, None
    if not rollout.streak:
        return first.done_ns, None
    return first.done_ns, max(first.done_ns, rollout.last_other_ns or 0)

"""What a load's samples amount to: pure functions, for `result.json` and for reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
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
    samples = load.samples
    requests = failed = 0
    by_version: Counter[str] = Counter()
    by_status: Counter[str] = Counter()
    versions: dict[str, dict[str, int]] = {}
    succeeded: list[Sample] = []
    for sample in samples:
        requests += 1
        failed += sample.failed
        if not sample.failed:
            succeeded.append(sample)
        if sample.status is None:
            continue
        version = NO_VERSION if sample.version is None else sample.version
        by_version[version] += 1
        by_status[str(sample.status)] += 1
        seen = versions.setdefault(version, {"first_t_ns": sample.done_ns, "last_t_ns": 0, "count": 0})
        seen["last_t_ns"] = sample.done_ns
        seen["count"] += 1
    return {
        "requests": requests,
        "failed": failed,
        "by_version": dict(by_version),
        "by_status": dict(by_status),
        "versions": versions,
        "connections_opened": load.connections.opened,
        "connections_broken": load.connections.broken,
        "connections_drained": load.connections.drained,
        "latency_ms": latency_ms(sample.done_ns - sample.due_ns for sample in succeeded),
        "longest_gap_ms": longest_gap_ms([sample.done_ns for sample in succeeded]),
    }


def latency_ms(latencies_ns: Iterable[int]) -> dict[str, float | None]:
    """`p50`, `p99` (to three significant digits) and `max` (exact) in milliseconds; null without latencies."""
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    longest_us = 0
    for latency_ns in latencies_ns:
        latency_us = min(max(round(latency_ns / 1000), LOWEST_US), HIGHEST_US)
        longest_us = max(longest_us, latency_us)
        histogram.record_value(latency_us)
    if not longest_us:
        return {"p50": None, "p99": None, "max": None}
    # The histogram answers with the upper edge of a bucket, which may lie beyond the largest value in it.
    p50, p99 = (min(int(histogram.get_value_at_percentile(percent)), longest_us) for percent in (50, 99))
    return {"p50": p50 / 1000, "p99": p99 / 1000, "max": longest_us / 1000}


def longest_gap_ms(arrivals_ns: list[int]) -> float | None:
    """The longest interval between two arrivals in a row; null if there are not two. `arrivals_ns` is in order."""
    gaps = [later - earlier for earlier, later in pairwise(arrivals_ns)]
    return round(max(gaps) / 1e6, 3) if gaps else None


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
    rollout = Rollout(samples, version, since_ns, attribute, until_ns=until_ns)
    first = rollout.advance()
    if first is None:
        return None, None
    if not rollout.streak:
        return first.done_ns, None
    return first.done_ns, max(first.done_ns, rollout.last_other_ns or 0)

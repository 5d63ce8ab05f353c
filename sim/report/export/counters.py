"""Responses over time as counters: how many a second, by version, and how many failed in an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

#: Responses are counted in intervals of this length, of a long run in longer ones.
SHORTEST_NS = 100_000_000
MOST_INTERVALS = 2000
NO_VERSION = "none"


def responses(columns: Mapping[str, Any]) -> Iterator[tuple[int, str, str | None]]:
    """Of a load in `traffic.json`: when each request ended, the version that answered, and why it failed, if it did."""
    names = [*columns["versions"]]
    versions = (names[index] if index >= 0 else NO_VERSION for index, many in columns["version"] for _ in range(many))
    failed: dict[int, str] = dict(columns["failed"])
    at_us = 0
    for position, (step_us, version) in enumerate(zip(columns["t_us"], versions, strict=False)):
        at_us += step_us
        yield columns["start_ns"] + at_us * 1000, version, failed.get(position)


def counters(traffic: Mapping[str, Any], pids: Mapping[str, int], zero_ns: int) -> Iterator[dict[str, Any]]:
    """`C` events; `traffic` are the columns by load, `pids` the process that each load's counters belong to.

    A response that failed counts as a failure, not as one by a version.
    """
    for load, columns in traffic.items():
        told = list(responses(columns))
        if not told:
            continue
        first_ns, last_ns = told[0][0], told[-1][0]
        length_ns = max(SHORTEST_NS, (last_ns - first_ns) // MOST_INTERVALS)
        series = sorted({version for _, version, why in told if why is None})
        counted: dict[int, Counter[str | None]] = {}
        for at_ns, version, why in told:
            counted.setdefault((at_ns - first_ns) // length_ns, Counter())[None if why is not None else version] += 1
        per_s = 1e9 / length_ns
        for interval in range((last_ns - first_ns) // length_ns + 2):
            # The one after the last brings every line back to 0.
            count = counted.get(interval, Counter())
            at = {"ph": "C", "pid": pids[load], "ts": (first_ns - zero_ns + interval * length_ns) / 1000}
            yield {**at, "name": load, "args": {"responses/s": round(count.total() * per_s, 1)}}
            by_version = {version: round(count[version] * per_s, 1) for version in series}
            if by_version:
                yield {**at, "name": f"{load} responses/s of", "args": by_version}
            yield {**at, "name": load, "args": {"failed": count[None]}}

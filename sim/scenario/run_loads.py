"""The traffic of a run: the probes' orders, and what a watcher is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sim.scenario.rollouts import Attribution
from sim.scenario.run import Watcher
from sim.scenario.schema import Traffic
from sim.traffic.echo import STREAM_HEADER
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import by_header

_TICK_S = 0.25


async def tell_traffic(loads: Mapping[str, Load], watcher: Watcher) -> None:
    """Every quarter of a second: the rate and the versions since the last time."""
    positions = dict.fromkeys(loads, 0)
    failed = dict.fromkeys(loads, 0)
    while True:
        await asyncio.sleep(_TICK_S)
        for name, load in loads.items():
            fresh = load.samples[positions[name] :]
            positions[name] += len(fresh)
            by_version: dict[str, int] = {}
            for sample in fresh:
                failed[name] += sample.failed
                if sample.status is not None:
                    key = sample.version or "none"
                    by_version[key] = by_version.get(key, 0) + 1
            watcher.on_traffic(name, len(fresh) / _TICK_S, by_version, failed[name])


def load_spec(name: str, traffic: Traffic, how: Attribution, gateway: str = "") -> LoadSpec:
    """The probe's orders for one kind of traffic."""
    known = next(iter(how.headers.values()), how.first_header)
    header = known if traffic.version_by is None else None
    attribute = how.by_load.get(name) or (by_header(header) if header is not None else None)
    return LoadSpec(
        name=name,
        gateway=gateway,
        rate_per_s=traffic.rate_per_s,
        connections=traffic.connections,
        method=traffic.method,
        path=traffic.path,
        headers=_headers(traffic),
        authority=traffic.host,
        body=traffic.body,
        timeout_ms=round(traffic.timeout_s * 1000),
        fail_status=tuple(str(status) for status in traffic.fail_status),
        version_header=header,
        attribute=attribute,
        protocol=traffic.protocol,
    )


def _headers(traffic: Traffic) -> dict[str, str]:
    if traffic.protocol != "stream":
        return traffic.headers
    # The upstream's pieces come as often as the probe's requests are due on each connection.
    every_ms = max(1, round(1000 * traffic.connections / traffic.rate_per_s))
    return {**traffic.headers, STREAM_HEADER: str(every_ms)}

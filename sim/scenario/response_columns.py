"""`traffic.json` of the run directory: every response of each load, in columns, for whoever draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.traffic.load import Load

SCHEMA = 1


def response_columns(loads: Mapping[str, Load]) -> dict[str, Any]:
    """`{"schema": 1, "loads": {name: columns}}`; samples are in the order in which they ended.

    `start_ns` is when the first one ended, on CLOCK_MONOTONIC; `t_us` are the microseconds between each and the one
    before. `version` are runs of [index in `versions`, how many], with index -1 for no version; `failed` are
    [position, why] of those that failed; `connection` is -1 where there was none.
    """
    return {"schema": SCHEMA, "loads": {name: _columns(load) for name, load in loads.items()}}


def columns_since(load: Load, position: int) -> dict[str, Any]:
    """The columns of the samples from this position on."""
    return _columns(load, position)


def _columns(load: Load, first: int = 0) -> dict[str, Any]:
    t_us: list[int] = []
    versions: list[str] = []
    runs: list[list[int]] = []
    failed: list[tuple[int, str]] = []
    connection: list[int] = []
    start_ns = before_us = 0
    for position, sample in enumerate(load.samples[first:] if first else load.samples):
        if position == 0:
            start_ns = sample.done_ns
        at_us = (sample.done_ns - start_ns) // 1000
        t_us.append(at_us - before_us)
        before_us = at_us
        if sample.version is not None and sample.version not in versions:
            versions.append(sample.version)
        index = -1 if sample.version is None else versions.index(sample.version)
        if runs and runs[-1][0] == index:
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
        if sample.error is not None:
            failed.append((position, sample.error))
        connection.append(-1 if sample.connection is None else sample.connection)
    return {
        "gateway": load.spec.gateway or None,
        "protocol": load.spec.protocol,
        "start_ns": start_ns,
        "t_us": t_us,
        "versions": versions,
        "version": runs,
        "failed": failed,
        "connection": connection,
    }

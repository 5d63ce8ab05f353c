"""From the trace's clock to the wall's: CLOCK_MONOTONIC says nothing of the date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sim.report.html.run_files import RunFiles

_NAMED_AFTER = re.compile(r"-(\d{8}T\d{6}Z)(?:-\d+)?$")


@dataclass(frozen=True, slots=True)
class WallClock:
    """`offset_ns` is added to a trace's time to get nanoseconds since the epoch."""

    offset_ns: int

    def ns(self, t_ns: int) -> int:
        return t_ns + self.offset_ns

    def text(self, t_ns: int) -> str:
        """`2025-01-01T10:00:00.123Z`"""
        at_s, rest_ns = divmod(self.ns(t_ns), 1_000_000_000)
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03}Z"


def wall_clock(run: RunFiles) -> WallClock | None:
    """What the run's first event says (`wall_ns`); else the name of its directory, which is good to a second.

    None where neither tells.
    """
    for event in run.events:
        told = event.data.get("wall_ns") if event.event == "run.started" else None
        if isinstance(told, int):
            return WallClock(told - event.t_ns)
    if not run.events:
        return None
    for name in (run.directory.resolve().name, Path(run.result.directory or "").name):
        found = _NAMED_AFTER.search(name)
        if found is not None:
            began = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return WallClock(round(began.timestamp()) * 1_000_000_000 - run.events[0].t_ns)
    return None

"""The responses of a run, a dot each, in the columns of `traffic.json` cut to what the player draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.trace import Event

_OPENED = "traffic.connection_opened"
_ENDED = frozenset({"traffic.connection_broken", "traffic.connection_drained", "traffic.connection_closed"})


def dots(traffic: Mapping[str, Any], events: Sequence[Event], start_ns: int) -> dict[str, Any]:
    """By load: its columns, its beginning after `start_ns` (`t0`, µs) and each connection's row (`rows`).

    A connection has a row for as long as it is open, so there are as many rows as connections at once.
    """
    made = {}
    for load, columns in traffic.items():
        rows, count = _rows(load, events)
        made[load] = {
            "t0": (columns["start_ns"] - start_ns) // 1000,
            **{key: columns[key] for key in ("t_us", "versions", "version", "failed", "connection")},
            "rows": rows,
            "row_count": count,
        }
    return made


def _rows(load: str, events: Sequence[Event]) -> tuple[dict[str, int], int]:
    rows: dict[str, int] = {}
    taken: dict[int, int] = {}
    for event in sorted((e for e in events if e.data.get("load") == load), key=lambda e: e.t_ns):
        if event.event == _OPENED:
            used = set(taken.values())
            row = next(n for n in range(len(taken) + 1) if n not in used)
            taken[event.data["connection"]] = rows[str(event.data["connection"])] = row
        elif event.event in _ENDED:
            taken.pop(event.data.get("connection", -1), None)
    return rows, max(rows.values(), default=0) + 1

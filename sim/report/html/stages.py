"""The waterfalls of a run's rollouts, as JSON with words in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.report.html.words import NOTES_ZH
from sim.report.waterfall import Row, events_of_rollouts, waterfall
from sim.scenario.result import Rollout
from sim.trace import Event


def stages(rollouts: Sequence[Rollout], events: Sequence[Event]) -> list[dict[str, Any]]:
    """For each rollout its nine `rows` and the length of their axis, `span`, in milliseconds."""
    made = []
    for rollout, own in zip(rollouts, events_of_rollouts(rollouts, events), strict=True):
        found = waterfall(rollout, own)
        made.append({"span": round(found.span_ms, 3), "rows": [_row(row) for row in found.rows]})
    return made


def _row(row: Row) -> dict[str, Any]:
    note = None if row.note is None else {"en": row.note, "zh": NOTES_ZH.get(row.note, row.note)}
    return {
        "step": row.step.number,
        "segments": [[each.stage, round(each.start_ms, 3), round(each.length_ms, 3)] for each in row.segments],
        "at": None if row.at_ms is None else round(row.at_ms, 3),
        "note": note,
        "failed": row.failed,
    }

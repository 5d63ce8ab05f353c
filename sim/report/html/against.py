"""Two runs laid over each other: the stages' times side by side, and where the order of events differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from sim.errors import InvalidInput, Location
from sim.report.html.lanes import lanes_of
from sim.report.html.payloads import Payloads
from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles
from sim.report.html.stages import stages
from sim.report.html.story import story
from sim.scenario.compare import LaneChange, compare
from sim.scenario.result import Rollout
from sim.scenario.transcript import Transcript, transcript

#: Of what is the same so many lines are shown around a difference.
_CONTEXT = 2


def against(run: RunFiles, other: RunFiles, redaction: Redaction) -> dict[str, Any]:
    """What the page of `run` (A) shows of `other` (B). Raises InvalidInput where a trace does not fit its result."""
    found = compare(_transcript(run), _transcript(other))
    lanes = lanes_of(other.result, other.events)
    items = story(
        other.events, other.result.rollouts, lanes, Payloads(other.read, redaction), redaction, other.start_ns
    )
    kept = ("t", "s", "lane", "ev", "r", "step", "bad", "type")
    told = [{key: item[key] for key in kept if key in item} for item in items if item.get("told")]
    start_ns = other.start_ns
    shown = {
        "name": other.directory.name,
        "scenario": other.result.scenario,
        "outcome": other.result.outcome,
        "profile": other.result.profile,
        "environment": other.result.environment.model_dump(mode="json"),
        "items": told,
        "applied": [(rollout.t_ns - start_ns) // 1000 for rollout in other.result.rollouts],
        "effective": [rollout.effective_ms for rollout in other.result.rollouts],
        "stages": stages(other.result.rollouts, other.events),
        "pairs": _pairs(run.result.rollouts, other.result.rollouts),
        "times": [
            {
                "rollout": each.rollout,
                "stage": each.stage,
                "a": each.before.median,
                "b": each.after.median,
                "ratio": each.ratio,
            }
            for each in found.times
        ],
        "order": None
        if found.order is None
        else [{"lane": change.lane, "lines": list(_lines(change))} for change in found.order],
        "verdicts": [change.to_json() for change in found.verdicts],
    }
    hidden: dict[str, Any] = redaction.data(shown)
    return hidden


def _transcript(run: RunFiles) -> Transcript:
    try:
        return transcript(run.result.to_json(), run.events, run.read if run.events else None)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"the trace can't be compared: {error}",
            where=Location(str(run.directory)),
            hint="is the run directory complete?",
        ) from error


def _pairs(own: Sequence[Rollout], others: Sequence[Rollout]) -> list[int | None]:
    """For each of A's rollouts the same change in B, by its number."""
    free = dict(enumerate(others))
    made: list[int | None] = []
    for rollout in own:
        number = next((n for n, other in free.items() if _what(other) == _what(rollout)), None)
        if number is None:
            number = next((n for n, other in free.items() if other.change == rollout.change), None)
        if number is not None:
            del free[number]
        made.append(number)
    return made


def _what(rollout: Rollout) -> tuple[Any, ...]:
    return rollout.plugin, rollout.gateway, rollout.change, rollout.from_, rollout.to


def _lines(change: LaneChange) -> Iterator[tuple[str, str]]:
    before, after = change.before or [], change.after or []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        if number:
            yield " ", "…"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from ((" ", line) for line in before[i1:i2])
            else:
                yield from (("-", line) for line in before[i1:i2])
                yield from (("+", line) for line in after[j1:j2])

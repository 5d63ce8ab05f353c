"""A rollout as nine rows on its own time axis, from `result.json`'s stages and the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sim.model import ECDS
from sim.report.steps import STEPS, Step
from sim.scenario.result import STAGES, Rollout
from sim.trace import Event

#: Steps whose work is on the listener. They run beside the others and are moments, not durations.
LISTENER_STEPS = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class Segment:
    """One stage, in milliseconds after the manifest was applied."""

    stage: str
    start_ms: float
    length_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One step: its stages that happened, or a moment (`at_ms`), or neither, and then `note` says why."""

    step: Step
    segments: tuple[Segment, ...] = ()
    at_ms: float | None = None
    note: str | None = None
    failed: bool = False

    @property
    def total_ms(self) -> float | None:
        """The time of all its stages; None when none happened."""
        return sum(segment.length_ms for segment in self.segments) if self.segments else None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Nine rows, and how long their axis is; 0 where nothing was measured."""

    rows: tuple[Row, ...]
    span_ms: float


def waterfall(rollout: Rollout, events: Sequence[Event]) -> Waterfall:
    """`events` are those of this rollout, as `events_of_rollouts` picks them; without them moments are missing."""
    segments = _segments(rollout)
    rows = tuple(
        _listener_row(step, rollout, events)
        if step.number in LISTENER_STEPS
        else _stage_row(step, rollout, events, tuple(s for s in segments if s.stage in step.stages))
        for step in STEPS
    )
    ends = [s.start_ms + s.length_ms for s in segments] + [row.at_ms for row in rows if row.at_ms is not None]
    return Waterfall(rows, max([rollout.effective_ms or 0.0, *ends]))


def events_of_rollouts(rollouts: Sequence[Rollout], events: Sequence[Event]) -> list[list[Event]]:
    """For each rollout its own `core.apply` and what followed on its gateway, up to the same plugin's next one.

    Events of other plugins are left out; those that name no plugin are kept. The list is empty where the trace has
    no such apply.
    """
    return [_events_of(rollout, events) for rollout in rollouts]


def _events_of(rollout: Rollout, events: Sequence[Event]) -> list[Event]:
    applies = [n for n, e in enumerate(events) if e.event == "core.apply" and e.plugin == rollout.plugin]
    start = next((n for n in applies if events[n].t_ns == rollout.t_ns), None)
    if start is None:
        return []
    end = next((n for n in applies if n > start), len(events))
    # Envoy's lines are read late: what is older than the apply belongs to what was before.
    return [
        e
        for e in events[start:end]
        if e.plugin in (None, rollout.plugin)
        and e.t_ns >= rollout.t_ns
        and (rollout.gateway is None or e.data.get("gateway") in (None, rollout.gateway))
    ]


def _segments(rollout: Rollout) -> list[Segment]:
    found, start_ms = [], 0.0
    for stage in STAGES:
        length_ms = getattr(rollout.stages_ms, stage)
        if length_ms is not None:
            found.append(Segment(stage, start_ms, length_ms))
            start_ms += length_ms
    return found


def _listener_row(step: Step, rollout: Rollout, events: Sequence[Event]) -> Row:
    if not rollout.listener_updates:
        return Row(step, note=_why_untouched(step, rollout))
    moment = next((event for event in events if any(name.matches(event) for name in step.events)), None)
    if moment is None:
        return Row(step, note="subscribed already" if step.number == 5 and events else "not in the trace")
    return Row(step, at_ms=(moment.t_ns - events[0].t_ns) / 1e6)


def _why_untouched(step: Step, rollout: Rollout) -> str:
    if step.number == 5 and rollout.change in ("image", "config"):
        return "subscribed already"
    if rollout.listener_updates is None:
        return "not measured"
    return "same bytes, listener untouched" if rollout.change in ("image", "config") else "listener untouched"


def _stage_row(step: Step, rollout: Rollout, events: Sequence[Event], segments: tuple[Segment, ...]) -> Row:
    failed = any(e.span == "failed" and step.covers(e) for e in events)
    refused_by = nacked_by(rollout, events)
    match step.number:
        case 1 if failed:
            return Row(step, segments, note="the conversion failed", failed=True)
        case 6 | 7 | 8 if rollout.change == "remove" and not segments:
            return Row(step, note="LDS alone removes a plugin")
        case 7 if failed or _pull_failed(rollout, events):
            return Row(step, segments, note="the pull failed", failed=True)
        case 7 if rollout.cached:
            return Row(step, segments, note="from the cache")
        case 8 if rollout.replaced_by is not None:
            return Row(
                step,
                segments,
                note=f"{rollout.replaced_by.replace('_', '-')} in the plugin's place",
                failed=failed,
            )
        case 8 if refused_by == "agent":
            return Row(step, segments, note="NACK to Discovery, by the agent", failed=True)
        case 8 if failed:
            return Row(step, segments, note="the image could not be used", failed=True)
        case 9 if refused_by == "envoy":
            return Row(step, segments, note="NACK by Envoy", failed=True)
    return Row(step, segments, note=None if segments else "did not happen", failed=failed)


def nacked_by(rollout: Rollout, events: Sequence[Event]) -> Literal["envoy", "agent"] | None:
    """Who refused the ECDS response; None if nobody did."""
    if not rollout.nacked:
        return None
    if any(e.event == "envoy.nack" and e.type_url == ECDS for e in events):
        return "envoy"
    if any(e.event == "agent.nack" for e in events):
        return "agent"
    # Without the trace: what was never delivered can't have been refused by Envoy.
    return "agent" if rollout.stages_ms.deliver is None else "envoy"


def _pull_failed(rollout: Rollout, events: Sequence[Event]) -> bool:
    """Whether the agent could not get the image, as far as the result alone tells."""
    if any(e.event == "agent.unpack" and e.span == "failed" for e in events):
        return False
    stages = rollout.stages_ms
    undelivered = rollout.error is not None and stages.push is not None and stages.deliver is None
    return stages.unpack is None and (rollout.replaced_by is not None or undelivered)

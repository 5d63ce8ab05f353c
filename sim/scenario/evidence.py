"""The trace around an expectation that was not true: which events belong to what it names, and when they came."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sim.model import LDS, short_name
from sim.scenario.follow import GatewayRecord, follow
from sim.scenario.result import Moment
from sim.trace import Event

#: At most so many events are told: the first two, where there are more, and the last ones.
MAX_MOMENTS = 8
_FIRST = 2

_STEP = "run.step"
_LONGEST_VALUE = 60
_LONGEST_TEXT = 200
#: Fields of `data` that say nothing to a reader, or what stands elsewhere in the line already.
_SILENT = frozenset({"stream", "gateway", "due_ns", "sent_ns", "active_vms", "payloads"})

_ROLLOUT = re.compile(r"\brollouts\[(\d+)\]")
_TRAFFIC = re.compile(r"\btraffic(?:\.(\w+)|\[\"([^\"]+)\"\])(?:\.(\w+))?")
_GATEWAY = re.compile(r"\bgateways(?:\.(\w+)|\[\"([^\"]+)\"\])(?:\.(\w+))?")
#: What makes a gateway come and go.
_LIFE = ("envoy.start", "envoy.stop", "run.start", "run.stop", "run.kill", "run.pause")


class Timeline:
    """The steps of a run on the trace's clock, to tell events relative to them."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._start_ns = events[0].t_ns if events else 0
        self._steps = sorted((e for e in events if e.event == _STEP and e.span == "started"), key=lambda e: e.t_ns)
        self._begun_ns = [step.t_ns for step in self._steps]

    def moment(self, event: Event) -> Moment:
        """The event as it is told, after the latest step that had begun; before the first, before that one."""
        step = self._steps[max(0, bisect_right(self._begun_ns, event.t_ns) - 1)] if self._steps else None
        since_ns = self._start_ns if step is None else step.t_ns
        return Moment(
            t_ns=event.t_ns,
            step=None if step is None else str(step.data.get("number") or step.data["index"] + 1),
            doing=None if step is None else str(step.data["step"]),
            after_ms=round((event.t_ns - since_ns) / 1e6, 3),
            event=event.event,
            text=_text(event),
        )


def moments_around(
    paths: Iterable[str], asked: Iterable[Event], context: Mapping[str, Any], events: Sequence[Event]
) -> list[Moment]:
    """The events of what an expression names, in the order of time; the last of all where that is nothing.

    `paths` are those that it looked at, `asked` the events that it asked for itself, which come before those of the
    paths where there is no room for both. `context` is the result as JSON.
    """
    told = {event.seq: event for event in asked}
    named = {event.seq: event for event in _of_paths(paths, context, events)}
    if not told or len(told | named) <= MAX_MOMENTS:
        told |= named
    timeline = Timeline(events)
    if not told:
        others = [event for event in events if event.span != "started" and event.event != _STEP]
        last = sorted(others[-MAX_MOMENTS:], key=lambda event: event.t_ns)
        return [timeline.moment(event) for event in last]
    relevant = sorted(told.values(), key=lambda event: event.t_ns)
    if len(relevant) <= MAX_MOMENTS:
        return [timeline.moment(event) for event in relevant]
    rest = MAX_MOMENTS - _FIRST
    shown = [timeline.moment(event) for event in (*relevant[:_FIRST], *relevant[-rest:])]
    shown[_FIRST].left_out = len(relevant) - MAX_MOMENTS
    return shown


def _of_paths(paths: Iterable[str], context: Mapping[str, Any], events: Sequence[Event]) -> list[Event]:
    found: list[Event] = []
    rollouts: dict[int, None] = {}
    for path in paths:
        rollouts.update(dict.fromkeys(int(match[1]) for match in _ROLLOUT.finditer(path)))
        for match in _TRAFFIC.finditer(path):
            found += _of_traffic(match[1] or match[2], match[3], events)
        for match in _GATEWAY.finditer(path):
            found += _of_gateway(match[1] or match[2], match[3], len(context.get("gateways") or ()) > 1, events)
    known = context.get("rollouts") or []
    # Of many the first shall do: events of all of them, mixed, would tell no story.
    for index in list(rollouts)[: 1 if len(rollouts) > 2 else 2]:
        if index < len(known):
            found += _of_rollout(known[index], events)
    return found


def _of_rollout(rollout: Mapping[str, Any], events: Sequence[Event]) -> list[Event]:
    """The events by which a change went from the manifest to the first response."""
    plugin, t_ns, gateway = rollout.get("plugin"), rollout.get("t_ns"), rollout.get("gateway")
    apply = next((e for e in events if e.event == "core.apply" and e.plugin == plugin and e.t_ns == t_ns), None)
    if apply is None:
        return []
    record = GatewayRecord()
    if gateway is not None:
        node_id = next((e.node_id for e in events if e.data.get("gateway") == gateway and e.node_id), "")
        record = GatewayRecord(gateway, node_id)
    trail = follow(events, apply, record)
    reached = [value for each in fields(trail) if isinstance(value := getattr(trail, each.name), Event)]
    seen: dict[tuple[Any, Any], Event] = {}
    for event in events[apply.seq : trail.end]:
        if event.event == "traffic.first_response" and event.t_ns >= apply.t_ns and record.sees(event):
            seen.setdefault((event.data.get("load"), event.data.get("version")), event)
    return [*reached, *trail.workers.values(), *seen.values()]


def _of_traffic(load: str, column: str | None, events: Sequence[Event]) -> list[Event]:
    own = [event for event in events if event.part == "traffic" and event.data.get("load") == load]
    if column is not None and column.startswith("connections_"):
        return [event for event in own if event.event == f"traffic.connection_{column.removeprefix('connections_')}"]
    if column in ("failed", "by_status"):
        return [event for event in own if event.event == "traffic.failed"]
    if column == "by_version":
        return [event for event in own if event.event == "traffic.first_response"]
    return [event for event in own if event.event in ("traffic.failed", "traffic.first_response")]


def _of_gateway(name: str, column: str | None, several: bool, events: Sequence[Event]) -> list[Event]:
    own = [
        event
        for event in events
        if not several or name in (event.data.get("gateway"), str(event.data.get("target")).rpartition("/")[2])
    ]
    if column == "listener_updates":
        return [event for event in own if event.event in ("envoy.ack", "envoy.nack") and event.type_url == LDS]
    return [event for event in own if event.event in _LIFE and event.span != "started"]


def _text(event: Event) -> str:
    words = []
    if event.span == "failed":
        words.append("failed")
    if event.type_url is not None:
        words.append(short_name(event.type_url))
    about = event.plugin or event.resource
    if about is not None:
        words.append(about)
    if event.image is not None:
        words.append(event.image.removeprefix("oci://"))
    if "gateway" in event.data:
        words.append(f"on {event.data['gateway']}")
    words += [f"{key}={_short(value)}" for key, value in event.data.items() if key not in _SILENT and value != []]
    text = " ".join(words)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"

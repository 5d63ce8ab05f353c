"""The events of a run as the player shows them: each with its lane, its step, its rollout, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.model import short_name
from sim.report.html.lanes import Lane, lane_of
from sim.report.html.payloads import Payloads
from sim.report.html.redaction import Redaction
from sim.report.html.words import said
from sim.report.steps import step_of
from sim.report.waterfall import events_of_rollouts
from sim.scenario.result import Rollout
from sim.trace import Event

#: What is told wherever it happens, because a reader must not miss it.
_TROUBLES = frozenset(
    {
        *("agent.replace", "agent.nack", "agent.upstream_failed", "agent.stream_broken"),
        *("discovery.mcp_refused", "discovery.mcp_disconnected", "envoy.nack"),
        *("traffic.failed", "traffic.connection_broken", "fault.injected", "fault.hit", "run.kill"),
    }
)
#: What belongs to the story beside the nine steps, without being bad.
_BESIDES = frozenset(
    {
        *("agent.retry", "agent.overtaken", "agent.purge", "core.template", "fault.cleared"),
        *("run.start", "run.stop", "run.pause", "run.advance", "run.load"),
    }
)
#: Of failures that follow each other within this time only the first is a stop of the player.
_BURST_NS = 250_000_000
#: Fields of `data` that stand elsewhere, or say nothing to a reader.
_SILENT = frozenset({"payloads", "gateway", "stream", "load", "due_ns", "sent_ns"})


def story(
    events: Sequence[Event],
    rollouts: Sequence[Rollout],
    lanes: Sequence[Lane],
    payloads: Payloads,
    redaction: Redaction,
    start_ns: int,
) -> list[dict[str, Any]]:
    """Every event but the beginnings of spans that ended, in the order of time.

    `t` and, of a span, `s` (its beginning) are microseconds after `start_ns`; `told` are those at which the
    player stops by default; `r` are the numbers of the rollouts; `bad` are failures.
    """
    ended = {(e.event, e.span_id) for e in events if e.span in ("completed", "failed")}
    begun = {(e.event, e.span_id): e.t_ns for e in events if e.span == "started"}
    shown = [e for e in events if e.span != "started" or (e.event, e.span_id) not in ended]
    shown.sort(key=lambda e: (e.t_ns, e.seq))
    owners = _owners(events, rollouts)
    conversions = _conversions(events)
    bursts: dict[tuple[str, Any], int] = {}
    first_apply_ns = min((rollout.t_ns for rollout in rollouts), default=None)
    items = []
    for position, event in enumerate(shown):
        own = owners.get(event.seq, [])
        step = step_of(event) if own else None
        plugin = event.plugin or (rollouts[own[0]].plugin if own else None)
        bad = event.span == "failed" or event.event in _TROUBLES or (bool(own) and _refused(event))
        item: dict[str, Any] = {
            "t": (event.t_ns - start_ns) // 1000,
            "lane": lane_of(event, lanes),
            "ev": event.event,
        }
        if (event.event, event.span_id) in begun and event.span in ("completed", "failed"):
            item["s"] = (begun[event.event, event.span_id] - start_ns) // 1000
        elif event.span == "started":
            item["open"] = True
        if event.type_url is not None:
            item["type"] = short_name(event.type_url)
        if own:
            item["r"] = own
        if step is not None:
            item["step"] = step.number
        elif own and event.event == "registry.request":
            item["step"] = 7
        if bad:
            item["bad"] = True
        for key, value in (("v", event.version_info), ("nonce", event.nonce), ("image", event.image)):
            if value is not None:
                item[key] = redaction.text(value)
        if plugin is not None:
            item["plugin"] = plugin
        data = {key: value for key, value in event.data.items() if key not in _SILENT}
        if data:
            item["data"] = redaction.data(data)
        if event.event.startswith("traffic."):
            item["load"] = event.data.get("load")
        convert = conversions.get(event.seq)
        found = payloads.take_manifest(position, event, convert) if convert else payloads.take(position, event, plugin)
        if found:
            item["pay"] = found
        told = bad or event.event in _BESIDES or (event.event == "envoy.start" and event.span == "completed")
        if step is not None and (event.event != "discovery.received" or event.data.get("changed") is not None):
            told = True
        if event.event == "registry.request" and own and event.data.get("method") == "GET":
            told = True
        if event.event == "registry.push" and first_apply_ns is not None and event.t_ns > first_apply_ns:
            told = True
        if event.event in ("traffic.failed", "traffic.connection_broken"):
            kind = (event.event, event.data.get("load"))
            told = event.t_ns - bursts.get(kind, -_BURST_NS) >= _BURST_NS
            bursts[kind] = event.t_ns
        if told:
            item["told"] = True
            words = said(event)
            if words is not None:
                item["say"] = {"en": redaction.text(words.en), "zh": redaction.text(words.zh)}
        items.append(item)
    return items


def _refused(event: Event) -> bool:
    """Whether the registry refused to give something; that it asks who is there is no refusal."""
    return (
        event.event == "registry.request"
        and event.data.get("method") == "GET"
        and event.data.get("status", 200) >= 400
        and event.data.get("status") != 401
    )


def _conversions(events: Sequence[Event]) -> dict[int, Event]:
    """By the position of an apply: the conversion that it leads to."""
    found: dict[int, Event] = {}
    applies: dict[str | None, Event] = {}
    for event in events:
        if event.event == "core.apply":
            applies[event.resource] = event
        elif event.event == "core.convert" and event.span != "started":
            apply = applies.pop(event.resource, None)
            if apply is not None:
                found[apply.seq] = event
    return found


def _owners(events: Sequence[Event], rollouts: Sequence[Rollout]) -> dict[int, list[int]]:
    """By an event's position in the trace: the rollouts that it is of. What names no plugin is the latest change's."""
    owners: dict[int, list[int]] = {}
    for index, own in enumerate(events_of_rollouts(rollouts, events)):
        for event in own:
            owners.setdefault(event.seq, []).append(index)
    for event in events:
        own_rollouts = owners.get(event.seq)
        if own_rollouts and event.plugin is None:
            latest = max(rollouts[index].t_ns for index in own_rollouts)
            owners[event.seq] = [index for index in own_rollouts if rollouts[index].t_ns == latest]
    return owners

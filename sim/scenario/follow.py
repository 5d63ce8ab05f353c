"""One change of a plugin, followed through the trace: which events belong to it, hop by hop.

A change begins with `core.apply`. From there each event leads to the next by what they share: the plugin's name up to
Discovery's push, the response's nonce from there to Envoy's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.model import ECDS, LDS
from sim.trace import Event


@dataclass(slots=True)
class Trail:
    """The events of one change, as far as it came. `end` is the position of the plugin's next change."""

    apply: Event
    end: int
    convert: Event | None = None
    mcp_push: Event | None = None
    received: Event | None = None
    debounce: Event | None = None
    push: Event | None = None
    intercept: Event | None = None
    fetch: Event | None = None
    unpack: Event | None = None
    rewrite: Event | None = None
    replace: Event | None = None
    deliver: Event | None = None
    #: `envoy.ack`, `envoy.nack` or, where the agent refused in Envoy's place, `agent.nack`.
    verdict: Event | None = None
    #: The first `envoy.worker_ready` of each worker after the delivery.
    workers: dict[int, Event] = field(default_factory=dict)
    #: The listener's push that belongs to the change, where its acknowledgement is all that follows (a removal).
    listener_ack: Event | None = None

    @property
    def plugin(self) -> str:
        return self.apply.plugin or ""

    @property
    def acked(self) -> bool:
        return self.verdict is not None and self.verdict.event == "envoy.ack"

    @property
    def nacked(self) -> bool:
        return self.verdict is not None and self.verdict.event in ("envoy.nack", "agent.nack")


def changes(events: Sequence[Event]) -> list[Event]:
    """The `core.apply` of every change of a plugin that Core reads, in order."""
    return [e for e in events if e.event == "core.apply" and e.plugin is not None and "ignored" not in e.data]


def follow(events: Sequence[Event], apply: Event) -> Trail:
    """Everything that followed from one `core.apply` until the same plugin's next."""
    plugin = apply.plugin
    later = [e for e in changes(events[apply.seq + 1 :]) if e.plugin == plugin]
    trail = Trail(apply, end=later[0].seq if later else len(events))
    # What is on its way when the next change comes still belongs to this one; only a beginning may not be borrowed.
    mine = events[apply.seq + 1 :]
    before_next = events[apply.seq + 1 : trail.end]

    trail.convert = _first(before_next, "core.convert", plugin=plugin, closed=True)
    trail.mcp_push = _naming(before_next, "core.mcp_push", plugin, "changed")
    if trail.mcp_push is None:
        return trail
    trail.received = next(
        (
            e
            for e in mine
            if e.event == "discovery.received"
            and e.seq > trail.mcp_push.seq
            and plugin in (*e.data.get("changed", ()), *e.data.get("removed", ()))
        ),
        None,
    )
    if trail.received is None:
        return trail
    received = trail.received
    trail.debounce = next(
        (e for e in mine if e.event == "discovery.debounce" and e.span == "completed" and e.seq > received.seq), None
    )
    if trail.debounce is None:
        return trail
    pushed_after = trail.debounce.seq
    trail.listener_ack = _listener_ack(mine, pushed_after)
    trail.push = next(
        (
            e
            for e in mine
            if e.event == "discovery.push"
            and e.seq > pushed_after
            and e.type_url == ECDS
            and plugin in e.data.get("images", {})
        ),
        None,
    )
    if trail.push is not None:
        _follow_response(mine, trail, trail.push.nonce)
    return trail


def _follow_response(mine: Sequence[Event], trail: Trail, nonce: str | None) -> None:
    for event in mine:
        if event.nonce != nonce:
            continue
        own = event.plugin == trail.plugin
        match event.event:
            case "agent.intercept":
                trail.intercept = event
            case "agent.fetch" if own and event.span != "started":
                trail.fetch = event
            case "agent.unpack" if own and event.span != "started":
                trail.unpack = event
            case "agent.rewrite" if own and event.span == "completed":
                trail.rewrite = event
            case "agent.replace" if own:
                trail.replace = event
            case "agent.deliver":
                trail.deliver = event
            case "agent.nack":
                trail.verdict = event
            case "envoy.ack" | "envoy.nack" if event.type_url == ECDS:
                trail.verdict = event
    if trail.deliver is not None and trail.replace is None:
        trail.workers = _workers(mine, trail.deliver)


def _workers(mine: Sequence[Event], deliver: Event) -> dict[int, Event]:
    """Envoy's log does not name the plugin: what is loaded between this delivery and the next is taken for it.

    The log's lines carry Envoy's own time and are read later than they were written, so times decide, not positions.
    """
    next_delivery = next((e for e in mine if e.event == "agent.deliver" and e.seq > deliver.seq), None)
    until_ns = next_delivery.t_ns if next_delivery is not None else None
    ready: dict[int, Event] = {}
    for event in mine:
        if event.event != "envoy.worker_ready" or event.t_ns < deliver.t_ns:
            continue
        if until_ns is None or event.t_ns < until_ns:
            ready.setdefault(event.data["worker"], event)
    return ready


def _listener_ack(mine: Sequence[Event], after: int) -> Event | None:
    push = next((e for e in mine if e.event == "discovery.push" and e.type_url == LDS and e.seq > after), None)
    if push is None:
        return None
    return next((e for e in mine if e.event == "envoy.ack" and e.type_url == LDS and e.nonce == push.nonce), None)


def _first(events: Sequence[Event], name: str, *, plugin: str | None, closed: bool) -> Event | None:
    return next(
        (e for e in events if e.event == name and e.plugin == plugin and (not closed or e.span != "started")), None
    )


def _naming(events: Sequence[Event], name: str, plugin: str | None, key: str) -> Event | None:
    return next((e for e in events if e.event == name and plugin in e.data.get(key, ())), None)

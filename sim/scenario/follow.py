"""One change of a plugin, followed through the trace: which events belong to it, hop by hop.

A change begins with `core.apply`. From there each event leads to the next by what they share: the plugin's name up to
Discovery's push, the response's nonce from there to Envoy's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.model import ECDS, LDS
from sim.trace import Event
from sim.trace.refusal import complaints, with_complaints


@dataclass(slots=True)
class GatewayRecord:
    """One gateway of a run. The only one has no name: every event is its.

    `listener_counts`: by the position of a plugin's `core.apply`, how often Envoy's listener had changed until then;
    `listener_total`: at the end of the run.
    """

    name: str = ""
    node_id: str = ""
    workers: int = 0
    listener_counts: list[tuple[int, int]] = field(default_factory=list)
    listener_total: int | None = None

    def sees(self, event: Event) -> bool:
        """Whether the event is of this gateway, or of a part that all share."""
        if not self.name:
            return True
        if "gateway" in event.data:
            return bool(event.data["gateway"] == self.name)
        return event.part != "discovery" or event.node_id in (None, self.node_id)


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
    #: What Envoy said of the response: `envoy.nack`, or a request that accepts it; or, where the agent refused in
    #: Envoy's place, `agent.nack`.
    verdict: Event | None = None
    #: The first `envoy.worker_ready` of each worker after the delivery.
    workers: dict[int, Event] = field(default_factory=dict)
    #: A newer change of the same plugin took its place before anything was pushed.
    superseded: bool = False
    #: What the plugin, and Envoy of it, complained of before Envoy refused it.
    complaints: list[str] = field(default_factory=list)
    #: The listener's push that belongs to the change, where its acknowledgement is all that follows (a removal).
    listener_ack: Event | None = None

    @property
    def plugin(self) -> str:
        return self.apply.plugin or ""

    @property
    def acked(self) -> bool:
        return self.verdict is not None and not self.nacked

    @property
    def nacked(self) -> bool:
        return self.verdict is not None and self.verdict.event in ("envoy.nack", "agent.nack")

    @property
    def refusal(self) -> str | None:
        """Why it was refused; None where it was not, or nobody said."""
        error = self.verdict.data.get("error") if self.verdict is not None else None
        return with_complaints(str(error), self.complaints) if error else None


def changes(events: Sequence[Event]) -> list[Event]:
    """The `core.apply` of every change of a plugin that Core reads, in order; what it finds at its start is none."""
    return [
        e
        for e in events
        if e.event == "core.apply"
        and e.plugin is not None
        and "ignored" not in e.data
        and e.data.get("change") != "listed"
    ]


def follow(
    events: Sequence[Event],
    apply: Event,
    gateway: GatewayRecord | None = None,
    applies: Sequence[Event] | None = None,
) -> Trail:
    """Everything that followed from one `core.apply` until the same plugin's next, on one gateway.

    `applies` are the plugin's changes where they are not those of `changes`.
    """
    seen = (gateway or GatewayRecord()).sees
    plugin = apply.plugin
    following = changes(events[apply.seq + 1 :]) if applies is None else applies
    later = [e for e in following if e.plugin == plugin and e.seq > apply.seq]
    trail = Trail(apply, end=later[0].seq if later else len(events))
    # What is on its way when the next change comes still belongs to this one; only a beginning may not be borrowed.
    mine = [e for e in events[apply.seq + 1 :] if seen(e)]
    before_next = [e for e in mine if e.seq < trail.end]

    trail.convert = _first(before_next, "core.convert", plugin=plugin, closed=True)
    if apply.event != "core.apply" or apply.data.get("change") == "listed":
        # Core read it at its start: it is in the first state that Discovery asks for.
        trail.mcp_push = next((e for e in before_next if _asked_state(e)), None)
    else:
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
    if trail.push is not None and trail.push.seq > trail.end:
        # That push carries a newer change: this one was a removal, or was overtaken before anything went out.
        trail.push = None
    if trail.debounce.seq > trail.end:
        trail.listener_ack, trail.superseded = None, True
    if trail.push is not None:
        _follow_response([e for e in events if seen(e)], mine, trail, trail.push)
    return trail


def _follow_response(events: Sequence[Event], mine: Sequence[Event], trail: Trail, push: Event) -> None:
    for event in mine:
        if event.nonce != push.nonce:
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
            case "envoy.nack" if event.type_url == ECDS:
                trail.verdict = event
            case "envoy.ack" | "envoy.subscribe" | "envoy.stale" if event.type_url == ECDS and trail.verdict is None:
                # Envoy accepts by naming the response's nonce and version, also where it asks for more names in
                # the same breath, and where a newer response is already on its way to it. Delta has no version.
                if event.version_info in (None, push.version_info):
                    trail.verdict = event
    if trail.deliver is None or trail.replace is not None:
        return
    if not trail.nacked:
        trail.workers = _workers(events, mine, trail)
    elif trail.verdict is not None and trail.verdict.event == "envoy.nack":
        since = next((e for e in mine if _compiles(e, trail, trail.deliver)), trail.deliver)
        trail.complaints = complaints(mine, trail.plugin, since.t_ns, trail.verdict.t_ns)


def _workers(events: Sequence[Event], mine: Sequence[Event], trail: Trail) -> dict[int, Event]:
    """The `envoy.worker_ready` of each worker that belongs to this delivery; none where no new VM was needed.

    Envoy's log tells which plugin its main thread compiles. Where it does not, what the thread is given is compiled in
    the order of delivery, and within a response in that of its resources. The lines carry Envoy's own time and are read
    late, so times decide, not positions.
    """
    assert trail.deliver is not None and trail.push is not None
    since_ns = trail.deliver.t_ns
    compiled = [e for e in mine if e.event == "envoy.compile" and e.t_ns >= since_ns]
    if any(e.plugin is not None for e in compiled):
        compiled = [e for e in compiled if _compiles(e, trail, trail.deliver)]
        place: int | None = _unanswered_before(events, trail)
    else:
        place = _place_in_response(mine, trail, trail.push)
    if place is None or not compiled:
        return {}
    # What was pulled twice, for two responses at the same moment, is compiled once.
    return loads(events).get(compiled[min(place, len(compiled) - 1)].seq, {})


def _compiles(event: Event, trail: Trail, deliver: Event) -> bool:
    """Whether it is the plugin that Envoy compiles, after the delivery and before its answer to that."""
    return (
        event.event == "envoy.compile"
        and event.plugin == trail.plugin
        and event.t_ns >= deliver.t_ns
        and (trail.verdict is None or event.t_ns <= trail.verdict.t_ns)
    )


def _unanswered_before(events: Sequence[Event], trail: Trail) -> int:
    """How many other images of the plugin Envoy has been given and not begun to compile when it is given ours."""
    assert trail.deliver is not None
    given_ns = trail.deliver.t_ns
    delivered = {e.nonce: e.t_ns for e in events if e.event == "agent.deliver" and e.t_ns < given_ns}
    begun = [e.t_ns for e in events if e.event == "envoy.compile" and e.plugin == trail.plugin and e.t_ns < given_ns]
    waiting = {
        e.image
        for e in events
        if e.event == "agent.rewrite"
        and e.span == "completed"
        and e.plugin == trail.plugin
        and e.image != trail.apply.image
        and delivered.get(e.nonce, 0) > max(begun, default=0)
    }
    return len(waiting)


def _place_in_response(mine: Sequence[Event], trail: Trail, push: Event) -> int | None:
    """How many modules of the same response are compiled before ours; None when ours is not on the way at all."""
    order = list(push.data.get("resources", ()))
    own = trail.rewrite.resource if trail.rewrite is not None else None
    if own not in order:
        return None
    pulled = {e.resource for e in mine if e.event == "agent.unpack" and e.nonce == push.nonce and e.span == "completed"}
    return sum(name in pulled for name in order[: order.index(own)])


def loads(events: Sequence[Event]) -> dict[int, dict[int, Event]]:
    """For each `envoy.compile`, by its position: each worker's `envoy.worker_ready` for it.

    Both have the number of the module. Where they have none, a worker takes modules in the order in which they were
    compiled, and one that Envoy refused reaches no worker.
    """
    told = sorted(
        (e for e in events if e.event in ("envoy.compile", "envoy.worker_ready", "envoy.nack")), key=lambda e: e.t_ns
    )
    found: dict[int, dict[int, Event]] = {}
    numbered: dict[int, int] = {}
    for event in told:
        if event.event == "envoy.compile":
            found[event.seq] = {}
            if "module" in event.data:
                numbered[event.data["module"]] = event.seq
        elif event.event == "envoy.worker_ready":
            worker = event.data["worker"]
            number = event.data.get("module")
            if number is None:
                waiting = next((ready for ready in found.values() if worker not in ready), None)
            else:
                waiting = found.get(numbered.get(number, -1))
            if waiting is not None:
                waiting.setdefault(worker, event)
        elif event.type_url == ECDS and not numbered:
            refused = next((seq for seq in reversed(found) if not found[seq]), None)
            if refused is not None:
                del found[refused]
    return found


def _listener_ack(mine: Sequence[Event], after: int) -> Event | None:
    push = next((e for e in mine if e.event == "discovery.push" and e.type_url == LDS and e.seq > after), None)
    if push is None:
        return None
    return next((e for e in mine if e.event == "envoy.ack" and e.type_url == LDS and e.nonce == push.nonce), None)


def _first(events: Sequence[Event], name: str, *, plugin: str | None, closed: bool) -> Event | None:
    return next(
        (e for e in events if e.event == name and e.plugin == plugin and (not closed or e.span != "started")), None
    )


def _asked_state(event: Event) -> bool:
    return (
        event.event == "core.mcp_push"
        and event.data.get("reason") == "request"
        and (event.type_url or "").endswith("/WasmPlugin")
    )


def _naming(events: Sequence[Event], name: str, plugin: str | None, key: str) -> Event | None:
    return next((e for e in events if e.event == name and plugin in e.data.get(key, ())), None)

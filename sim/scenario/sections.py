"""Which rollout, or which other push, the events of a run belong to."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sim.scenario.follow import GatewayRecord, Trail, follow
from sim.trace import Event

START = "start"

#: A push of Discovery's: which Discovery of the run's (it may be restarted), and its version.
_Push = tuple[int, str]


class Sections:
    """What Discovery's pushes are called: by the rollout that each carried.

    `trails` has each rollout's trail and gateway, in the order of `result`, which is `Result.to_json()`; `shared` the
    name of a rollout's push where an earlier rollout gave it its name.
    Raises ValueError for a trace that is not the result's.
    """

    def __init__(self, result: Mapping[str, Any], events: Sequence[Event]) -> None:
        self._events = events
        self._records = {record.name: record for record in _gateways(result, events)}
        self._by_node = {record.node_id: record.name for record in self._records.values()}
        self.pushes = [event for event in events if event.event == "discovery.push"]
        self._push_of_nonce = dict(self._numbered())
        self._positions: dict[str, list[int]] = defaultdict(list)
        self._nonces: dict[str, list[str]] = defaultdict(list)
        for event in self.pushes:
            self._positions[self.gateway(event)].append(event.seq)
            self._nonces[self.gateway(event)].append(event.nonce or "")
        self.trails = list(self._followed(result))
        self.shared: dict[int, str] = {}
        self._names: dict[tuple[str, _Push], str] = {}
        self._name()

    def of(self, event: Event) -> str:
        """The push that an event belongs to: by its nonce, or the gateway's last one before it."""
        push = self._push_of_nonce.get(event.nonce or "")
        if push is None:
            return self.at(event)
        gateway = self.gateway(event)
        return self._names.get((gateway, push), named(START, gateway))

    def at(self, event: Event) -> str:
        """The gateway's last push before an event, whatever response it names."""
        gateway = self.gateway(event)
        earlier = bisect_left(self._positions[gateway], event.seq)
        start = named(START, gateway)
        if not earlier:
            return start
        return self._names.get((gateway, self._push_of_nonce[self._nonces[gateway][earlier - 1]]), start)

    def gateway(self, event: Event) -> str:
        """The gateway that an event is about; the empty string where there is one alone."""
        if len(self._records) == 1:
            return ""
        return str(event.data.get("gateway") or self._by_node.get(event.node_id or "", ""))

    def _numbered(self) -> Iterator[tuple[str, _Push]]:
        discovery = 0
        for event in self._events:
            if event.event == "run.start" and event.span == "started" and event.data.get("target") == "discovery":
                discovery += 1
            elif event.event == "discovery.push":
                yield event.nonce or "", (discovery, event.version_info or "")

    def _followed(self, result: Mapping[str, Any]) -> Iterator[tuple[Trail, GatewayRecord | None]]:
        applied = {(e.t_ns, e.plugin): e for e in self._events if e.event == "core.apply"}
        for rollout in result["rollouts"]:
            apply = applied.get((rollout["t_ns"], rollout["plugin"]))
            if apply is None:
                raise ValueError(f"the trace has no core.apply of {rollout['plugin']} at {rollout['t_ns']} ns")
            record = self._records.get(rollout.get("gateway") or "")
            yield follow(self._events, apply, record), record

    def _name(self) -> None:
        for index, (trail, record) in enumerate(self.trails):
            push = self._push_after(trail, record)
            if push is None or record is None:
                continue
            name = self._names.setdefault((record.name, push), f"rollouts[{index}]")
            if name != f"rollouts[{index}]":
                self.shared[index] = name
        first = min((trail.apply.seq for trail, _ in self.trails), default=len(self._events))
        others: dict[str, Iterator[int]] = defaultdict(lambda: count(1))
        for event in self.pushes:
            gateway = self.gateway(event)
            place = (gateway, self._push_of_nonce[event.nonce or ""])
            if place not in self._names:
                name = START if event.seq < first else f"push {next(others[gateway])}"
                self._names[place] = named(name, gateway)

    def _push_after(self, trail: Trail, record: GatewayRecord | None) -> _Push | None:
        """The push that a change went out with on a gateway."""
        if trail.debounce is None or trail.superseded or record is None:
            return None
        for event in self._events[trail.debounce.seq + 1 :]:
            if event.event == "discovery.debounce" and event.span == "completed":
                return None
            if event.event == "discovery.push" and self.gateway(event) == record.name:
                return self._push_of_nonce[event.nonce or ""]
        return None


def left_core(trail: Trail) -> tuple[Event, ...]:
    """The events of a change between Core and the push; none of one that a newer change overtook on that way.

    How far such a one came is left to chance.
    """
    if trail.superseded:
        return ()
    return tuple(event for event in (trail.mcp_push, trail.received, trail.debounce) if event is not None)


def named(what: str, gateway: str) -> str:
    """A name with the gateway's, where there are several."""
    return f"{what} {gateway}" if gateway else what


def _gateways(result: Mapping[str, Any], events: Sequence[Event]) -> list[GatewayRecord]:
    gateways: Mapping[str, Any] = result.get("gateways") or {}
    if len(gateways) < 2:
        return [GatewayRecord(workers=result["environment"]["workers"])]
    nodes = {e.data["gateway"]: e.node_id for e in events if e.node_id and "gateway" in e.data}
    return [GatewayRecord(name, nodes.get(name, ""), state["workers"]) for name, state in gateways.items()]

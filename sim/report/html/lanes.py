"""The fixed lanes of the player, and on which of them an event is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sim.scenario.result import Result
from sim.trace import Event

Kind = Literal["manifests", "core", "discovery", "agent", "registry", "envoy", "worker", "clients"]

_OF_THE_REGISTRY = frozenset({"agent.purge"})


@dataclass(frozen=True, slots=True)
class Lane:
    """`id` is unique; `gateway` is empty in a run with one; `number` is a worker's, `load` names client connections."""

    id: str
    kind: Kind
    gateway: str = ""
    number: int | None = None
    load: str | None = None

    def to_json(self) -> dict[str, Any]:
        facts = {"gateway": self.gateway or None, "number": self.number, "load": self.load}
        return {"id": self.id, "kind": self.kind, **{key: value for key, value in facts.items() if value is not None}}


def lanes_of(result: Result, events: Sequence[Event]) -> list[Lane]:
    """Core's side first, then each gateway's; the same for every run of the same shape."""
    several = len(result.gateways) > 1
    gateways = list(result.gateways) if several else [""]
    shared = [Lane("manifests", "manifests"), Lane("core", "core"), Lane("discovery", "discovery")]
    registry = Lane("registry", "registry")
    made = [*shared, registry] if several else shared
    known = {load: facts.gateway or "" for load, facts in result.traffic.items()}
    for event in events:
        if event.part == "traffic" and "load" in event.data:
            known.setdefault(event.data["load"], str(event.data.get("gateway", "")))
    for index, name in enumerate(gateways):
        made.append(Lane(_id("agent", name), "agent", name))
        if not several:
            made.append(registry)
        made.append(Lane(_id("envoy", name), "envoy", name))
        state = result.gateways.get(name) if several else next(iter(result.gateways.values()), None)
        workers = state.workers if state is not None else result.environment.workers
        made += [Lane(_id(f"worker{n}", name), "worker", name, number=n) for n in range(workers)]
        made += [
            Lane(f"clients:{load}", "clients", name, load=load)
            for load, gateway in known.items()
            if gateway == name or (index == 0 and gateway not in gateways)
        ]
    return made


def lane_of(event: Event, lanes: Sequence[Lane]) -> str:
    """The lane's id."""
    ids = {lane.id for lane in lanes}
    several = any(lane.gateway for lane in lanes)
    gateway = str(event.data.get("gateway", "")) if several else ""
    if event.part == "traffic" and "load" in event.data:
        return f"clients:{event.data['load']}"
    if event.part == "registry" or event.event in _OF_THE_REGISTRY:
        return "registry"
    if event.part == "envoy":
        worker = event.data.get("worker")
        own = _id(f"worker{worker}", gateway)
        return own if worker is not None and own in ids else _known(_id("envoy", gateway), "envoy", lanes)
    if event.part == "agent":
        return _known(_id("agent", gateway), "agent", lanes)
    return event.part if event.part in ("core", "discovery") and event.event != "core.apply" else "manifests"


def _id(kind: str, gateway: str) -> str:
    return f"{kind}:{gateway}" if gateway else kind


def _known(name: str, kind: Kind, lanes: Sequence[Lane]) -> str:
    if any(lane.id == name for lane in lanes):
        return name
    return next(lane.id for lane in lanes if lane.kind == kind)

"""What each part did for a rollout, as slices on its lane, and the arrows from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.report.export.journey import Journey
from sim.report.html.lanes import Kind, Lane, lane_of

_SHORTEST_NS = 1000


@dataclass(slots=True, eq=False)
class Slice:
    """A stretch of time on a lane, named by its id; `args` are JSON-ready."""

    lane: str
    name: str
    start_ns: int
    end_ns: int
    category: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Hops:
    """`arrows` are pairs of `slices`, from the one that sends to the one that takes."""

    slices: list[Slice] = field(default_factory=list)
    arrows: list[tuple[Slice, Slice]] = field(default_factory=list)

    def add(self, after: Slice | None, made: Slice) -> Slice:
        self.slices.append(made)
        if after is not None:
            self.arrows.append((after, made))
        return made


def hops_of(journey: Journey, lanes: Sequence[Lane]) -> Hops:
    """The way from the manifest to the first response, as far as the rollout came."""
    trail, made = journey.trail, Hops()
    label = f"rollouts[{journey.number}]"

    def piece(lane: str, what: str, start_ns: int, end_ns: int) -> Slice:
        # An arrow can't leave from a slice of no length.
        end_ns = max(start_ns + _SHORTEST_NS, end_ns)
        return Slice(lane, f"{label} {what}", start_ns, end_ns, "rollout", {"plugin": trail.plugin})

    def lane(kind: Kind, number: int | None = None) -> str:
        own = [each for each in lanes if each.kind == kind and each.number == number]
        here = [each for each in own if each.gateway == (journey.rollout.gateway or "")]
        return (here or own or list(lanes))[0].id

    apply = made.add(None, piece(lane_of(trail.apply, lanes), "apply", journey.start_ns, journey.start_ns))
    if trail.convert is None:
        return made
    sent_ns = trail.mcp_push.t_ns if trail.mcp_push is not None else trail.convert.t_ns
    core = made.add(apply, piece(lane("core"), "convert and push", apply.end_ns, sent_ns))
    if trail.received is None:
        return made
    debounced_ns = trail.debounce.t_ns if trail.debounce is not None else trail.received.t_ns
    push = made.add(core, piece(lane("discovery"), "debounce", trail.received.t_ns, debounced_ns))
    if journey.lds_push is not None:
        push = made.add(push, piece(lane("discovery"), "push LDS", debounced_ns, journey.lds_push.t_ns))
    if journey.lds_forward is not None:
        at_ns = journey.lds_forward.t_ns
        forward = made.add(push, piece(lane("agent"), "LDS as it is", at_ns, at_ns))
        answer = journey.subscribe or journey.lds_answer
        if answer is not None:
            listener = made.add(forward, piece(lane("envoy"), "LDS", forward.end_ns, answer.t_ns))
            push = listener if journey.subscribe is not None else push
    if trail.push is not None:
        asked = [event.t_ns for event in (journey.subscribe, journey.lds_push) if event is not None]
        since_ns = min(max([debounced_ns, *asked]), trail.push.t_ns)
        push = made.add(push, piece(lane("discovery"), "push ECDS", since_ns, trail.push.t_ns))
    if trail.intercept is None:
        return made
    left = trail.deliver or (trail.verdict if trail.verdict is not None and trail.verdict.part == "agent" else None)
    pulled_ns = max([trail.intercept.t_ns, *(interval.end_ns for interval in _on_the_agent(journey))])
    agent_ns = left.t_ns if left is not None else pulled_ns
    agent = made.add(push, piece(lane("agent"), "pull and rewrite", trail.intercept.t_ns, agent_ns))
    if trail.deliver is None:
        return made
    delivered_ns = trail.deliver.t_ns
    what = "refused (NACK)" if trail.nacked else "load"
    loaded_ns = journey.loaded_ns if journey.loaded_ns is not None else delivered_ns
    envoy = made.add(agent, piece(lane("envoy"), what, delivered_ns, loaded_ns))
    if journey.compile is not None:
        made.add(None, piece(lane("envoy"), "compile", journey.compile.t_ns, envoy.end_ns))
    for number, event in sorted(trail.workers.items()):
        made.add(envoy, piece(lane("worker", number), "switch", envoy.end_ns, event.t_ns))
    last = envoy
    _first_response(journey, lanes, made, last, label)
    return made


def _on_the_agent(journey: Journey) -> list[Any]:
    return [each for name, each in journey.took.items() if name.startswith("agent.")]


def _first_response(journey: Journey, lanes: Sequence[Lane], made: Hops, last: Slice, label: str) -> None:
    first_ns = journey.first_response_ns
    clients = [
        lane
        for lane in lanes
        if lane.kind == "clients" and lane.gateway in ("", journey.rollout.gateway or lane.gateway)
    ]
    if first_ns is None or not clients:
        return
    start_ns = min(first_ns, last.end_ns)
    made.add(last, Slice(clients[0].id, f"{label} first response", start_ns, first_ns, "rollout"))

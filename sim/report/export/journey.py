"""One rollout on its way through the parts: the events that the exports draw, and which one each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sim.errors import InvalidInput, Location
from sim.model import ECDS, LDS
from sim.report.export.intervals import Interval, intervals
from sim.report.html.run_files import RunFiles
from sim.scenario.follow import GatewayRecord, Trail, changes, follow
from sim.scenario.result import Result, Rollout
from sim.trace import Event


@dataclass(frozen=True, slots=True)
class Journey:
    """`number` is the rollout's place in `rollouts` of `result.json`.

    `trail` has the plugin's own way; the listener's beside it are `lds_push` (by Discovery), `lds_forward` (by the
    agent) and `lds_answer` (Envoy's ACK or NACK). `subscribe` is Envoy's for this plugin; with `compile` its main
    thread begins to compile the module. `took` are intervals of this rollout by the name of their event, `requests`
    those of the registry while the agent pulled.
    """

    number: int
    rollout: Rollout
    trail: Trail
    lds_push: Event | None = None
    lds_forward: Event | None = None
    lds_answer: Event | None = None
    subscribe: Event | None = None
    shim: Event | None = None
    compile: Event | None = None
    took: dict[str, Interval] = field(default_factory=dict)
    requests: tuple[Interval, ...] = ()

    @property
    def start_ns(self) -> int:
        return self.rollout.t_ns

    @property
    def first_response_ns(self) -> int | None:
        return self._at(self.rollout.effective_ms)

    @property
    def settled_ns(self) -> int | None:
        return self._at(self.rollout.settled_ms)

    @property
    def loaded_ns(self) -> int | None:
        """When Envoy's first worker had the module; where no worker tells, when Envoy answered."""
        ready_ns = min((event.t_ns for event in self.trail.workers.values()), default=None)
        verdict = self.trail.verdict
        if ready_ns is None and verdict is not None and verdict.part == "envoy":
            return verdict.t_ns
        return ready_ns

    @property
    def end_ns(self) -> int:
        """When traffic had settled; where it never did, or was not there to tell, when the last part was done."""
        known = [event.t_ns for event in self._moments() if event is not None]
        known += [event.t_ns for event in self.trail.workers.values()]
        known += [interval.end_ns for interval in self.took.values()]
        known += [moment for moment in (self.first_response_ns, self.settled_ns) if moment is not None]
        return max([self.start_ns, *known])

    @property
    def error(self) -> str | None:
        """Why it did not come through; None when it did."""
        if self.rollout.error is not None:
            return self.rollout.error
        if self.rollout.nacked:
            said = self.trail.verdict.data.get("error") if self.trail.verdict is not None else None
            return str(said or "NACK")
        return None

    def _at(self, after_ms: float | None) -> int | None:
        return None if after_ms is None else self.start_ns + round(after_ms * 1e6)

    def _moments(self) -> Sequence[Event | None]:
        own = self.trail
        return (
            *(own.convert, own.mcp_push, own.received, own.debounce, own.push, own.intercept, own.rewrite),
            *(own.replace, own.deliver, own.verdict, self.lds_forward, self.lds_answer, self.compile),
        )


def journeys(run: RunFiles) -> list[Journey]:
    """Those of every rollout that the trace knows, in the result's order."""
    applies = {(apply.plugin, apply.t_ns): apply for apply in changes(run.events)}
    records = gateway_records(run.result, run.events)
    measured = intervals(run.events)
    made = []
    for number, rollout in enumerate(run.result.rollouts):
        apply = applies.get((rollout.plugin, rollout.t_ns))
        if apply is not None:
            made.append(_journey(number, rollout, apply, records.get(rollout.gateway or ""), run.events, measured))
    return made


def chosen_journey(run: RunFiles, number: int | None) -> Journey:
    """That of `rollouts[number]`, of the last rollout for None.

    Raises InvalidInput when the run has no such rollout, or its trace does not tell of it.
    """
    there = len(run.result.rollouts)
    where = Location(str(run.directory))
    if there == 0:
        raise InvalidInput("this run has no rollout", where=where, hint="its scenario applies no WasmPlugin")
    wanted = there - 1 if number is None else number
    if wanted >= there:
        known = ", ".join(f"{n} ({each.plugin})" for n, each in enumerate(run.result.rollouts[:12]))
        raise InvalidInput(f"there is no rollouts[{wanted}]", where=where, hint=f"the run has {known}")
    found = next((each for each in journeys(run) if each.number == wanted), None)
    if found is None:
        raise InvalidInput(
            f"the trace does not tell of rollouts[{wanted}]", where=where, hint="is trace.jsonl complete?"
        )
    return found


def gateway_records(result: Result, events: Sequence[Event]) -> dict[str, GatewayRecord]:
    """By the gateway's name, which is empty in a run with one."""
    if len(result.gateways) < 2:
        return {"": GatewayRecord(workers=result.environment.workers)}
    nodes: dict[str, str] = {}
    for event in events:
        if event.part == "agent" and event.node_id is not None and "gateway" in event.data:
            nodes.setdefault(event.data["gateway"], event.node_id)
    return {name: GatewayRecord(name, nodes.get(name, ""), state.workers) for name, state in result.gateways.items()}


def _journey(
    number: int,
    rollout: Rollout,
    apply: Event,
    gateway: GatewayRecord | None,
    events: Sequence[Event],
    measured: Sequence[Interval],
) -> Journey:
    record = gateway or GatewayRecord()
    trail = follow(events, apply, record)
    own = [trail.convert, trail.debounce, trail.fetch, trail.unpack, trail.rewrite]
    ends = {event.seq for event in own if event is not None}
    took = {each.event.event: each for each in measured if each.event.seq in ends}
    later = [event for event in events[apply.seq :] if record.sees(event)]
    listener = _listener(later, trail)
    return Journey(
        number=number,
        rollout=rollout,
        trail=trail,
        lds_push=listener[0],
        lds_forward=listener[1],
        lds_answer=listener[2],
        subscribe=_subscribe(later, trail, listener[1]),
        shim=_shim(later, trail),
        compile=_compile(later, trail),
        took=took,
        requests=tuple(_requests(measured, took.get("agent.fetch"))),
    )


def _listener(later: Sequence[Event], trail: Trail) -> tuple[Event | None, Event | None, Event | None]:
    """The listener's push that went out with the change, what the agent made of it, and what Envoy said."""
    if trail.debounce is None or trail.superseded:
        return None, None, None
    after = [event for event in later if event.seq > trail.debounce.seq]
    # The next push is another change's.
    until = next((e.seq for e in after if e.event == "discovery.debounce" and e.span == "completed"), None)
    push = next(
        (
            event
            for event in after
            if event.event == "discovery.push" and event.type_url == LDS and (until is None or event.seq < until)
        ),
        None,
    )
    if push is None:
        return None, None, None
    same = [e for e in after if e.type_url == LDS and e.nonce == push.nonce]
    forward = next((e for e in same if e.event == "agent.forward"), None)
    return push, forward, next((e for e in same if e.event in ("envoy.ack", "envoy.nack")), None)


def _subscribe(later: Sequence[Event], trail: Trail, forward: Event | None) -> Event | None:
    """Envoy's request for this plugin's configuration, where the listener's update made it ask."""
    push = trail.push
    if push is None or forward is None:
        return None
    wanted = set(push.data.get("resources", ()))
    return next(
        (
            event
            for event in later
            if event.event == "envoy.subscribe"
            and event.type_url == ECDS
            and forward.t_ns <= event.t_ns <= push.t_ns
            and wanted & set(event.data.get("names") or ())
        ),
        None,
    )


def _shim(later: Sequence[Event], trail: Trail) -> Event | None:
    push = trail.push
    if push is None:
        return None
    return next(
        (e for e in later if e.event == "agent.shim" and e.nonce == push.nonce and e.plugin == trail.plugin), None
    )


def _compile(later: Sequence[Event], trail: Trail) -> Event | None:
    """The `envoy.compile` that the workers took this module from; of a refused module, that before the refusal."""
    if trail.deliver is None:
        return None
    since_ns = trail.deliver.t_ns
    ready_ns = min((event.t_ns for event in trail.workers.values()), default=None)
    until_ns = ready_ns
    if until_ns is None and trail.nacked and trail.verdict is not None:
        until_ns = trail.verdict.t_ns
    if until_ns is None:
        return None
    compiled = [
        e
        for e in later
        if e.event == "envoy.compile" and e.plugin in (None, trail.plugin) and since_ns <= e.t_ns <= until_ns
    ]
    return max(compiled, key=lambda event: event.t_ns, default=None)


def _requests(measured: Sequence[Interval], fetch: Interval | None) -> Iterator[Interval]:
    """What the registry was asked for this pull: of its repository, or of none (`/v2/`, a token).

    A request does not say whose it is, so while others pull, those that may be theirs are left out.
    """
    if fetch is None or fetch.event.image is None:
        return
    own = f"/v2/{repository_of(fetch.event.image)}/"
    others = {
        f"/v2/{repository_of(each.event.image)}/"
        for each in measured
        if each.event.event == "agent.fetch"
        and each.event.seq != fetch.event.seq
        and each.event.image is not None
        and each.start_ns < fetch.end_ns
        and fetch.start_ns < each.end_ns
    }
    for each in measured:
        data = each.event.data
        if each.event.event != "registry.request" or not fetch.start_ns <= each.start_ns <= fetch.end_ns:
            continue
        path = str(data.get("path", ""))
        nobodys = path == "/v2/" or not path.startswith("/v2/")
        mine = path.startswith(own) and own not in others
        if data.get("method") in ("GET", "HEAD") and (mine or (nobodys and not others)):
            yield each


def repository_of(image: str) -> str:
    """`plugins/request-block` of `oci://registry.local/plugins/request-block:1.0.0`."""
    _, _, rest = image.rpartition("://")
    path = rest.partition("/")[2].partition("@")[0]
    head, slash, name = path.rpartition("/")
    return head + slash + name.partition(":")[0]


def host_of(image: str) -> str:
    """`registry.local` of the same."""
    return image.rpartition("://")[2].partition("/")[0]

"""Rollouts: what the trace and the traffic say of each change, as `result.json` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sim.scenario.follow import GatewayRecord, Trail, changes, follow
from sim.scenario.result import STAGES, Rollout, Stages, WorkerSwitch
from sim.trace import Event
from sim.traffic.load import Load
from sim.traffic.samples import Attribute, by_header
from sim.traffic.summary import rollout_view

Change = Literal["add", "image", "config", "remove", "other"]


@dataclass(frozen=True, slots=True)
class Attribution:
    """How traffic tells the versions of plugins apart.

    `versions` maps an image's URL to the version that its responses carry; an image that does not exist, to None.
    `headers` names the response header in which a plugin tells its version. `by_load` has the rule of each load that
    brings its own, which then holds for every plugin.
    """

    versions: dict[str, str | None]
    headers: dict[str, str] = field(default_factory=dict)
    by_load: Mapping[str, Attribute] = field(default_factory=dict)
    #: The header of the plugins' images where no plugin is known yet.
    first_header: str | None = None

    def reads(self, plugin: str, load: str) -> Attribute | None:
        """How this load's responses tell the plugin's version; None when they don't."""
        if load in self.by_load:
            return self.by_load[load]
        header = self.headers.get(plugin)
        return by_header(header) if header is not None else None

    def readable(self, plugin: str) -> bool:
        """Whether any load can tell."""
        return plugin in self.headers or bool(self.by_load)


@dataclass(slots=True)
class Subject:
    """One change with what came before it."""

    trail: Trail
    change: Change
    before: Event | None
    #: The version that traffic shows when the change is in force; meaningless if it is not `attributable`.
    version: str | None
    attributable: bool
    #: Where this is about; None when no gateway was sent the change.
    gateway: GatewayRecord | None = None


def subjects(
    events: Sequence[Event],
    attribution: Attribution,
    gateways: Sequence[GatewayRecord] = (),
    applies: Sequence[Event] | None = None,
) -> list[Subject]:
    """Every change of every plugin, in the order of the manifests' application; for each gateway that it went to.

    `applies` are the changes where they are not those of `changes`.
    """
    everywhere = gateways or [GatewayRecord()]
    last: dict[str, Event] = {}
    last_version: dict[tuple[str, str], str | None] = {}
    holders: dict[str, list[GatewayRecord]] = {}
    made = []
    for apply in changes(events) if applies is None else applies:
        plugin = apply.plugin or ""
        before = last.get(plugin)
        trails = [(gateway, follow(events, apply, gateway, applies)) for gateway in everywhere]
        change = _change(apply, before, trails[0][1])
        reached = [
            (gateway, trail)
            for gateway, trail in trails
            if len(everywhere) == 1
            or trail.push is not None
            or (change == "remove" and gateway in holders.get(plugin, ()))
        ]
        if change != "remove":
            holders[plugin] = [gateway for gateway, _ in reached]
        went: Sequence[tuple[GatewayRecord | None, Trail]] = reached or [(None, trails[0][1])]
        for gateway, trail in went:
            place = (plugin, gateway.name if gateway is not None else "")
            version = _version(apply, change, trail, attribution)
            gone = change == "remove" or trail.replace is not None
            known = gone or (apply.image is not None and apply.image in attribution.versions)
            # A conversion that failed, or a refusal, leaves the old version in force: there is nothing to wait for.
            failed = trail.convert is not None and trail.convert.span == "failed"
            held_back = trail.nacked or failed or trail.superseded
            readable = attribution.readable(plugin)
            attributable = readable and known and not held_back and version != last_version.get(place)
            if not held_back:
                last_version[place] = version
            made.append(Subject(trail, change, before, version, attributable, gateway))
        if change == "remove":
            last.pop(plugin, None)
        else:
            last[plugin] = apply
    return made


def _version(apply: Event, change: Change, trail: Trail, attribution: Attribution) -> str | None:
    """What traffic shows when the change is in force."""
    if change == "remove" or trail.replace is not None or apply.image is None:
        return None
    return attribution.versions.get(apply.image)


def _change(apply: Event, before: Event | None, trail: Trail) -> Change:
    if apply.data.get("change") == "deleted" or _disabled(trail):
        return "remove"
    if before is None:
        return "add"
    if before.image != apply.image:
        return "image"
    return "config"


def _disabled(trail: Trail) -> bool:
    return trail.convert is not None and trail.convert.data.get("outcome") == "disabled"


def rollouts(
    events: Sequence[Event], loads: Sequence[Load], attribution: Attribution, gateways: Sequence[GatewayRecord]
) -> list[Rollout]:
    """Every rollout of a run."""
    found = subjects(events, attribution, gateways)
    updates = {
        gateway.name: _listener_updates(
            [subject for subject in found if subject.gateway is gateway],
            gateway.listener_counts,
            gateway.listener_total,
        )
        for gateway in gateways
    }
    return [_rollout(subject, events, loads, attribution, updates) for subject in found]


def _listener_updates(found: Sequence[Subject], counts: Sequence[tuple[int, int]], total: int | None) -> dict[int, int]:
    """By an apply's position: how often the listener changed for the push that the change went out with.

    Changes that Discovery gathered into one push share its listener.
    """
    before = dict(counts)
    together: list[list[Subject]] = []
    for subject in found:
        if subject.trail.apply.seq not in before:
            continue
        push = subject.trail.debounce
        if together and push is not None and together[-1][0].trail.debounce is push:
            together[-1].append(subject)
        else:
            together.append([subject])
    updates: dict[int, int] = {}
    for position, group in enumerate(together):
        start = before[group[0].trail.apply.seq]
        following = together[position + 1][0] if position + 1 < len(together) else None
        end = total if following is None else before[following.trail.apply.seq]
        if end is not None:
            updates.update({subject.trail.apply.seq: end - start for subject in group})
    return updates


def _rollout(
    subject: Subject,
    events: Sequence[Event],
    loads: Sequence[Load],
    attribution: Attribution,
    listener_updates: Mapping[str, Mapping[int, int]],
) -> Rollout:
    trail = subject.trail
    name = subject.gateway.name if subject.gateway is not None else ""
    own = [load for load in loads if load.spec.gateway == name and load.spec.switches]
    start_ns = trail.apply.t_ns
    until_ns = events[trail.end].t_ns if trail.end < len(events) else None
    first_ns, settled_ns = _seen(subject, own, attribution, until_ns)
    stages = _stages(trail, first_ns)
    error = next(
        (
            str(e.data["error"])
            for e in (trail.convert, trail.replace, trail.fetch)
            if e is not None and e.data.get("error")
        ),
        trail.refusal,
    )
    if trail.superseded:
        error = "superseded by a newer change before it was pushed"
    replacement = trail.replace.data.get("replacement") if trail.replace is not None else None
    return Rollout(
        plugin=trail.plugin,
        t_ns=start_ns,
        change=subject.change,
        from_=subject.before.image if subject.before is not None else None,
        to=None if subject.change == "remove" else trail.apply.image,
        stages_ms=stages,
        effective_ms=_ms(first_ns - start_ns) if first_ns is not None else None,
        settled_ms=_ms(settled_ns - start_ns) if settled_ns is not None else None,
        workers=[
            WorkerSwitch(
                worker=worker,
                ready_ms=_ms(trail.workers[worker].t_ns - start_ns) if worker in trail.workers else None,
            )
            for worker in range(subject.gateway.workers if subject.gateway is not None else 0)
        ],
        acked=trail.acked,
        nacked=trail.nacked,
        traffic_tells=any(attribution.reads(trail.plugin, load.spec.name) is not None for load in own),
        error=error,
        replaced_by=replacement if replacement in ("allow_all", "deny_all") else None,
        cached=_cached(trail),
        listener_updates=listener_updates.get(name, {}).get(trail.apply.seq),
        gateway=name or None,
    )


def _cached(trail: Trail) -> bool | None:
    if trail.rewrite is None:
        return None
    return trail.fetch is None or bool(trail.fetch.data.get("known"))


def _seen(
    subject: Subject, loads: Sequence[Load], attribution: Attribution, until_ns: int | None
) -> tuple[int | None, int | None]:
    """When traffic saw the change first, and from when on it saw nothing else; over all loads that saw it."""
    if not subject.attributable:
        return None, None
    since_ns = subject.trail.apply.t_ns
    views = [
        rollout_view(load.samples, subject.version, since_ns, until_ns, attribute)
        for load in loads
        if (attribute := attribution.reads(subject.trail.plugin, load.spec.name)) is not None
    ]
    firsts = [first for first, _ in views if first is not None]
    if not firsts:
        return None, None
    settled = [settled for first, settled in views if first is not None]
    return min(firsts), max(s for s in settled if s is not None) if all(s is not None for s in settled) else None


def _stages(trail: Trail, first_ns: int | None) -> Stages:
    """The time between one boundary and the next. A stage without a boundary did not happen, or is not known."""
    loaded = min((e.t_ns for e in trail.workers.values()), default=None)
    if loaded is None and trail.acked and trail.replace is None and trail.verdict is not None:
        # No new VM: only the configuration changed, and Envoy's acknowledgement is all there is to see.
        loaded = trail.verdict.t_ns
    boundaries: dict[str, int | None] = {
        "convert": _t(trail.convert),
        "mcp": _t(trail.received),
        "debounce": _t(trail.debounce),
        "push": _t(trail.intercept),
        "fetch": _t(trail.fetch),
        "unpack": _t(trail.unpack),
        "rewrite": _t(trail.rewrite),
        "deliver": _t(trail.deliver),
        "load": loaded,
        "first_response": first_ns,
    }
    values: dict[str, float] = {}
    at_ns = trail.apply.t_ns
    for stage in STAGES:
        boundary = boundaries[stage]
        if boundary is None:
            continue
        # A line of Envoy's log and a response are stamped by other processes: a worker may have answered before
        # another one's line, so a boundary never lies before the last, and none after the first response.
        if first_ns is not None:
            boundary = min(boundary, first_ns)
        boundary = max(boundary, at_ns)
        values[stage] = _ms(boundary - at_ns)
        at_ns = boundary
    return Stages(**values)


def _t(event: Event | None) -> int | None:
    return event.t_ns if event is not None else None


def _ms(duration_ns: int) -> float:
    return round(duration_ns / 1e6, 3)

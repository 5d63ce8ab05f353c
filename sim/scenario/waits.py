"""The step `wait`: what is waited for is seen in the trace and in the traffic."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from sim.errors import StepFailed
from sim.scenario.awaited import Awaited, awaited, is_for
from sim.scenario.follow import GatewayRecord, follow
from sim.scenario.rollouts import Subject
from sim.scenario.schema import Wait
from sim.scenario.stage import Branch, Stage
from sim.scenario.troubles import troubles
from sim.trace import Event
from sim.traffic.load import Load
from sim.traffic.samples import Attribute

#: The events after which a wait looks again; nothing else can change what it waits for.
_TURNS = frozenset(
    {
        *("core.apply", "core.convert", "discovery.received", "discovery.push", "agent.deliver", "agent.replace"),
        *("envoy.ack", "envoy.nack", "envoy.subscribe", "envoy.stale", "agent.nack"),
    }
)
#: Envoy has no event that tells of a listener; it is asked this often.
_LOOK_AGAIN_S = 0.02
#: Envoy writes into its log why it refuses before it says that it does; the log is read a little later.
_REASONS_COME_S = 1.0
#: How many of the versions that traffic told are named where another was waited for.
_VERSIONS_TOLD = 4


class Waits:
    """Carries out waits. Raises StepFailed for one in vain."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._trace = stage.pipeline.trace

    async def carry_out(self, step: Wait, branch: Branch) -> str | None:
        """Return when what `step` waits for is there, with what is to be noted of how that was seen, if anything is."""
        target = step.target or ""
        if step.condition is not None:
            self._check(target, gone=step.condition == "gone")
        match step.condition:
            case "effective":
                waiting: Coroutine[Any, Any, object] = self._effective(target, step.gateway)
            case "settled" | "gone":
                waiting = self._settled(target, step.gateway)
            case "acked":
                waiting = self._verdict(target, step.gateway, refused=False)
            case "nacked":
                waiting = self._verdict(target, step.gateway, refused=True)
            case _ if step.ready is not None:
                waiting = self._ready(step.ready)
            case _:
                waiting = self._event(step, branch)
        try:
            async with asyncio.timeout(None if self._held else step.within_s):
                await waiting
        except TimeoutError:
            raise StepFailed(f"waited {step.within} for {_wanted(step)}", hint=self._hint(step)) from None
        return self._note(step) if step.condition is not None else None

    def _check(self, plugin: str, *, gone: bool) -> None:
        """Raises StepFailed for what can never come."""
        heard = [e for e in self._trace.events if e.event == "core.apply" and e.plugin == plugin]
        if not heard and plugin not in self._stage.made:
            raise StepFailed(f"{plugin} was never changed", hint="apply it before waiting for it")
        if heard and "ignored" in heard[-1].data:
            raise StepFailed(f"Core does not read {plugin}: {heard[-1].data['ignored']}", hint="put it there")
        found = self._subjects(plugin, None) if gone else []
        if any(subject.change != "remove" for subject in found):
            raise StepFailed(
                f"{plugin} is not about to go: its latest change does not remove it",
                hint="delete or disable it first, or wait for settled",
            )

    def _note(self, step: Wait) -> str | None:
        now = self._awaited(step.target or "")
        if now is not None and now.same:
            return "nothing to wait for: what Core makes of it is the same"
        if step.condition not in ("effective", "settled", "gone"):
            return None
        found = self._subjects(step.target or "", step.gateway)
        unseen = [each for each in found if not each.attributable or not self._readers(each)]
        where = ", ".join(_on(each) for each in unseen) if len(unseen) < len(found) else ""
        return f"no traffic{where} can tell; waited for the ACK" if unseen else None

    @property
    def _held(self) -> bool:
        """Whether rollouts are held step by step, for as long as it takes."""
        stops = self._stage.pipeline.options.stops
        return stops is not None and stops.on

    async def _ready(self, name: str) -> None:
        gateway = self._stage.pipeline.gateway_named(name)
        while not await gateway.ready():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _event(self, step: Wait, branch: Branch) -> None:
        pattern = step.event or ""
        await self._trace.wait_for(
            lambda e: (
                fnmatch.fnmatchcase(e.event, pattern)
                and step.plugin in (None, e.plugin)
                and step.image in (None, e.image, (e.image or "").removeprefix("oci://"))
                and step.span in (None, e.span)
                and step.gateway in (None, e.data.get("gateway", step.gateway))
            ),
            since=branch.origin,
        )

    def _awaited(self, plugin: str) -> Awaited | None:
        stage = self._stage
        made = stage.made.get(plugin, ())
        return awaited(self._trace.events, plugin, made, stage.alike, stage.attribution, stage.records)

    def _subjects(self, plugin: str, gateway: str | None) -> list[Subject]:
        """The plugin's latest change, on each gateway that it went to so far (or on the one named)."""
        now = self._awaited(plugin)
        return self._on_gateway(now.subjects, gateway) if now is not None else []

    def _on_gateway(self, latest: list[Subject], gateway: str | None) -> list[Subject]:
        if len(self._stage.records) == 1:
            return latest
        named = [s for s in latest if s.gateway is not None and s.gateway.name == gateway]
        if gateway is None or named:
            return named or latest
        # Nothing of it has reached the gateway; what has not gone out to one is as far as to any other.
        return [s for s in latest if s.gateway is None]

    async def _answered(self, plugin: str, gateway: str | None) -> list[Subject]:
        """The plugin's latest change once every Envoy, or whoever stopped it on its way, has said something."""
        while True:
            seen = len(self._trace.events)
            now = self._awaited(plugin)
            found = self._on_gateway(now.subjects, gateway) if now is not None else []
            for subject in found:
                trail = subject.trail
                if trail.superseded:
                    raise StepFailed(f"{plugin} was changed again before this change was pushed")
                if trail.convert is not None and trail.convert.span == "failed":
                    raise StepFailed(f"Core could not convert {plugin}: {trail.convert.data.get('error')}")
            if now is not None and not now.subjects:
                return []
            if found and all(map(_is_answered, found)) and not self._silent(plugin, found, gateway):
                return found
            await self._trace.wait_for(lambda e: e.event in _TURNS, since=seen)

    def _silent(self, plugin: str, found: Sequence[Subject], gateway: str | None) -> list[str]:
        """The gateways that are to get the change, and have not answered."""
        gateways = self._stage.pipeline.gateways
        made = self._stage.made.get(plugin)
        if len(gateways) == 1 or any(subject.change == "remove" for subject in found):
            return []
        manifest = made[-1].manifest if made else None
        profile = self._stage.pipeline.options.profile
        answered = {subject.gateway.name for subject in found if subject.gateway is not None and _is_answered(subject)}
        return [
            each.name
            for each in gateways
            if gateway in (None, each.name)
            and each.name not in answered
            and (manifest is None or is_for(manifest, each.node, each.port, profile))
        ]

    async def _verdict(self, plugin: str, gateway: str | None, *, refused: bool) -> None:
        for subject in await self._answered(plugin, gateway):
            if refused and not subject.trail.nacked:
                raise StepFailed(f"{plugin} was acknowledged, not refused{_on(subject)}")
            if not refused and subject.trail.nacked:
                raise StepFailed(f"{plugin} was refused{_on(subject)}: {await self._why(subject)}")

    async def _effective(self, plugin: str, gateway: str | None) -> list[Subject]:
        """Until each gateway's traffic, if there is any that can tell, has met the change."""
        found = await self._in_force(plugin, gateway)
        for subject in found:
            readers = self._readers(subject)
            if not subject.attributable or not readers:
                continue
            since_ns = subject.trail.apply.t_ns
            await _first_of([load.first_response(subject.version, since_ns, attribute) for load, attribute in readers])
        return found

    async def _settled(self, plugin: str, gateway: str | None) -> None:
        for subject in await self._effective(plugin, gateway):
            if not subject.attributable:
                continue
            since_ns = subject.trail.apply.t_ns
            async with asyncio.TaskGroup() as tasks:
                for load, attribute in self._readers(subject):
                    # Traffic that never met the plugin, because its route has none, has nothing to settle.
                    if any(attribute(signature) is not None for signature in load.samples.signatures.values()):
                        tasks.create_task(load.settled(subject.version, since_ns, attribute=attribute))

    def _readers(self, subject: Subject) -> list[tuple[Load, Attribute]]:
        """The loads of the gateway that can tell the plugin's version, and how."""
        gateway = subject.gateway.name if subject.gateway is not None else ""
        readers = [
            (load, self._stage.attribution.reads(subject.trail.plugin, name))
            for name, load in self._stage.loads.items()
            if load.spec.gateway == gateway and load.spec.switches
        ]
        return [(load, attribute) for load, attribute in readers if attribute is not None]

    async def _in_force(self, plugin: str, gateway: str | None) -> list[Subject]:
        found = await self._answered(plugin, gateway)
        for subject in found:
            if subject.trail.nacked:
                why = await self._why(subject)
                raise StepFailed(f"{plugin} can't take effect, it was refused{_on(subject)}: {why}")
            replaced = subject.trail.replace
            if replaced is not None:
                instead = str(replaced.data.get("replacement")).replace("_", "-")
                raise StepFailed(
                    f"{plugin} is not active{_on(subject)}: the agent put {instead} in its place:"
                    f" {replaced.data.get('error')}",
                    hint="wait for acked where that is the point",
                )
        return found

    async def _why(self, subject: Subject) -> str:
        """Why the change was refused: what Envoy answered, and what it and the plugin had said before."""
        trail, seen = subject.trail, (subject.gateway or GatewayRecord()).sees
        if trail.verdict is not None and trail.verdict.event == "envoy.nack":
            given_ns = trail.deliver.t_ns if trail.deliver is not None else trail.apply.t_ns
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REASONS_COME_S):
                    await self._trace.wait_for(lambda e: _is_refusal(e) and seen(e) and e.t_ns >= given_ns)
            trail = follow(self._trace.events, trail.apply, subject.gateway)
        return trail.refusal or "no reason given"

    def _hint(self, step: Wait) -> str | None:
        """How far it came, what traffic told instead where that is waited for, and what is in the way."""
        if step.condition is None:
            return "; ".join(troubles(self._trace.events)) or None
        plugin = step.target or ""
        told = [self._progress(plugin, step.gateway)]
        found = self._subjects(plugin, step.gateway)
        silent = self._silent(plugin, found, step.gateway)
        if silent:
            told.append(f"no answer from {', '.join(silent)}")
        if step.condition not in ("acked", "nacked"):
            told += self._other_versions(plugin, step.gateway)
        return "; ".join([*told, *troubles(self._trace.events)])

    def _other_versions(self, plugin: str, gateway: str | None) -> Iterator[str]:
        for subject in self._subjects(plugin, gateway):
            if not subject.attributable:
                continue
            wanted = "null" if subject.version is None else repr(subject.version)
            for load, attribute in self._readers(subject):
                by_rule = load.spec.name in self._stage.attribution.by_load
                seen = ", ".join(_versions_seen(load, attribute, subject.trail.apply.t_ns)) or "no response"
                needed = (
                    "version_by must give null" if subject.version is None else "version_by must give the image's tag"
                )
                why = f" ({needed})" if by_rule else ""
                yield f"traffic {load.spec.name} must tell the version {wanted}{why}; it told {seen} since the change"

    def _progress(self, plugin: str, gateway: str | None) -> str:
        """How far the latest change came, for whoever waited in vain."""
        found = self._subjects(plugin, gateway)
        if not found:
            if self._awaited(plugin) is None:
                return "Core has not read the change; see trace.jsonl"
            return f"it did not go to {gateway}; see trace.jsonl"
        trail = next((subject for subject in found if not _is_answered(subject)), found[0]).trail
        reached = [
            (name, event)
            for name, event in (
                ("core.convert", trail.convert),
                ("core.mcp_push", trail.mcp_push),
                ("discovery.received", trail.received),
                ("discovery.debounce", trail.debounce),
                ("discovery.push (ECDS)", trail.push),
                ("agent.intercept", trail.intercept),
                ("agent.fetch", trail.fetch),
                ("agent.unpack", trail.unpack),
                ("agent.rewrite", trail.rewrite),
                ("agent.deliver", trail.deliver),
                (trail.verdict.event if trail.verdict else "", trail.verdict),
            )
            if event is not None
        ]
        if not reached:
            return "nothing followed the change; see trace.jsonl"
        name, event = reached[-1]
        after_ms = (event.t_ns - trail.apply.t_ns) / 1e6
        why = f" ({event.data['error']})" if event.data.get("error") else ""
        return f"it came as far as {name}, {after_ms:.1f} ms after the change{why}; see trace.jsonl"


def _wanted(step: Wait) -> str:
    if step.condition:
        return f"{step.target} to be {step.condition}"
    return f"{step.ready} to be ready" if step.ready is not None else f"the event {step.event}"


def _is_answered(subject: Subject) -> bool:
    trail = subject.trail
    return trail.verdict is not None or (subject.change == "remove" and trail.listener_ack is not None)


def _on(subject: Subject) -> str:
    return f" on {subject.gateway.name}" if subject.gateway is not None and subject.gateway.name else ""


def _is_refusal(event: Event) -> bool:
    """The line of its log with which Envoy sums up that it refuses a response."""
    return event.event == "envoy.log" and "component" in event.data and " rejected: " in str(event.data.get("text"))


def _versions_seen(load: Load, attribute: Attribute, since_ns: int) -> Iterator[str]:
    """The versions of the responses since then, each with how many there were, the most frequent first."""
    samples = load.samples
    signatures = Counter(samples[position].signature for position in range(samples.position(since_ns), len(samples)))
    versions: Counter[str | None] = Counter()
    for number, count in signatures.items():
        if number is not None:
            versions[attribute(samples.signatures[number])] += count
    for version, count in versions.most_common(_VERSIONS_TOLD):
        yield f"{'null' if version is None else repr(version)} ({count} times)"


async def _first_of(waits: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Until the first of them is done; the others are cancelled, and awaited."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

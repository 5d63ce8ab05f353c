"""The step `wait`: what is waited for is seen in the trace and in the traffic."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Coroutine, Sequence
from typing import Any

from sim.errors import StepFailed
from sim.scenario.rollouts import Subject, subjects
from sim.scenario.schema import Wait
from sim.scenario.stage import Branch, Stage
from sim.traffic.load import Load
from sim.traffic.samples import Attribute

#: The events after which a wait looks again; nothing else can change what it waits for.
_TURNS = frozenset(
    {"envoy.ack", "envoy.nack", "agent.nack", "core.convert", "discovery.push", "agent.deliver", "agent.replace"}
)
#: Envoy has no event that tells of a listener; it is asked this often.
_LOOK_AGAIN_S = 0.02


class Waits:
    """Carries out waits. Raises StepFailed for one in vain."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._trace = stage.pipeline.trace

    async def carry_out(self, step: Wait, branch: Branch) -> None:
        """Return when what `step` waits for is there."""
        target = step.target or ""
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
            raise StepFailed(
                f"waited {step.within} for {_wanted(step)}",
                hint=self._progress(target, step.gateway) if step.condition else None,
            ) from None

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

    def _subjects(self, plugin: str, gateway: str | None) -> list[Subject]:
        """The plugin's latest change, on each gateway that it went to so far (or on the one named)."""
        found = [
            subject
            for subject in subjects(self._trace.events, self._stage.attribution, self._stage.records)
            if subject.trail.plugin == plugin
        ]
        if not found:
            raise StepFailed(f"{plugin} was never changed", hint="apply it before waiting for it")
        latest = [subject for subject in found if subject.trail.apply is found[-1].trail.apply]
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
            found = self._subjects(plugin, gateway)
            for subject in found:
                trail = subject.trail
                if trail.superseded:
                    raise StepFailed(f"{plugin} was changed again before this change was pushed")
                if trail.convert is not None and trail.convert.span == "failed":
                    raise StepFailed(f"Core could not convert {plugin}: {trail.convert.data.get('error')}")
            if found and all(_is_answered(subject) for subject in found):
                return found
            await self._trace.wait_for(lambda e: e.event in _TURNS, since=seen)

    async def _verdict(self, plugin: str, gateway: str | None, *, refused: bool) -> None:
        for subject in await self._answered(plugin, gateway):
            if refused and not subject.trail.nacked:
                raise StepFailed(f"{plugin} was acknowledged, not refused{_on(subject)}")
            if not refused and subject.trail.nacked:
                raise StepFailed(f"{plugin} was refused{_on(subject)}: {_why(subject)}")

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
                raise StepFailed(f"{plugin} can't take effect, it was refused{_on(subject)}: {_why(subject)}")
        return found

    def _progress(self, plugin: str, gateway: str | None) -> str:
        """How far the latest change came, for whoever waited in vain."""
        found = self._subjects(plugin, gateway)
        if not found:
            return f"it did not go to {gateway}; see trace.jsonl"
        trail = found[0].trail
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


def _why(subject: Subject) -> str:
    verdict = subject.trail.verdict
    return str(verdict.data.get("error")) if verdict is not None else "no reason given"


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

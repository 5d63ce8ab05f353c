"""Steps, carried out: each typed step on the running parts. What it waits for, it sees in the trace and the traffic."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sim.core import Key, StoredObject
from sim.errors import InvalidInput, Location, StepFailed
from sim.manifests import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN, Manifest
from sim.oci import push as push_image
from sim.scenario.images import ResolvedImage
from sim.scenario.pipeline import Pipeline
from sim.scenario.rollouts import Attribution, Subject, subjects
from sim.scenario.schema import (
    Apply,
    Bump,
    Delete,
    Edit,
    Push,
    Request,
    Sleep,
    Step,
    Wait,
)
from sim.traffic.load import Load
from sim.traffic.samples import Attribute

#: The events after which a wait looks again; nothing else can change what it waits for.
_TURNS = frozenset(
    {"envoy.ack", "envoy.nack", "agent.nack", "core.convert", "discovery.push", "agent.deliver", "agent.replace"}
)


@dataclass(slots=True)
class Stage:
    """What steps act on. `origin`: the position in the trace where the latest change began."""

    pipeline: Pipeline
    loads: Mapping[str, Load]
    attribution: Attribution
    origin: int = 0
    #: By the position of a plugin's `core.apply`: how often Envoy's listener had changed until then.
    listener_counts: list[tuple[int, int]] = field(default_factory=list)


class StepRunner:
    """Carries out one step after another. Raises StepFailed, with the step's place, when one can't be."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._trace = stage.pipeline.trace

    async def carry_out(
        self,
        step: Step,
        where: Location,
        manifests: Sequence[Manifest] = (),
        image: ResolvedImage | None = None,
    ) -> None:
        """Do `step`. `manifests` are the objects that an apply, bump or edit puts in force, `image` what is pushed."""
        try:
            match step:
                case Apply() | Bump() | Edit():
                    await self._change(manifests)
                case Delete():
                    await self._change([self._object(step.plugin).key])
                case Push():
                    self._stage.origin = len(self._trace.events)
                    assert image is not None
                    await push_image(image.build(), image.reference, self._stage.pipeline.registry.address)
                case Wait():
                    await self._wait(step)
                case Sleep():
                    await asyncio.sleep(step.duration_s)
                case Request():
                    await self._request(step)
                case _:
                    raise AssertionError(f"no way to carry out {type(step).__name__}")
        except StepFailed as error:
            error.where = error.where or where
            raise
        except InvalidInput as error:
            raise StepFailed(str(error), where=where) from error

    # -- changes --------------------------------------------------------------------------------------------

    async def _change(self, targets: Sequence[Manifest | Key]) -> None:
        count = await listener_count(self._stage.pipeline)
        store = self._stage.pipeline.core.store
        self._stage.origin = len(self._trace.events)
        for target in targets:
            before = len(self._trace.events)
            if isinstance(target, Key):
                store.delete(target)
            else:
                store.apply(target)
            self._stage.listener_counts += [
                (e.seq, count) for e in self._trace.events[before:] if e.event == "core.apply" and e.plugin
            ]

    def _object(self, plugin: str) -> StoredObject:
        namespace, _, name = plugin.partition("/")
        for api_version in (HIGRESS_WASM, ISTIO_WASM):
            found = self._stage.pipeline.core.store.get(Key(api_version, WASM_PLUGIN, namespace, name))
            if found is not None:
                return found
        raise StepFailed(f"there is no WasmPlugin {plugin}", hint="apply it first, or see whether it was deleted")

    # -- waits ----------------------------------------------------------------------------------------------

    async def _wait(self, step: Wait) -> None:
        target = step.target or ""
        match step.condition:
            case "effective":
                waiting: Coroutine[Any, Any, object] = self._effective(target)
            case "settled" | "gone":
                waiting = self._settled(target)
            case "acked":
                waiting = self._verdict(target, refused=False)
            case "nacked":
                waiting = self._verdict(target, refused=True)
            case _:
                waiting = self._event(step)
        try:
            async with asyncio.timeout(step.within_s):
                await waiting
        except TimeoutError:
            wanted = f"{target} to be {step.condition}" if step.condition else f"the event {step.event}"
            raise StepFailed(
                f"waited {step.within} for {wanted}", hint=self._progress(target) if step.condition else None
            ) from None

    async def _event(self, step: Wait) -> None:
        pattern = step.event or ""
        await self._trace.wait_for(
            lambda e: (
                fnmatch.fnmatchcase(e.event, pattern)
                and step.plugin in (None, e.plugin)
                and step.image in (None, e.image, (e.image or "").removeprefix("oci://"))
                and step.span in (None, e.span)
            ),
            since=self._stage.origin,
        )

    def _subject(self, plugin: str) -> Subject:
        found = [s for s in subjects(self._trace.events, self._stage.attribution) if s.trail.plugin == plugin]
        if not found:
            raise StepFailed(f"{plugin} was never changed", hint="apply it before waiting for it")
        return found[-1]

    async def _answered(self, plugin: str) -> Subject:
        """The plugin's latest change once Envoy, or whoever stopped it on its way, has said something."""
        while True:
            seen = len(self._trace.events)
            subject = self._subject(plugin)
            trail = subject.trail
            if trail.superseded:
                raise StepFailed(f"{plugin} was changed again before this change was pushed")
            if trail.convert is not None and trail.convert.span == "failed":
                raise StepFailed(f"Core could not convert {plugin}: {trail.convert.data.get('error')}")
            listener_only = subject.change == "remove" and trail.listener_ack is not None
            if trail.verdict is not None or listener_only:
                return subject
            await self._trace.wait_for(lambda e: e.event in _TURNS, since=seen)

    async def _verdict(self, plugin: str, *, refused: bool) -> None:
        subject = await self._answered(plugin)
        trail = subject.trail
        if refused and not trail.nacked:
            raise StepFailed(f"{plugin} was acknowledged, not refused")
        if not refused and trail.nacked:
            raise StepFailed(f"{plugin} was refused: {_why(subject)}")

    async def _effective(self, plugin: str) -> None:
        subject = await self._in_force(plugin)
        if not subject.attributable or not self._readers(plugin):
            return
        since_ns = subject.trail.apply.t_ns
        await _first_of(
            [load.first_response(subject.version, since_ns, attribute) for load, attribute in self._readers(plugin)]
        )

    async def _settled(self, plugin: str) -> None:
        await self._effective(plugin)
        subject = self._subject(plugin)
        if not subject.attributable:
            return
        since_ns = subject.trail.apply.t_ns
        async with asyncio.TaskGroup() as tasks:
            for load, attribute in self._readers(plugin):
                # Traffic that never met the plugin, because its route has none, has nothing to settle.
                if any(attribute(signature) is not None for signature in load.samples.signatures.values()):
                    tasks.create_task(load.settled(subject.version, since_ns, attribute=attribute))

    def _readers(self, plugin: str) -> list[tuple[Load, Attribute]]:
        """The loads that can tell the plugin's version, and how."""
        readers = [(load, self._stage.attribution.reads(plugin, name)) for name, load in self._stage.loads.items()]
        return [(load, attribute) for load, attribute in readers if attribute is not None]

    async def _in_force(self, plugin: str) -> Subject:
        subject = await self._answered(plugin)
        if subject.trail.nacked:
            raise StepFailed(f"{plugin} can't take effect, it was refused: {_why(subject)}")
        return subject

    def _progress(self, plugin: str) -> str:
        """How far the latest change came, for whoever waited in vain."""
        trail = self._subject(plugin).trail
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

    # -- requests -------------------------------------------------------------------------------------------

    async def _request(self, step: Request) -> None:
        deadline = None if step.within_s is None else asyncio.get_running_loop().time() + step.within_s
        while True:
            problem = await self._ask(step)
            if problem is None:
                return
            if deadline is None or asyncio.get_running_loop().time() >= deadline:
                raise StepFailed(f"{step.method} {step.path}: {problem}")
            await asyncio.sleep(0.02)

    async def _ask(self, step: Request) -> str | None:
        """One request; what is wrong with the answer, None when it is as expected."""
        url = f"http://127.0.0.1:{self._stage.pipeline.gateway_port}"
        headers = {**({"Host": step.host} if step.host else {}), **step.headers}
        timeout = aiohttp.ClientTimeout(total=step.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
                session.request(
                    step.method,
                    url + step.path,
                    headers=headers,
                    data=step.body.encode() or None,
                    allow_redirects=False,
                ) as response,
            ):
                body = (await response.read()).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no answer: {error or 'timed out'}"
        self._trace.emit("traffic.request", method=step.method, path=step.path, status=response.status)
        expect = step.expect
        if expect.status is not None and response.status != expect.status:
            return f"expected status {expect.status}, got {response.status}"
        for name, value in expect.headers.items():
            actual = response.headers.get(name)
            if actual != value:
                return f"expected header {name}: {value}, got {actual}"
        if expect.body_contains is not None and expect.body_contains not in body:
            return f"expected {expect.body_contains!r} in the body, got {body[:200]!r}"
        return None


async def listener_count(pipeline: Pipeline) -> int:
    """How often Envoy's listeners changed so far."""
    stats = await pipeline.envoy.admin.stats("^listener_manager\\.listener_(added|modified|removed)$")
    return sum(stats.values())


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

"""Steps, carried out: each typed step on the running parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sim.core import Key, StoredObject
from sim.errors import InvalidInput, StepFailed
from sim.manifests import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN, Manifest
from sim.scenario.ask import request
from sim.scenario.awaited import PluginChange
from sim.scenario.changes import bumped, edited
from sim.scenario.expect import in_words
from sim.scenario.load import LoadedScenario
from sim.scenario.pipeline import GatewayParts
from sim.scenario.places import PlacedStep
from sim.scenario.schema import (
    Advance,
    Apply,
    Bump,
    ChangeLoad,
    CheckThat,
    Clear,
    Delete,
    Edit,
    Fault,
    Kill,
    Parallel,
    Pause,
    Push,
    Repeat,
    Request,
    Restart,
    Sleep,
    Wait,
)
from sim.scenario.stage import Branch, Stage
from sim.scenario.waits import Waits


class StepRunner:
    """Carries out one step after another. Raises StepFailed, with the step's place, when one can't be."""

    def __init__(self, stage: Stage, loaded: LoadedScenario) -> None:
        self._stage = stage
        self._loaded = loaded
        self._trace = stage.pipeline.trace
        self._waits = Waits(stage)

    async def carry_out(self, placed: PlacedStep, branch: Branch) -> str | None:
        """Do the step, and those within it. Returns what is to be noted of it, if anything is."""
        try:
            match placed.step:
                case Repeat():
                    for turn in range(placed.step.times):
                        round_ = f"round {turn + 1} of {placed.step.times}"
                        await self._sequence(placed.within[0], branch, round_)
                case Parallel():
                    await self._parallel(placed, branch)
                case _:
                    return await self._one(placed, branch)
        except StepFailed as error:
            error.where = error.where or placed.where
            raise
        except InvalidInput as error:
            raise StepFailed(str(error), where=placed.where) from error
        return None

    async def _sequence(self, steps: Sequence[PlacedStep], branch: Branch, turn: str | None = None) -> None:
        from sim.scenario.describe import describe

        for each in steps:
            text = describe(each.step)
            fields = {"index": each.key[0], "step": text, "where": str(each.where), "number": each.number}
            with self._trace.span("run.step", **fields) as span:
                try:
                    note = await self.carry_out(each, branch)
                except StepFailed as error:
                    # Of steps within steps the innermost is named, with every round that it was in.
                    if error.step is None:
                        error.step = f"{each.number} ({text})"
                    if turn is not None:
                        error.step += f", {turn}"
                    raise
                if note is not None:
                    span.add(note=note)

    async def _parallel(self, placed: PlacedStep, branch: Branch) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, steps in enumerate(placed.within):
                    own = Branch(branch.origin)
                    tasks.create_task(self._sequence(steps, own), name=f"branch-{placed.number}.{number + 1}")
        except* StepFailed as group:
            first: BaseException = group
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        branch.origin = len(self._trace.events)

    async def _one(self, placed: PlacedStep, branch: Branch) -> str | None:
        step = placed.step
        match step:
            case Apply():
                return await self._change(self._loaded.manifests.get(placed.key, ()), branch)
            case Bump():
                before = self._object(step.plugin).manifest
                return await self._change([bumped(before, tag=step.tag, image=step.image)], branch)
            case Edit():
                return await self._change([edited(self._object(step.plugin).manifest, step.patch)], branch)
            case Delete():
                return await self._change([self._object(step.plugin).key], branch)
            case Push():
                branch.origin = len(self._trace.events)
                image = self._loaded.pushes[placed.key]
                await self._stage.pipeline.push(await asyncio.to_thread(image.build), image.reference)
            case Wait():
                return await self._waits.carry_out(step, branch)
            case Sleep():
                await asyncio.sleep(step.duration_s)
            case Request():
                return f"→ {await request(step, self._stage.pipeline)}"
            case CheckThat():
                await self._check(placed)
            case Fault():
                branch.origin = len(self._trace.events)
                await self._stage.pipeline.faults.inject(step, step.gateway)
            case Clear():
                branch.origin = len(self._trace.events)
                await self._stage.pipeline.faults.clear(step.name)
            case ChangeLoad():
                await self._change_load(step)
            case Restart():
                branch.origin = len(self._trace.events)
                await self._leave(step.part)
                with self._trace.span("run.start", target=step.part):
                    await self._stage.pipeline.slot(step.part).up()
            case Kill():
                branch.origin = len(self._trace.events)
                await self._leave(step.part, kill=True)
            case Pause():
                await self._pause(step)
            case Advance():
                self._advance(step)
            case _:
                raise AssertionError(f"no way to carry out {type(step).__name__}")
        return None

    # -- manifests ------------------------------------------------------------------------------------------

    async def _change(self, targets: Sequence[Manifest | Key], branch: Branch) -> str | None:
        pipeline = self._stage.pipeline
        if pipeline.options.stops is not None:
            await pipeline.options.stops.begin()
        counts = [(gateway, await self._stage.listener_count(gateway)) for gateway in pipeline.gateways]
        branch.origin = len(self._trace.events)
        changed = False
        for target in targets:
            before = len(self._trace.events)
            revision = self._revision()
            if isinstance(target, Key):
                there = pipeline.store.delete(target) is not None
            else:
                there = pipeline.store.apply(target) != "unchanged"
            changed |= there
            if there and target.kind == WASM_PLUGIN:
                name = f"{target.namespace}/{target.name}"
                left = None if isinstance(target, Key) else target
                self._stage.made.setdefault(name, []).append(PluginChange(before, left))
            applied = [e.seq for e in self._trace.events[before:] if e.event == "core.apply" and e.plugin]
            failed = any(e.event == "core.convert" and e.span == "failed" for e in self._trace.events[before:])
            if revision is not None and revision == self._revision() and not failed:
                self._stage.alike.update(applied)
            for gateway, count in counts:
                if count is not None:
                    self._stage.record_of(gateway).listener_counts += [(position, count) for position in applied]

        return None if changed or not targets else "changes nothing"

    def _revision(self) -> int | None:
        """How often Core's state has changed so far; None while it is down."""
        slot = self._stage.pipeline.core_slot
        return slot.part.controller.revision if slot is not None and slot.running else None

    def _object(self, plugin: str) -> StoredObject:
        namespace, _, name = plugin.partition("/")
        for api_version in (HIGRESS_WASM, ISTIO_WASM):
            found = self._stage.pipeline.store.get(Key(api_version, WASM_PLUGIN, namespace, name))
            if found is not None:
                return found
        raise StepFailed(f"there is no WasmPlugin {plugin}", hint="apply it first, or see whether it was deleted")

    # -- expectations ---------------------------------------------------------------------------------------

    async def _check(self, placed: PlacedStep) -> None:
        seen = self._loaded.checks[placed.key].evaluate(await self._stage.result_now(), self._trace.events)
        self._stage.checked.append(seen)
        if not seen.passed:
            raise StepFailed(f"not true: {seen.that}", hint=in_words(seen))

    # -- traffic --------------------------------------------------------------------------------------------

    async def _change_load(self, step: ChangeLoad) -> None:
        load = self._stage.loads.get(step.traffic)
        if load is None:
            known = ", ".join(self._stage.loads) or "none"
            raise StepFailed(f"there is no traffic {step.traffic}", hint=f"traffic is {known}")
        await load.set_rate(step.rate_per_s)
        self._trace.emit("run.load", load=step.traffic, rate_per_s=step.rate_per_s)

    # -- parts ----------------------------------------------------------------------------------------------

    async def _leave(self, part: str, *, kill: bool = False) -> None:
        slot = self._stage.pipeline.slot(part)
        if not slot.running:
            return
        with self._trace.span("run.kill" if kill else "run.stop", target=part):
            if part.partition("/")[0] == "envoy":
                gateway = self._gateway_of(part)
                await self._stage.envoy_goes(gateway)
                if kill:
                    gateway.envoy.kill()
            await slot.down()

    async def _pause(self, step: Pause) -> None:
        envoy = self._gateway_of(step.part).envoy
        with self._trace.span("run.pause", target=step.part):
            envoy.pause()
            try:
                await asyncio.sleep(step.for_s)
            finally:
                envoy.resume()

    def _advance(self, step: Advance) -> None:
        pipeline = self._stage.pipeline
        chosen = [pipeline.gateway_named(step.gateway)] if step.gateway is not None else pipeline.gateways
        for gateway in chosen:
            gateway.clock.advance(step.by_s)
            gateway.trace.emit("run.advance", by_s=step.by_s)
            gateway.agent.purge()

    def _gateway_of(self, part: str) -> GatewayParts:
        return self._stage.pipeline.gateway_named(part.partition("/")[2] or None)

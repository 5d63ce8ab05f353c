"""Steps, carried out: each typed step on the running parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sim.core import Key, StoredObject
from sim.errors import InvalidInput, StepFailed
from sim.manifests import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN, Manifest
from sim.scenario.ask import request
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

    async def carry_out(self, placed: PlacedStep, branch: Branch) -> None:
        """Do the step, and those within it."""
        try:
            match placed.step:
                case Repeat():
                    for _ in range(placed.step.times):
                        await self._sequence(placed.within[0], branch)
                case Parallel():
                    await self._parallel(placed, branch)
                case _:
                    await self._one(placed, branch)
        except StepFailed as error:
            error.where = error.where or placed.where
            raise
        except InvalidInput as error:
            raise StepFailed(str(error), where=placed.where) from error

    async def _sequence(self, steps: Sequence[PlacedStep], branch: Branch) -> None:
        from sim.scenario.describe import describe

        for each in steps:
            text = describe(each.step)
            with self._trace.span("run.step", index=each.key[0], step=text, where=str(each.where), number=each.number):
                await self.carry_out(each, branch)

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

    async def _one(self, placed: PlacedStep, branch: Branch) -> None:
        step = placed.step
        match step:
            case Apply():
                await self._change(self._loaded.manifests.get(placed.key, ()), branch)
            case Bump():
                before = self._object(step.plugin).manifest
                await self._change([bumped(before, tag=step.tag, image=step.image)], branch)
            case Edit():
                await self._change([edited(self._object(step.plugin).manifest, step.patch)], branch)
            case Delete():
                await self._change([self._object(step.plugin).key], branch)
            case Push():
                branch.origin = len(self._trace.events)
                image = self._loaded.pushes[placed.key]
                await self._stage.pipeline.push(await asyncio.to_thread(image.build), image.reference)
            case Wait():
                await self._waits.carry_out(step, branch)
            case Sleep():
                await asyncio.sleep(step.duration_s)
            case Request():
                await request(step, self._stage.pipeline)
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

    # -- manifests ------------------------------------------------------------------------------------------

    async def _change(self, targets: Sequence[Manifest | Key], branch: Branch) -> None:
        pipeline = self._stage.pipeline
        if pipeline.options.stops is not None:
            await pipeline.options.stops.begin()
        counts = [(gateway, await self._stage.listener_count(gateway)) for gateway in pipeline.gateways]
        branch.origin = len(self._trace.events)
        for target in targets:
            before = len(self._trace.events)
            if isinstance(target, Key):
                pipeline.store.delete(target)
            else:
                pipeline.store.apply(target)
            applied = [e.seq for e in self._trace.events[before:] if e.event == "core.apply" and e.plugin]
            for gateway, count in counts:
                if count is not None:
                    self._stage.record_of(gateway).listener_counts += [(position, count) for position in applied]

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

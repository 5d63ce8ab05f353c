"""A run that is driven from outside: by a test, by the buttons of a page, by kubectl.

Whatever does it makes the same steps as a scenario has, and the session keeps what was done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sim.core import Key, Store
from sim.errors import InvalidInput, Location, SimError, StepFailed
from sim.manifests import WASM_PLUGIN, Document, Manifest, load_manifests
from sim.scenario.changes import bumped, edited
from sim.scenario.describe import describe
from sim.scenario.expect import compile_expectation
from sim.scenario.images import ResolvedImage, resolve_image
from sim.scenario.load import LoadedScenario
from sim.scenario.places import PlacedStep, StepKey, placed
from sim.scenario.problems import InvalidScenario, explain
from sim.scenario.result import Result
from sim.scenario.run import Run
from sim.scenario.run_result import result_of
from sim.scenario.schema import AnyStep, Apply, Bump, CheckThat, Delete, Edit, Push, Step
from sim.scenario.stage import Branch, Stage
from sim.scenario.steps import StepRunner
from sim.scenario.versions import learn
from sim.trace import Trace

_STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)


@dataclass(slots=True)
class Deed:
    """A step that was carried out. `by` says who did it: `scenario`, `page`, `kubectl`, `folder`, `test`.

    `manifests` are the objects that it put in force. `ended_ns` is None while it is under way; `error` tells
    why it could not be done.
    """

    step: Step
    by: str
    started_ns: int
    manifests: tuple[Manifest, ...] = ()
    ended_ns: int | None = None
    error: str | None = None


@dataclass(slots=True)
class Prepared:
    """A step that was checked, and what it needs."""

    placed: PlacedStep
    loaded: LoadedScenario
    deed: Deed


@dataclass(slots=True)
class Session:
    """What can be done to a run while it is open (see `runner.opened`)."""

    run: Run
    stage: Stage
    deeds: list[Deed] = field(default_factory=list)
    #: Everything in the registry that was pushed as an image of the scenario or by a step.
    images: list[ResolvedImage] = field(default_factory=list)
    #: A wait for an event looks back to the latest change, whichever step made it.
    branch: Branch = field(default_factory=Branch)

    def __post_init__(self) -> None:
        self.images += self.run.loaded.images

    @property
    def trace(self) -> Trace:
        return self.run.trace

    @property
    def loaded(self) -> LoadedScenario:
        return self.run.loaded

    @property
    def store(self) -> Store:
        """The objects as they are now."""
        return self.stage.pipeline.store

    def result_now(self) -> Result:
        """The result as it would be if the run ended here, without its expectations."""
        return result_of(self.run, evaluate=False)

    def prepare(self, data: Mapping[str, Any] | Step, by: str) -> Prepared:
        """Check a step, as a scenario file has it: `{"bump": {"plugin": …, "tag": …}}`.

        Raises InvalidInput for what is no step, or does not fit what there is, and StepFailed where it can't be done.
        """
        return self._prepared(self._read(data, by), by)

    def prepare_apply(self, manifests: Sequence[Manifest], by: str) -> Prepared:
        """The step that puts these objects in force."""
        name = "-".join(dict.fromkeys(manifest.name for manifest in manifests)) or "nothing"
        step = Apply(file=f"{name}.yaml", missing=True)
        one = PlacedStep(step, (len(self.deeds),), (), Location(by))
        return self._prepared(one, by, {one.key: tuple(manifests)})

    def prepare_own(self, step: PlacedStep) -> Prepared:
        """One of the scenario's own steps."""
        return self._prepared(step, "scenario", self.loaded.manifests if isinstance(step.step, Apply) else {})

    async def carry_out(self, data: Mapping[str, Any] | Step, by: str) -> Deed:
        """Prepare a step and perform it."""
        return await self.perform(self.prepare(data, by))

    async def apply(self, manifests: Sequence[Manifest], by: str) -> Deed:
        """Put objects in force."""
        return await self.perform(self.prepare_apply(manifests, by))

    async def delete(self, key: Key, by: str) -> None:
        """Remove an object of any kind."""
        if key.kind == WASM_PLUGIN:
            await self.carry_out(Delete(plugin=f"{key.namespace}/{key.name}"), by)
        else:
            self.store.delete(key)

    async def scenario_step(self, step: PlacedStep) -> Deed:
        """Carry out one of the scenario's own steps."""
        return await self.perform(self.prepare_own(step))

    async def perform(self, prepared: Prepared) -> Deed:
        """Carry out a step, and keep that it was. Raises StepFailed when it can't be done."""
        deed, one = prepared.deed, prepared.placed
        deed.started_ns = time.monotonic_ns()
        self.deeds.append(deed)
        text = describe(one.step)
        try:
            with self.trace.span("run.step", index=len(self.deeds) - 1, step=text, where=deed.by) as span:
                note = await StepRunner(self.stage, prepared.loaded).carry_out(one, self.branch)
                if note is not None:
                    span.add(note=note)
        except SimError as error:
            deed.error = str(error)
            raise
        except asyncio.CancelledError:
            deed.error = "interrupted"
            raise
        finally:
            deed.ended_ns = time.monotonic_ns()
        return deed

    def _read(self, data: Mapping[str, Any] | Step, by: str) -> PlacedStep:
        document = Document(by, {"steps": [data if not isinstance(data, Step) else {}]}, None)
        try:
            step = data if isinstance(data, Step) else _STEP.validate_python(dict(data))
        except ValidationError as error:
            raise InvalidScenario(explain(error, document)) from error
        (one,) = placed([step], document, ("steps",), ())
        return replace(one, key=(len(self.deeds),), where=Location(by))

    def _prepared(
        self, one: PlacedStep, by: str, given: Mapping[StepKey, tuple[Manifest, ...]] | None = None
    ) -> Prepared:
        within = list(one.everything())
        manifests, pushes, checks = dict(given or {}), {}, {}
        for each in within:
            step = each.step
            if isinstance(step, Apply) and each.key not in manifests:
                manifests[each.key] = tuple(self._load(step))
            elif isinstance(step, Push):
                pushes[each.key] = resolve_image(step.image, self.loaded.folder)
            elif isinstance(step, CheckThat):
                traffic = tuple(self.loaded.scenario.spec.traffic)
                checks[each.key] = compile_expectation(step.that, each.where, traffic=traffic)
            elif isinstance(step, Bump | Edit) and len(within) == 1:
                # What it will make, so that traffic can tell its version; and an error before anything is held.
                manifests[each.key] = (self._changed(step),)
        self.images += pushes.values()
        learn(self.run.attribution, self.images, [made for several in manifests.values() for made in several])
        own = manifests.get(one.key, ())
        loaded = replace(self.loaded, manifests=manifests, pushes=pushes, checks=checks)
        return Prepared(one, loaded, Deed(one.step, by, time.monotonic_ns(), own))

    def _load(self, step: Apply) -> list[Manifest]:
        file = self.loaded.folder / step.file
        if not file.exists():
            raise InvalidInput(
                f"there is no manifest {step.file}", hint=f"relative paths start at {self.loaded.folder}"
            )
        return load_manifests(file)

    def _changed(self, step: Bump | Edit) -> Manifest:
        before = self.plugin(step.plugin)
        if isinstance(step, Bump):
            return bumped(before, tag=step.tag, image=step.image)
        return edited(before, step.patch)

    def plugin(self, name: str) -> Manifest:
        """The WasmPlugin `namespace/name` as it is now. Raises StepFailed when there is none."""
        for found in self.store.list(WASM_PLUGIN):
            if found.name == name:
                return found.manifest
        known = ", ".join(found.name for found in self.store.list(WASM_PLUGIN))
        raise StepFailed(f"there is no WasmPlugin {name}", hint=f"there are {known}" if known else "apply one first")

"""What a scenario means, followed step by step without running anything: which objects and images there are when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sim.errors import InvalidInput, Location, SimError
from sim.manifests import WASM_PLUGIN, Document, Manifest, load_manifests
from sim.oci import parse_reference
from sim.profiles import Profile, load_profile, profile_names
from sim.scenario.changes import bumped, edited, image_url
from sim.scenario.event_values import PARTS, unknown_event
from sim.scenario.expect import CompiledExpectation, check_version_rule, compile_expectation
from sim.scenario.fault_checks import fault_problems
from sim.scenario.images import ForeignImage, ImageProblem, ResolvedImage, foreign_image, resolve_image
from sim.scenario.places import PlacedStep, StepKey, placed
from sim.scenario.problems import InvalidScenario, near_file, suggestion, written_path
from sim.scenario.schema import (
    Advance,
    AnyImage,
    Apply,
    Bump,
    ChangeLoad,
    CheckThat,
    Delete,
    Edit,
    ElsewhereImage,
    Fault,
    Kill,
    Pause,
    Push,
    Request,
    Restart,
    Scenario,
    Step,
    Wait,
)
from sim.scenario.thresholds import PlacedThreshold, placed_thresholds

_EVENT = re.compile(r"[a-z]+\.[a-z_*?]+")

Path_ = tuple[str | int, ...]

T = TypeVar("T")


class Check:
    """`run` fills `problems`, and the rest as far as it is right.

    `registry` (`host:port`) takes the place of the run's own, and may have any image.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        document: Document,
        registry: str | None = None,
        *,
        combined: bool = True,
    ) -> None:
        self.problems: list[InvalidInput] = []
        self.profile: Profile | None = None
        self.images: list[ResolvedImage] = []
        self.elsewhere: list[ForeignImage] = []
        self.steps = placed(scenario.spec.steps, document)
        self.pushes: dict[StepKey, ResolvedImage] = {}
        self.manifests: dict[StepKey, tuple[Manifest, ...]] = {}
        self.checks: dict[StepKey, CompiledExpectation] = {}
        self.expectations: list[CompiledExpectation] = []
        self.thresholds: tuple[PlacedThreshold, ...] = ()
        self._scenario = scenario
        self._folder = folder
        self._document = document
        self._registry = registry
        self._combined = combined
        #: The references that the registry has so far, and what to call each.
        self._pushed: dict[str, Location] = {}
        #: Whether an image could not be resolved, so that its absence is no second problem.
        self._images_in_doubt = False
        self._applied: dict[str, Manifest] = {}
        self._ever_applied: dict[str, None] = {}
        self._manifests_in_doubt = False
        self._steps: dict[type[Step], Callable[..., None]] = {
            Apply: self._apply,
            Bump: self._bump,
            Edit: self._edit,
            Delete: self._delete,
            Push: self._push,
            Wait: self._wait,
            CheckThat: self._check_that,
            ChangeLoad: self._change_load,
        }

    def run(self) -> None:
        spec = self._scenario.spec
        self._check_profile()
        for index, entry in enumerate(spec.images):
            if isinstance(entry, ElsewhereImage):
                self._image_elsewhere(entry, ("spec", "images", index))
                continue
            resolved = self._image(entry, ("spec", "images", index))
            if resolved is not None:
                self.images.append(resolved)
        for name, traffic in spec.traffic.items():
            if traffic.version_by is not None:
                where = self._document.where("spec", "traffic", name, "version_by")
                self._attempt(partial(check_version_rule, traffic.version_by, where), where)
        self._check_gateways()
        self._walk(self.steps)
        self._check_hosts()
        self.problems += fault_problems(self.steps, self._document.where)
        for index, text in enumerate(spec.expect):
            where = self._document.where("spec", "expect", index)
            made = self._attempt(partial(self._compiled, text, where), where)
            if made is not None:
                self.expectations.append(made)
        self.thresholds = placed_thresholds(spec.thresholds, self._document)
        self._check_thresholds()

    def _walk(self, steps: tuple[PlacedStep, ...]) -> None:
        for each in steps:
            carry_out = self._steps.get(type(each.step))
            if carry_out is not None:
                carry_out(each.step, each.key, each.path)
            self._check_gateway_of(each)
            for branch in each.within:
                self._walk(branch)

    def _check_profile(self) -> None:
        spec = self._scenario.spec
        where = self._document.where("spec", "profile")
        name = spec.profile
        is_path = "/" in name or name.endswith((".yaml", ".yml"))
        if not is_path and name not in profile_names():
            known = f"profiles are {', '.join(profile_names())}, or a path to your own .yaml file"
            self._problem(f"there is no profile {name!r}", suggestion(name, profile_names(), known), where)
            return
        if is_path and not (self._folder / name).is_file():
            near = near_file(self._folder / name)
            hint = f"did you mean {near}? " if near else ""
            self._problem(f"there is no profile {name}", f"{hint}relative paths start at {self._folder}", where)
            return
        profile = self._attempt(lambda: load_profile(str(self._folder / name) if is_path else name), where)
        self.profile = profile
        if profile is None:
            return
        for index, bug in enumerate(spec.fixed):
            at = self._document.where("spec", "fixed", index)
            if bug not in profile.bugs:
                known = f"the bugs of {profile.name} are {', '.join(profile.bugs) or 'none'}"
                self._problem(
                    f"the profile {profile.name} has no bug {bug!r}", suggestion(bug, profile.bugs, known), at
                )
            elif bug in spec.fixed[:index]:
                self._problem(f"{bug!r} is listed twice", "remove one of the two", at)

    def _image(self, entry: AnyImage, path: Path_) -> ResolvedImage | None:
        try:
            resolved = resolve_image(entry, self._folder)
        except ImageProblem as error:
            self._problem(error.message, error.hint, self._document.where(*path, error.key))
            self._images_in_doubt = True
            return None
        return resolved if self._is_new(resolved, path) else None

    def _image_elsewhere(self, entry: ElsewhereImage, path: Path_) -> None:
        try:
            found = foreign_image(entry)
        except ImageProblem as error:
            self._problem(error.message, error.hint, self._document.where(*path, error.key))
            self._images_in_doubt = True
            return
        if self._is_new(found, path):
            self.elsewhere.append(found)

    def _is_new(self, image: ResolvedImage | ForeignImage, path: Path_) -> bool:
        """Note that it is there. A reference that an earlier one of `images` has is a problem."""
        where = self._document.where(*path)
        reference = str(image.reference)
        first = self._pushed.get(reference)
        if first is not None and path[1] == "images":
            self._problem(
                f"two images have the reference {image.written}, the first in line {first.line}",
                "give one of them another tag, or push the second by a step when the tag is to move",
                where,
            )
            return False
        self._pushed[reference] = where
        return True

    def _check_hosts(self) -> None:
        """The run's own registry answers for every host that an image is pushed to, so nobody else can."""
        if self._registry is not None:
            return
        own = {image.reference.registry: image for image in (*self.images, *self.pushes.values())}
        for found in self.elsewhere:
            host = found.reference.registry
            if host in own:
                self._problem(
                    f"{found.written} would be asked of the run's own registry, which answers for {host} because"
                    f" {own[host].written} is pushed there",
                    f"give that one another host, or use the registry for both: --with registry={host}",
                    self._document.where("spec", "images", self._scenario.spec.images.index(found.entry), "ref"),
                )

    def _apply(self, step: Apply, key: StepKey, path: Path_) -> None:
        where = self._document.where(*path)
        file = self._folder / step.file
        if not file.exists():
            near = near_file(file)
            hint = f"did you mean {near}? " if near else ""
            self._problem(f"there is no manifest {step.file}", f"{hint}relative paths start at {self._folder}", where)
            self._manifests_in_doubt = True
            return
        manifests = self._attempt(lambda: load_manifests(file), where)
        if manifests is None:
            self._manifests_in_doubt = True
            return
        if not manifests:
            self._problem(f"there is no object in {step.file}", "write a WasmPlugin there", where)
        self.manifests[key] = tuple(manifests)
        for manifest in manifests:
            if manifest.kind == WASM_PLUGIN:
                self._put(manifest, missing=step.missing, where=where, told=f"{step.file} names")

    def _bump(self, step: Bump, key: StepKey, path: Path_) -> None:
        where = self._document.where(*path, "tag" if step.tag is not None else "image")
        old = self._plugin(step.plugin, (*path, "plugin"))
        if old is None:
            return
        new = self._attempt(lambda: bumped(old, tag=step.tag, image=step.image), where)
        if new is not None:
            self.manifests[key] = (new,)
            self._put(new, missing=step.missing, where=where, told="the bump is to")

    def _edit(self, step: Edit, key: StepKey, path: Path_) -> None:
        where = self._document.where(*path, "patch")
        old = self._plugin(step.plugin, (*path, "plugin"))
        if old is None:
            return
        new = self._attempt(lambda: edited(old, step.patch), where, own_place=False)
        if new is not None:
            self.manifests[key] = (new,)
            self._put(new, missing=step.missing, where=where, told="the patched object names")

    def _delete(self, step: Delete, key: StepKey, path: Path_) -> None:
        if self._plugin(step.plugin, path) is not None:
            del self._applied[step.plugin]

    def _push(self, step: Push, key: StepKey, path: Path_) -> None:
        resolved = self._image(step.image, path)
        if resolved is not None:
            self.pushes[key] = resolved

    def _wait(self, step: Wait, key: StepKey, path: Path_) -> None:
        if step.event is not None:
            self._check_event(step.event, self._document.where(*path, "event"))
        target = step.target
        if target is None or target in self._ever_applied or self._manifests_in_doubt:
            return
        where = self._document.where(*path, step.condition or "plugin")
        self._unknown_plugin(target, self._ever_applied, where)

    def _check_event(self, event: str, where: Location) -> None:
        part = event.partition(".")[0]
        if _EVENT.fullmatch(event) is None or part not in PARTS:
            self._problem(
                f"{event!r} is not the name of an event",
                suggestion(
                    part, PARTS, f"write part.operation, such as agent.fetch or envoy.*; parts are {', '.join(PARTS)}"
                ),
                where,
            )
            return
        unknown = unknown_event(event)
        if unknown is not None:
            self._problem(*unknown, where)

    def _check_thresholds(self) -> None:
        for metric, groups in self._scenario.spec.thresholds.items():
            for position, group in enumerate(groups):
                path = written_path(("spec", "thresholds", metric, position, "over"), self._document.data)
                self._check_gateway(group.over.gateway, (*path, "gateway"))
                plugin = group.over.plugin
                if plugin is not None and plugin not in self._ever_applied and not self._manifests_in_doubt:
                    self._unknown_plugin(plugin, self._ever_applied, self._document.where(*path, "plugin"))

    def _check_gateways(self) -> None:
        spec = self._scenario.spec
        if spec.gateways and "gateway" in spec.model_fields_set:
            where = self._document.where("spec", "gateways")
            self._problem("gateway and gateways together", "keep gateways alone", where)
        if len(spec.gateways) > 200:
            self._problem(
                f"{len(spec.gateways)} gateways are too many", "at most 200", self._document.where("spec", "gateways")
            )
        names = [gateway.name for gateway in spec.gateways]
        for index, name in enumerate(names):
            if name in names[:index]:
                where = self._document.where("spec", "gateways", index, "name")
                self._problem(f"two gateways are called {name}", "give one of them another name", where)
        for name, traffic in spec.traffic.items():
            self._check_gateway(traffic.gateway, ("spec", "traffic", name, "gateway"))
            if traffic.lasts and spec.upstream != "echo":
                self._problem(
                    f"{traffic.protocol} needs an upstream that keeps it up",
                    "write upstream: echo under spec",
                    self._document.where("spec", "traffic", name, "protocol"),
                )

    def _check_gateway_of(self, placed_step: PlacedStep) -> None:
        step, path = placed_step.step, placed_step.path
        if isinstance(step, Wait | Request | Advance | Fault):
            self._check_gateway(step.gateway, (*path, "gateway"))
        if isinstance(step, Wait) and step.ready is not None:
            self._check_gateway(step.ready, (*path, "ready"))
        if isinstance(step, Restart | Kill | Pause):
            part, _, gateway = step.part.partition("/")
            several = len(self._scenario.spec.gateways) > 1
            if gateway:
                self._check_gateway(gateway, (*path, "part"))
            elif several and part in ("agent", "envoy"):
                names = " or ".join(f"{part}/{each.name}" for each in self._scenario.spec.gateways[:2])
                self._problem(f"there are several {part}s", f"say which: {names}", self._document.where(*path, "part"))

    def _check_gateway(self, name: str | None, path: Path_) -> None:
        names = [gateway.name for gateway in self._scenario.spec.gateways] or ["gateway"]
        if name is not None and name not in names:
            self._problem(
                f"there is no gateway {name!r}",
                suggestion(name, names, f"gateways are {', '.join(names)}"),
                self._document.where(*path),
            )

    def _plugin(self, key: str, path: Path_) -> Manifest | None:
        found = self._applied.get(key)
        if found is None and not self._manifests_in_doubt:
            where = self._document.where(*path)
            if key in self._ever_applied:
                self._problem(f"{key} was deleted by an earlier step", "apply it again before this step", where)
            else:
                self._unknown_plugin(key, self._applied, where)
        return found

    def _unknown_plugin(self, key: str, known: Iterable[str], where: Location) -> None:
        names = list(known)
        applied = f"applied so far: {', '.join(names)}" if names else "no earlier step applies a WasmPlugin"
        self._problem(f"no earlier step applies the plugin {key}", suggestion(key, names, applied), where)

    def _put(self, manifest: Manifest, *, missing: bool, where: Location, told: str) -> None:
        self._applied[manifest.key] = manifest
        self._ever_applied[manifest.key] = None
        url = image_url(manifest)
        if url is None:
            return
        try:
            reference = parse_reference(url)
        except InvalidInput as error:
            if not missing:
                self._problem(error.message, error.hint, where)
            return
        if self._images_in_doubt or reference.digest is not None or reference.registry == self._registry:
            return
        there = str(reference) in self._pushed
        if there and missing:
            self._problem(
                f"missing: true, but the registry has {url} by then", "remove missing: true, or name another tag", where
            )
        elif not there and not missing:
            names = [text for text in self._pushed if text.rpartition(":")[0] == reference.name] or list(self._pushed)
            has = f"by then it has {', '.join(names)}" if names else "by then it is empty"
            add = (
                "add the image to spec.images (as ref: where a registry of its own has it), or write missing: true"
                " where that is the point"
            )
            self._problem(f"{told} {url}, which the registry does not have", f"{has}; {add}", where)

    def _check_that(self, step: CheckThat, key: StepKey, path: Path_) -> None:
        where = self._document.where(*path)
        made = self._attempt(partial(self._compiled, step.that, where), where)
        if made is not None:
            self.checks[key] = made

    def _compiled(self, text: str, where: Location) -> CompiledExpectation:
        spec = self._scenario.spec
        gateways = tuple(gateway.name for gateway in spec.gateways) or ("gateway",)
        return compile_expectation(
            text,
            where,
            traffic=tuple(spec.traffic),
            gateways=gateways,
            combined=spec.matrix is not None or self._combined,
        )

    def _change_load(self, step: ChangeLoad, key: StepKey, path: Path_) -> None:
        names = list(self._scenario.spec.traffic)
        if step.traffic not in names:
            known = f"traffic is {', '.join(names)}" if names else "the scenario has no traffic"
            where = self._document.where(*path, "traffic")
            self._problem(f"there is no traffic {step.traffic!r}", suggestion(step.traffic, names, known), where)

    def _problem(self, message: str, hint: str | None, where: Location) -> None:
        self.problems.append(InvalidInput(message, where=where, hint=hint))

    def _attempt(self, action: Callable[[], T], where: Location, *, own_place: bool = True) -> T | None:
        """The action's outcome; None, and a problem, where it raises. `own_place`: the error may know better."""
        try:
            return action()
        except InvalidScenario as error:
            self.problems.extend(error.problems)
        except InvalidInput as error:
            place = error.where if own_place and error.where is not None else where
            self.problems.append(InvalidInput(error.message, where=place, hint=error.hint))
        except SimError as error:
            self.problems.append(InvalidInput(error.message, where=where, hint=error.hint))
        return None

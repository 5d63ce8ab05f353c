"""The runner: a scenario becomes a run directory. The only place that knows every part."""

from __future__ import annotations

import asyncio
import errno
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Protocol

from sim.discovery import DebounceTimes
from sim.envoy import EnvoyBinary, find_envoy, probe_envoy
from sim.errors import EnvironmentProblem, InvalidInput, Location, PartDied, SimError, StepFailed
from sim.profiles import AbiShim, Profile, load_profile
from sim.scenario.combination import Combination
from sim.scenario.describe import describe
from sim.scenario.external import OURS, ExternalParts
from sim.scenario.faults import links_of
from sim.scenario.follow import GatewayRecord
from sim.scenario.gateway_state import envoy_state
from sim.scenario.load import LoadedScenario
from sim.scenario.module_doubts import module_doubts
from sim.scenario.pipeline import GatewayOptions, PipelineOptions, PushImage, pipeline
from sim.scenario.problems import suggestion
from sim.scenario.response_columns import response_columns
from sim.scenario.result import Environment, ErrorReport, Expectation, GatewayState, Outcome, Result
from sim.scenario.result import Traffic as TrafficResult
from sim.scenario.rollouts import Attribution, rollouts
from sim.scenario.schema import Fault, Spec, Traffic
from sim.scenario.stage import Branch, Stage
from sim.scenario.steps import StepRunner
from sim.scenario.thresholds import hold_thresholds
from sim.scenario.versions import attribution
from sim.trace import Trace, written
from sim.traffic.echo import STREAM_HEADER
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import by_header
from sim.traffic.summary import summarise

_TICK_S = 0.25


class Watcher(Protocol):
    """Who shows a run while it goes on. Called synchronously, so it must not dawdle. Steps count from 1."""

    def on_step(self, index: int, total: int, text: str) -> None: ...
    def on_steps_ended(self, well: bool) -> None: ...
    def on_traffic(self, name: str, rate_per_s: float, by_version: dict[str, int], failed: int) -> None: ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to a scenario. `fixed` comes on top of the scenario's.

    `abi_shim` takes the place of the profile's. `warn` is told beforehand of modules that Envoy will refuse.
    """

    runs_dir: Path = Path("runs")
    envoy: str | None = None
    profile: str | None = None
    fixed: frozenset[str] = frozenset()
    external: ExternalParts = OURS
    abi_shim: AbiShim | None = None
    warn: Callable[[str], None] = lambda _: None
    #: Hops of which every message is kept.
    record: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Run:
    """What is known of a run, whatever became of it."""

    loaded: LoadedScenario
    options: RunOptions
    profile: Profile
    directory: Path
    trace: Trace
    attribution: Attribution
    started_ns: int
    binary: EnvoyBinary | None = None
    loads: dict[str, Load] = field(default_factory=dict)
    records: list[GatewayRecord] = field(default_factory=list)
    gateways: dict[str, GatewayState] = field(default_factory=dict)
    checked: list[Expectation] = field(default_factory=list)
    failure: ErrorReport | None = None
    outcome: Outcome = "passed"
    #: How far the trace went when the traffic had ended and the parts had not begun to; what comes later is no news.
    end: int | None = None

    def ends(self) -> None:
        self.end = len(self.trace.events)


async def run_scenario(
    loaded: LoadedScenario, options: RunOptions, trace: Trace | None = None, watcher: Watcher | None = None
) -> Result:
    """Carry a scenario out and give its result, which also lies in the run directory with everything else.

    Never raises for what happens in a run: an error is an outcome. What prevents a run from beginning (no Envoy, a
    run directory that can't be made, an option that does not fit) is raised as EnvironmentProblem or InvalidInput.
    """
    profile = load_profile(options.profile) if options.profile is not None else loaded.profile
    combination = loaded.combination or Combination()
    if combination.xds is not None:
        profile = profile.model_copy(update={"xds_variant": combination.xds})
    if options.abi_shim is not None:
        profile = profile.model_copy(update={"abi_shim": options.abi_shim})
    check_fixed(profile, loaded, options)
    options.external.check(loaded)
    await options.external.reachable()
    binary = await probe_envoy(find_envoy(options.envoy or loaded.envoy))
    images = (*loaded.images, *loaded.pushes.values())
    for doubt in module_doubts(images, binary.version, shim=profile.abi_shim == "auto"):
        options.warn(doubt)
    directory = make_run_directory(options.runs_dir, "-".join(filter(None, (loaded.name, combination.name))))
    trace = trace or Trace()
    run = _Run(
        loaded=loaded,
        options=options,
        profile=profile,
        directory=directory,
        trace=trace,
        attribution=attribution(loaded),
        started_ns=time.monotonic_ns(),
        binary=binary,
    )
    with _disk_errors():
        (directory / "scenario.yaml").write_text(loaded.resolved_yaml(), encoding="utf-8")
    interrupted = False
    try:
        with _disk_errors():
            async with written(trace, directory):
                await _carry_out(run, watcher)
    except asyncio.CancelledError:
        interrupted = True
        run.outcome, run.failure = "error", ErrorReport(message="interrupted")
        raise
    except (SimError, OSError, ExceptionGroup) as raised:
        _fail(run, _cause(raised, directory))
    finally:
        result = _result(run, evaluate=not interrupted)
        try:
            _write_json(directory / "result.json", result.to_json())
        except OSError as error:
            # The first thing that could not be written is reported; there is nobody else to tell here.
            if result.outcome != "error":
                result.outcome = "error"
                result.error = ErrorReport(message=f"{directory}: {error}", hint="is the disk full?")
        with suppress(OSError):
            # Only pictures need it: the result stands without.
            columns = json.dumps(response_columns(run.loads), separators=(",", ":"))
            (directory / "traffic.json").write_text(columns + "\n", encoding="utf-8")
    return result


def check_envoys(scenarios: Sequence[LoadedScenario], options: RunOptions) -> None:
    """Raises EnvironmentProblem when an Envoy that one of them asks for is not there, before the first is run."""
    for asked in dict.fromkeys(options.envoy or each.envoy for each in scenarios):
        find_envoy(asked)


def check_fixed(profile: Profile, loaded: LoadedScenario, options: RunOptions) -> None:
    """Raises InvalidInput when the profile lists no bug of a name that is to be fixed."""
    for name in sorted(options.fixed | frozenset(loaded.scenario.spec.fixed)):
        if name not in profile.bugs:
            known = f"the bugs of {profile.name} are {', '.join(profile.bugs) or 'none'}"
            raise InvalidInput(
                f"the profile {profile.name} has no bug {name!r}",
                where=None if name in options.fixed else loaded.where("spec", "fixed"),
                hint=suggestion(name, profile.bugs, known),
            )


def make_run_directory(parent: Path, name: str) -> Path:
    """`<name>-<UTC time>`, never one that exists: two runs may begin in the same instant."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    with _disk_errors():
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1000):
            suffix = f"-{attempt + 1}" if attempt else ""
            directory = parent / f"{name}-{stamp}{suffix}"
            try:
                directory.mkdir()
            except FileExistsError:
                continue
            return directory
    raise EnvironmentProblem(f"no run directory could be made in {parent}", hint="choose another with --runs-dir")


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose"
        raise EnvironmentProblem(
            f"can't write the run directory: {error}", hint=f"{hint} another place with --runs-dir"
        ) from error


async def _carry_out(run: _Run, watcher: Watcher | None) -> None:
    loaded = run.loaded
    spec = loaded.scenario.spec

    async def stock(push: PushImage) -> None:
        for image in loaded.images:
            with run.trace.span("registry.push", image=image.written, format=image.format):
                await push(await asyncio.to_thread(image.build), image.reference)

    debounce = DebounceTimes()
    options = PipelineOptions(
        profile=run.profile,
        envoy=run.binary or await probe_envoy(find_envoy()),
        directory=run.directory,
        gateways=gateway_options(spec),
        gateway_port=spec.gateway.port or 0,
        debounce=DebounceTimes(
            after_s=debounce.after_s if spec.debounce.after_s is None else spec.debounce.after_s,
            max_s=debounce.max_s if spec.debounce.max_s is None else spec.debounce.max_s,
        ),
        hosts=frozenset(image.reference.registry for image in (*loaded.images, *loaded.pushes.values())),
        echo_upstream=spec.upstream == "echo",
        fixed=run.options.fixed | frozenset(spec.fixed),
        external=run.options.external,
        stock=stock,
        registry=spec.registry,
        links=links_of([placed.step for placed in loaded.every_step() if isinstance(placed.step, Fault)]),
        seed=spec.seed,
        record=run.options.record,
    )
    run.trace.emit("run.started", scenario=loaded.scenario.metadata.name, profile=run.profile.name)
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        parts = await stack.enter_async_context(pipeline(options, run.trace))
        stack.push_async_callback(parts.faults.clear_all)
        stack.callback(run.ends)
        run.records = [
            GatewayRecord(gateway.name, gateway.node.id, gateway.options.workers) for gateway in parts.gateways
        ]
        watching: list[asyncio.Task[None]] = []
        stack.callback(lambda: [task.cancel() for task in watching])
        for name, traffic in spec.traffic.items():
            gateway = parts.gateway_named(traffic.gateway)
            orders = load_spec(name, traffic, run.attribution, gateway.name)
            load = Load(orders, gateway.host, gateway.port, run.trace)
            run.loads[name] = await stack.enter_async_context(load)
            watching.append(tasks.create_task(load.watch(), name=f"watch-{name}"))
        if watcher is not None and run.loads:
            watching.append(tasks.create_task(_tell_traffic(run.loads, watcher), name="tell-traffic"))
        stage = Stage(parts, run.loads, run.attribution, run.records, lambda: _so_far(run, stage), run.checked)
        await _steps(run, stage, watcher)
        await _keep_evidence(run, stage)


async def _steps(run: _Run, stage: Stage, watcher: Watcher | None) -> None:
    runner, branch = StepRunner(stage, run.loaded), Branch()
    steps = run.loaded.steps
    for index, placed in enumerate(steps):
        text = describe(placed.step)
        if watcher is not None:
            watcher.on_step(index + 1, len(steps), text)
        try:
            with run.trace.span("run.step", index=index, step=text, where=str(placed.where)):
                await runner.carry_out(placed, branch)
        except StepFailed as error:
            # The rest of the steps would act on a state that is not there; what was measured is still reported.
            run.outcome = "failed"
            if watcher is not None:
                watcher.on_steps_ended(well=False)
            run.failure = ErrorReport(
                message=f"step {index + 1} ({text}): {error.message}",
                where=str(error.where or placed.where),
                hint=error.hint,
            )
            return
    if watcher is not None:
        watcher.on_steps_ended(well=True)


async def _so_far(run: _Run, stage: Stage) -> dict[str, Any]:
    """The result as it is at this moment, for a step that looks at it."""
    await _note_gateways(run, stage)
    return _result(run, evaluate=False).to_json()


async def _note_gateways(run: _Run, stage: Stage) -> None:
    """What only the running gateways know."""
    for gateway in stage.pipeline.gateways:
        record = stage.record_of(gateway)
        record.listener_total = await stage.listener_count(gateway)
        running = gateway.envoy_slot.running
        seen = await envoy_state(gateway.envoy, f"0.0.0.0_{gateway.port}") if running else None
        if seen is not None:
            gateway.trace.emit("envoy.stats", wasm_vms=seen.wasm_vms, memory_bytes=seen.memory_bytes)
        run.gateways[gateway.name or "gateway"] = GatewayState(
            ready=await gateway.ready(),
            running=running,
            workers=gateway.options.workers,
            listener_updates=record.listener_total,
            filters=seen.filters if seen is not None else None,
            wasm_vms=seen.wasm_vms if seen is not None else None,
            memory_bytes=seen.memory_bytes if seen is not None else None,
        )


async def _keep_evidence(run: _Run, stage: Stage) -> None:
    await _note_gateways(run, stage)
    for gateway in stage.pipeline.gateways:
        if gateway.envoy_slot.running:
            dump = await gateway.envoy.admin.config_dump("?include_eds")
            _write_json(gateway.directory / "config_dump.json", dump)


def gateway_options(spec: Spec) -> tuple[GatewayOptions, ...]:
    """The gateways that a scenario asks for. The only one needs no name."""
    if len(spec.gateways) > 1:
        return tuple(GatewayOptions(each.name, each.workers, dict(each.labels)) for each in spec.gateways)
    if spec.gateways:
        (only,) = spec.gateways
        return (GatewayOptions("", only.workers, dict(only.labels)),)
    return (GatewayOptions("", spec.gateway.workers),)


async def _tell_traffic(loads: Mapping[str, Load], watcher: Watcher) -> None:
    """Every quarter of a second: the rate and the versions since the last time."""
    positions = dict.fromkeys(loads, 0)
    failed = dict.fromkeys(loads, 0)
    while True:
        await asyncio.sleep(_TICK_S)
        for name, load in loads.items():
            fresh = load.samples[positions[name] :]
            positions[name] += len(fresh)
            by_version: dict[str, int] = {}
            for sample in fresh:
                failed[name] += sample.failed
                if sample.status is not None:
                    key = sample.version or "none"
                    by_version[key] = by_version.get(key, 0) + 1
            watcher.on_traffic(name, len(fresh) / _TICK_S, by_version, failed[name])


def load_spec(name: str, traffic: Traffic, how: Attribution, gateway: str = "") -> LoadSpec:
    """The probe's orders for one kind of traffic."""
    header = next(iter(how.headers.values()), None) if traffic.version_by is None else None
    attribute = how.by_load.get(name) or (by_header(header) if header is not None else None)
    return LoadSpec(
        name=name,
        gateway=gateway,
        rate_per_s=traffic.rate_per_s,
        connections=traffic.connections,
        method=traffic.method,
        path=traffic.path,
        headers=_headers(traffic),
        authority=traffic.host,
        body=traffic.body,
        timeout_ms=round(traffic.timeout_s * 1000),
        fail_status=tuple(str(status) for status in traffic.fail_status),
        version_header=header,
        attribute=attribute,
        protocol=traffic.protocol,
    )


def _headers(traffic: Traffic) -> dict[str, str]:
    if traffic.protocol != "stream":
        return traffic.headers
    # The upstream's pieces come as often as the probe's requests are due on each connection.
    every_ms = max(1, round(1000 * traffic.connections / traffic.rate_per_s))
    return {**traffic.headers, STREAM_HEADER: str(every_ms)}


def _fail(run: _Run, error: SimError) -> None:
    run.outcome = "error"
    part = error.part if isinstance(error, PartDied) else None
    tail = error.log_tail if isinstance(error, PartDied) else None
    where: Location | None = getattr(error, "where", None)
    run.failure = ErrorReport(
        message=error.message,
        part=part,
        where=str(where) if where is not None else None,
        log_tail=tail or None,
        hint=error.hint,
    )


def _cause(raised: Exception, directory: Path) -> SimError:
    """The error to report of several: a part's death explains whatever failed around it. Bugs are raised again."""
    leaves = list(_leaves(raised))
    for kind in (PartDied, SimError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    for leaf in leaves:
        if isinstance(leaf, OSError):
            return EnvironmentProblem(f"{directory}: {leaf}", hint="is the disk full?")
    raise raised


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _result(run: _Run, *, evaluate: bool) -> Result:
    spec = run.loaded.scenario.spec
    result = Result(
        scenario=run.loaded.scenario.metadata.name,
        profile=run.profile.name,
        combination=run.loaded.combination,
        outcome=run.outcome,
        error=run.failure,
        environment=Environment(
            ecdsim=package_version("ecdsim"),
            envoy=run.binary.version if run.binary is not None else None,
            python=platform.python_version(),
            workers=gateway_options(spec)[0].workers,
            seed=spec.seed,
        ),
        rollouts=rollouts(run.trace.events, list(run.loads.values()), run.attribution, run.records),
        gateways=run.gateways,
        expectations=list(run.checked),
        traffic={name: _traffic(load) for name, load in run.loads.items()},
        duration_ms=round((time.monotonic_ns() - run.started_ns) / 1e6, 1),
        directory=str(run.directory),
    )
    if evaluate and run.outcome != "error":
        context = result.to_json()
        seen = run.trace.events[: run.end]
        result.expectations += [expectation.evaluate(context, seen) for expectation in run.loaded.expectations]
        result.thresholds = hold_thresholds(run.loaded.thresholds, result.rollouts)
        kept = [*(each.passed for each in result.expectations), *(each.passed for each in result.thresholds)]
        if not all(kept):
            result.outcome = "failed"
    return result


def _traffic(load: Load) -> TrafficResult:
    known = TrafficResult.model_fields.keys()
    facts = {**summarise(load), "protocol": load.spec.protocol, "gateway": load.spec.gateway or None}
    return TrafficResult.model_validate({key: value for key, value in facts.items() if key in known})


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

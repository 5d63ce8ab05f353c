"""The runner: a scenario becomes a run directory. The only place that knows every part."""

from __future__ import annotations

import asyncio
import errno
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sim.envoy import find_envoy, probe_envoy
from sim.errors import EnvironmentProblem, InvalidInput, SimError, StepFailed
from sim.profiles import Profile, load_profile
from sim.scenario.combination import Combination
from sim.scenario.describe import describe
from sim.scenario.image_doubts import image_doubts
from sim.scenario.load import LoadedScenario
from sim.scenario.problems import suggestion
from sim.scenario.response_columns import response_columns
from sim.scenario.result import ErrorReport, Result
from sim.scenario.run import Run, RunOptions, Watcher
from sim.scenario.run_result import cause, fail, keep_evidence, result_of, write_json
from sim.scenario.stage import Branch, Stage
from sim.scenario.staging import staged
from sim.scenario.steps import StepRunner
from sim.scenario.versions import attribution
from sim.trace import Trace, written

__all__ = ["RunOptions", "Watcher", "check_envoys", "check_fixed", "make_run_directory", "opened", "run_scenario"]


async def run_scenario(
    loaded: LoadedScenario, options: RunOptions, trace: Trace | None = None, watcher: Watcher | None = None
) -> Result:
    """Carry a scenario out and give its result, which also lies in the run directory with everything else.

    Never raises for what happens in a run: an error is an outcome. What prevents a run from beginning (no Envoy, a
    run directory that can't be made, an option that does not fit) is raised as EnvironmentProblem or InvalidInput.
    """
    run = await _prepared(loaded, options, trace)
    with suppress(SimError):
        async with _on_stage(run, watcher) as stage:
            await _steps(run, stage, watcher)
    assert run.result is not None
    return run.result


@asynccontextmanager
async def opened(
    loaded: LoadedScenario, options: RunOptions, trace: Trace | None = None, watcher: Watcher | None = None
) -> AsyncIterator[tuple[Run, Stage]]:
    """A run whose stage is up while inside; left, `run.result` is there, in the run directory too.

    A SimError inside, and what a part dies of, becomes the run's outcome and goes no further; anything else is raised
    again once the evidence is kept. Raises as `run_scenario` does before it begins, and the SimError for which the
    stage could not be set up.
    """
    run = await _prepared(loaded, options, trace)
    async with _on_stage(run, watcher) as stage:
        yield run, stage


@asynccontextmanager
async def _on_stage(run: Run, watcher: Watcher | None) -> AsyncIterator[Stage]:
    """The stage of a run; see `opened`. `run.result` is there however it is left, or could not be entered."""
    foreign: Exception | None = None
    entered = interrupted = False
    try:
        with _disk_errors():
            async with written(run.trace, run.directory), staged(run, watcher) as stage:
                entered = True
                try:
                    yield stage
                except SimError:
                    raise
                except Exception as error:  # noqa: BLE001  raised again below, out of the parts' task group
                    foreign = error
                await keep_evidence(run, stage)
    except (asyncio.CancelledError, GeneratorExit):
        interrupted = True
        run.outcome, run.failure = "error", ErrorReport(message="interrupted")
        raise
    except (SimError, OSError, ExceptionGroup) as raised:
        fail(run, reason := cause(raised, run.directory))
        if not entered:
            raise reason from None
    finally:
        if foreign is not None and run.failure is None:
            run.outcome = "error"
            run.failure = ErrorReport(message=f"{type(foreign).__name__}: {foreign}")
        run.result = _kept(run, evaluate=not interrupted)
    if foreign is not None:
        raise foreign


async def _prepared(loaded: LoadedScenario, options: RunOptions, trace: Trace | None) -> Run:
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
    for doubt in image_doubts(loaded, binary.version, profile):
        options.warn(doubt)
    directory = make_run_directory(options.runs_dir, "-".join(filter(None, (loaded.name, combination.name))))
    with _disk_errors():
        (directory / "scenario.yaml").write_text(loaded.resolved_yaml(), encoding="utf-8")
    return Run(
        loaded=loaded,
        options=options,
        profile=profile,
        directory=directory,
        trace=trace or Trace(),
        attribution=attribution(loaded, options.external.registry),
        started_ns=time.monotonic_ns(),
        binary=binary,
    )


def _kept(run: Run, *, evaluate: bool) -> Result:
    """The result, which now lies in the run directory."""
    result = result_of(run, evaluate=evaluate)
    try:
        write_json(run.directory / "result.json", result.to_json())
    except OSError as error:
        # The first thing that could not be written is reported; there is nobody else to tell here.
        if result.outcome != "error":
            result.outcome = "error"
            result.error = ErrorReport(message=f"{run.directory}: {error}", hint="is the disk full?")
    with suppress(OSError):
        # Only pictures need it: the result stands without.
        columns = json.dumps(response_columns(run.loads), separators=(",", ":"))
        (run.directory / "traffic.json").write_text(columns + "\n", encoding="utf-8")
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


async def _steps(run: Run, stage: Stage, watcher: Watcher | None) -> None:
    runner, branch = StepRunner(stage, run.loaded), Branch()
    steps = run.loaded.steps
    for index, placed in enumerate(steps):
        text = describe(placed.step)
        if watcher is not None:
            watcher.on_step(index + 1, len(steps), text)
        try:
            with run.trace.span("run.step", index=index, step=text, where=str(placed.where)) as span:
                note = await runner.carry_out(placed, branch)
                if note is not None:
                    span.add(note=note)
        except StepFailed as error:
            # The rest of the steps would act on a state that is not there; what was measured is still reported.
            run.outcome = "failed"
            if watcher is not None:
                watcher.on_steps_ended(well=False)
            run.failure = ErrorReport(
                message=f"step {error.step or f'{index + 1} ({text})'}: {error.message}",
                where=str(error.where or placed.where),
                hint=error.hint,
            )
            return
    if watcher is not None:
        watcher.on_steps_ended(well=True)

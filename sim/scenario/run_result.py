"""What comes out of a run, at its end or at any moment of it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem, Location, PartDied, SimError
from sim.scenario.gateway_state import envoy_state
from sim.scenario.result import Environment, ErrorReport, GatewayState, Result
from sim.scenario.result import Traffic as TrafficResult
from sim.scenario.rollouts import rollouts
from sim.scenario.run import Run, gateway_options
from sim.scenario.stage import Stage
from sim.scenario.thresholds import hold_thresholds
from sim.scenario.versions import NoVersion
from sim.traffic.load import Load
from sim.traffic.summary import summarise


async def so_far(run: Run, stage: Stage) -> dict[str, Any]:
    """The result as it is at this moment, for a step that looks at it."""
    await _note_gateways(run, stage)
    return result_of(run, evaluate=False).to_json()


async def _note_gateways(run: Run, stage: Stage) -> None:
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


async def keep_evidence(run: Run, stage: Stage) -> None:
    await _note_gateways(run, stage)
    for gateway in stage.pipeline.gateways:
        if gateway.envoy_slot.running:
            dump = await gateway.envoy.admin.config_dump("?include_eds")
            write_json(gateway.directory / "config_dump.json", dump)


def fail(run: Run, error: SimError) -> None:
    run.outcome = "failed" if isinstance(error, NoVersion) else "error"
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


def cause(raised: Exception, directory: Path) -> SimError:
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


def result_of(run: Run, *, evaluate: bool) -> Result:
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
    if evaluate and run.options.hold_expectations and run.outcome != "error":
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


def write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

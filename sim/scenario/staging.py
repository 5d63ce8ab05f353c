"""The parts and the traffic of a run, up while it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from sim.discovery import DebounceTimes
from sim.envoy import find_envoy, probe_envoy
from sim.scenario.faults import LINKS, LinkName, links_of
from sim.scenario.follow import GatewayRecord
from sim.scenario.pipeline import PipelineOptions, PushImage, pipeline
from sim.scenario.run import Run, Watcher, gateway_options
from sim.scenario.run_loads import load_spec, tell_traffic
from sim.scenario.run_result import so_far
from sim.scenario.schema import Fault
from sim.scenario.stage import Stage
from sim.traffic.load import Load


@asynccontextmanager
async def staged(run: Run, watcher: Watcher | None) -> AsyncIterator[Stage]:
    """Every part up, images pushed, traffic flowing; all gone when left.

    What a part dies of is raised in a group, from wherever the stage is used.
    """
    spec = run.loaded.scenario.spec
    if run.options.stops is not None:
        run.options.stops.trace = run.trace
    options = await _pipeline_options(run)
    run.trace.emit(
        "run.started",
        scenario=run.loaded.scenario.metadata.name,
        profile=run.profile.name,
        wall_ns=time.time_ns(),
    )
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
            watching.append(tasks.create_task(tell_traffic(run.loads, watcher), name="tell-traffic"))
        stage = Stage(parts, run.loads, run.attribution, run.records, lambda: so_far(run, stage), run.checked)
        yield stage


async def _pipeline_options(run: Run) -> PipelineOptions:
    loaded = run.loaded
    spec = loaded.scenario.spec

    async def stock(push: PushImage) -> None:
        for image in loaded.images:
            with run.trace.span("registry.push", image=image.written, format=image.format):
                await push(await asyncio.to_thread(image.build), image.reference)

    debounce = DebounceTimes()
    pushed_to = {image.reference.registry for image in (*loaded.images, *loaded.pushes.values())}
    # A registry that is there already has them all; the run's own has only what is pushed.
    elsewhere = {image.reference.registry for image in loaded.elsewhere}
    there = run.options.external.registry is not None
    return PipelineOptions(
        profile=run.profile,
        envoy=run.binary or await probe_envoy(find_envoy()),
        directory=run.directory,
        gateways=tuple(replace(each, wasm_log=run.options.wasm_log or each.wasm_log) for each in gateway_options(spec)),
        gateway_port=spec.gateway.port or 0,
        debounce=DebounceTimes(
            after_s=debounce.after_s if spec.debounce.after_s is None else spec.debounce.after_s,
            max_s=debounce.max_s if spec.debounce.max_s is None else spec.debounce.max_s,
        ),
        hosts=frozenset(pushed_to | elsewhere if there else pushed_to),
        allowed_registries=frozenset() if there else frozenset(elsewhere),
        every_host=run.options.by_hand,
        echo_upstream=spec.upstream == "echo",
        fixed=run.options.fixed | frozenset(spec.fixed),
        external=run.options.external,
        stock=stock,
        registry=spec.registry,
        links=_links(run),
        stops=run.options.stops,
        seed=spec.seed,
        record=run.options.record,
    )


def _links(run: Run) -> dict[LinkName, bool]:
    if run.options.by_hand and run.options.any_fault:
        # Nobody knows beforehand which fault will be wanted where.
        return dict.fromkeys(LINKS, True) | {"agent-registry": False}
    return dict(links_of([placed.step for placed in run.loaded.every_step() if isinstance(placed.step, Fault)]))

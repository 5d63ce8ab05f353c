"""What is measured: bumps whose module the agent has, or has to pull, tiny or of several megabytes."""

from __future__ import annotations

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.floor import Floor, floor
from sim.discovery import DebounceTimes
from sim.envoy import find_envoy, probe_envoy
from sim.manifests import Manifest, manifest_from
from sim.model import ECDS
from sim.oci import build_image, push
from sim.profiles import load_profile
from sim.scenario.pipeline import Pipeline, PipelineOptions, pipeline
from sim.trace import Trace
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import by_header
from sim.wasm import bundled, stamp
from sim.xds import AdsServer

PROFILE = "istio-1.27"
HOST = "registry.local"
HEADER = bundled("marker").version_header
#: The traffic of the scenario tag-bump.
_RATE_PER_S, _CONNECTIONS = 200.0, 8
#: Before each bump, so that neither side pays for what the one before left to do (old VMs to take down, caches). Not
#: always the same, or all bumps would fall on one phase of the probe's schedule.
_REST_S = (0.08, 0.12)


@dataclass(frozen=True, slots=True)
class Case:
    """`fresh`: each bump has a module that nobody has seen; else two modules take turns."""

    name: str
    fresh: bool
    padding_bytes: int


CASES = [
    Case("cached", fresh=False, padding_bytes=0),
    Case("first-pull-tiny", fresh=True, padding_bytes=0),
    Case("first-pull-6.5MB", fresh=True, padding_bytes=6_500_000),
]


@dataclass(slots=True)
class Figures:
    """The times of a case's bumps on both sides, in milliseconds."""

    case: str
    floor_ms: list[float] = field(default_factory=list)
    pipeline_ms: list[float] = field(default_factory=list)
    failed_requests: int = 0

    @property
    def added_ms(self) -> float:
        """What the pipeline takes beyond the floor, median less median; a millisecond of it is the debounce."""
        return median(self.pipeline_ms) - median(self.floor_ms)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return median(self.pipeline_ms) / median(self.floor_ms)


def module_of(case: Case, version: str) -> bytes:
    """The bundled marker, as large as the case wants it.

    The padding is a custom section of random bytes: the code stays the same, so what grows is what has to be
    transferred, unpacked, hashed and read, not what V8 compiles.
    """
    module = stamp(bundled("marker").module, version)
    if not case.padding_bytes:
        return module
    content = b"\x07padding" + random.Random(version).randbytes(case.padding_bytes)
    return module + b"\x00" + _leb128(len(content)) + content


def _leb128(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


async def measure(cases: list[Case], bumps: int) -> list[Figures]:
    """Run the cases, one after the other; within each the two sides take turns, bump by bump."""
    return [await _measure(case, bumps) for case in cases]


async def _measure(case: Case, bumps: int) -> Figures:
    profile = load_profile(PROFILE)
    binary = await probe_envoy(find_envoy())
    figures = Figures(case.name)
    rest = random.Random(case.name)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecdsim-bench-")))
        (directory / "pipeline").mkdir()
        options = PipelineOptions(
            profile=profile,
            envoy=binary,
            directory=directory / "pipeline",
            debounce=DebounceTimes(after_s=0.001, max_s=10.0),
            hosts=frozenset({HOST}),
        )
        parts = await stack.enter_async_context(pipeline(options, Trace()))
        versions = [f"{number}.0.0" for number in range(bumps + 2)]
        await _publish(parts, case, versions if case.fresh else versions[:2])
        bare, server = await stack.enter_async_context(floor(profile, binary, directory, module_of(case, versions[0])))
        parts.core.store.apply(marker_manifest(versions[0]))
        ours = await stack.enter_async_context(_load("pipeline", parts.gateway_port))
        theirs = await stack.enter_async_context(_load("floor", bare.port))
        for load in (ours, theirs):
            await load.first_response(versions[0], 0)
        if not case.fresh:
            # Both modules are known to both sides before anything counts.
            for version in (versions[1], versions[0]):
                await _bump_pipeline(parts, ours, version)
                await _bump_floor(bare, server, theirs, case, version)
        for number in range(bumps):
            version = versions[number + 1] if case.fresh else versions[(number + 1) % 2]
            await theirs.set_rate(0)
            await asyncio.sleep(rest.uniform(*_REST_S))
            figures.pipeline_ms.append(await _bump_pipeline(parts, ours, version))
            await theirs.set_rate(_RATE_PER_S)
            await ours.set_rate(0)
            await asyncio.sleep(rest.uniform(*_REST_S))
            figures.floor_ms.append(await _bump_floor(bare, server, theirs, case, version))
            await ours.set_rate(_RATE_PER_S)
        figures.failed_requests = sum(sample.failed for load in (ours, theirs) for sample in load.samples)
    return figures


def _load(name: str, port: int) -> Load:
    spec = LoadSpec(
        name=name, rate_per_s=_RATE_PER_S, connections=_CONNECTIONS, version_header=HEADER, attribute=by_header(HEADER)
    )
    return Load(spec, "127.0.0.1", port, Trace())


async def _publish(parts: Pipeline, case: Case, versions: list[str]) -> None:
    for version in versions:
        image = build_image(module_of(case, version), "docker")
        await push(image, f"{HOST}/plugins/marker:{version}", parts.registry.address)


def marker_manifest(version: str) -> Manifest:
    """A WasmPlugin of the marker in that version."""
    content: dict[str, Any] = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "marker", "namespace": "higress-system"},
        "spec": {"url": f"oci://{HOST}/plugins/marker:{version}"},
    }
    return manifest_from(content, "bench")


async def _bump_pipeline(parts: Pipeline, load: Load, version: str) -> float:
    manifest = marker_manifest(version)
    since_ns = parts.trace.clock.monotonic_ns()
    parts.core.store.apply(manifest)
    return await _until(load, version, since_ns)


async def _bump_floor(bare: Floor, server: AdsServer, load: Load, case: Case, version: str) -> float:
    path = bare.place(module_of(case, version))
    since_ns = bare.trace.clock.monotonic_ns()
    bare.show(path)
    server.push([ECDS])
    return await _until(load, version, since_ns)


async def _until(load: Load, version: str, since_ns: int) -> float:
    """Milliseconds until the first response by `version`; then wait until it alone answers."""
    first = await load.first_response(version, since_ns)
    await load.settled(version, since_ns)
    return (first.done_ns - since_ns) / 1e6

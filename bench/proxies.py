"""Many subscribed proxies: how long a bump takes to the last of them, and what each costs Discovery."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import PROFILE, marker_manifest
from bench.subscribers import more_files
from sim.core import CoreOptions
from sim.core.mcp import core
from sim.discovery import DebounceTimes
from sim.discovery.server import Discovery, DiscoveryOptions, discovery
from sim.profiles import load_profile
from sim.trace import Trace

_PROCESSES = 2


@dataclass(slots=True)
class ProxyFigures:
    """`bump_ms`: each bump until the last proxy has it. Memory is Discovery's and Core's process, resident."""

    proxies: int
    bump_ms: list[float] = field(default_factory=list)
    encodings_per_bump: list[int] = field(default_factory=list)
    messages_per_bump: int = 0
    resident_before_bytes: int = 0
    resident_after_bytes: int = 0

    @property
    def per_proxy_us(self) -> float:
        """The median bump, divided by the proxies."""
        return median(self.bump_ms) * 1000 / self.proxies

    @property
    def per_proxy_bytes(self) -> float:
        return (self.resident_after_bytes - self.resident_before_bytes) / self.proxies


async def measure_proxies(proxies: int, bumps: int) -> ProxyFigures:
    """Bump a plugin before `proxies` subscribers, each with a connection of its own."""
    more_files()
    profile = load_profile(PROFILE)
    figures = ProxyFigures(proxies)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(core(CoreOptions(), Trace(keep=False)))
        served.store.apply(marker_manifest("0.0.0"))
        options = DiscoveryOptions(profile, served.address, debounce=DebounceTimes(after_s=0.001, max_s=10.0))
        trace = Trace(keep=False)
        part = await stack.enter_async_context(discovery(options, trace))
        (plugin,) = (plugin.extension_name(profile) for plugin in part.context.plugins)
        figures.resident_before_bytes = _resident_bytes()
        share = [proxies // _PROCESSES + (number < proxies % _PROCESSES) for number in range(_PROCESSES)]
        processes = [
            await stack.enter_async_context(_subscribers(part.address, count, sum(share[:number]), plugin))
            for number, count in enumerate(share)
            if count
        ]
        await asyncio.gather(*(_has(process, "0.0.0") for process in processes))
        for number in range(1, bumps + 1):
            await _acknowledged(part, trace)
            since_ns = time.monotonic_ns()
            served.store.apply(marker_manifest(f"{number}.0.0"))
            last_ns = max(await asyncio.gather(*(_has(process, f"{number}.0.0") for process in processes)))
            figures.bump_ms.append((last_ns - since_ns) / 1e6)
            figures.encodings_per_bump.append(part.context.encodings)
        figures.messages_per_bump = 2 * proxies
        figures.resident_after_bytes = _resident_bytes()
    return figures


async def _acknowledged(part: Discovery, trace: Trace) -> None:
    """Until every proxy has acknowledged what it was sent: a bump pays for nothing but itself."""
    heard = asyncio.Event()
    stop = trace.listen(lambda _: heard.set())
    while not all(watch.synced for stream in part.ads.streams.values() for watch in stream.watches.values()):
        heard.clear()
        await heard.wait()
    stop()


@asynccontextmanager
async def _subscribers(address: str, count: int, first: int, plugin: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.subscribers", address, str(count), str(first), plugin), stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _has(process: Process, version: str) -> int:
    """When the last of a process' subscribers had the version."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    said: dict[str, Any] = json.loads(line)
    assert said["has"] == version, said
    last_ns: int = said["last_ns"]
    return last_ns


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in /proc/self/status")

"""What a plugin costs: loads on fresh Envoys, their times and memory, and on each the latency with it and without."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.envoy import EnvoyBinary
from sim.plugin.bench_envoy import BenchEnvoy, Candidate, Loaded, LogLevel, bench_envoy
from sim.plugin.bench_rounds import Rounds, TrafficPlan, alternate
from sim.plugin.trial_log import LogEntry


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured: `loads` Envoys one after the other, with `workers` worker threads each.

    `log_level` is what the plugin may log while traffic is measured.
    """

    candidate: Candidate
    plan: TrafficPlan
    loads: int
    workers: int
    log_level: LogLevel


@dataclass(frozen=True, slots=True)
class Measured:
    """One Envoy's figures. `complaints` is what Envoy said was wrong with the plugin while it served.

    `resident_traffic_bytes` is its memory after the traffic.
    """

    loaded: Loaded
    rounds: Rounds
    complaints: tuple[LogEntry, ...]
    resident_traffic_bytes: int


async def run_bench(bench: Bench, binary: EnvoyBinary, tell: Callable[[str], None]) -> list[Measured]:
    """Measure; `tell` gets a line as it goes on. Nothing is left, however this ends.

    Raises PluginRefused where Envoy does not load the plugin, NothingToMeasure where it answers no request,
    EnvironmentProblem and PartDied.
    """
    measured = []
    for number in range(1, bench.loads + 1):
        with tempfile.TemporaryDirectory(prefix="ecdsim-bench-") as folder:
            async with bench_envoy(binary, Path(folder), bench.workers) as envoy:
                measured.append(
                    await envoy.unless_it_dies(_measure(bench, envoy, f"Envoy {number} of {bench.loads}", tell))
                )
    return measured


async def _measure(bench: Bench, envoy: BenchEnvoy, name: str, tell: Callable[[str], None]) -> Measured:
    tell(f"{name}: loading the plugin")
    loaded = await envoy.load(bench.candidate, bench.log_level)
    told = len(envoy.log())
    seconds = 2 * bench.plan.pairs * bench.plan.round_s
    tell(f"{name}: loaded after {loaded.ready_ms:.1f} ms; {seconds:.3g} s of traffic")
    rounds = await alternate(envoy, bench.plan)
    resident_bytes = envoy.resident_bytes()
    await envoy.log_at(bench.log_level)
    complaints = tuple(entry for entry in envoy.log()[told:] if entry.is_problem and not entry.of_plugin)
    return Measured(loaded, rounds, complaints, resident_bytes)

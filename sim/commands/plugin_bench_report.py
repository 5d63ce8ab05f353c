"""What a bench found, for a terminal and as data. No figure stands there without its spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sim.plugin.bench_figures import Estimate, Spread, added_median, added_percentile, level
from sim.plugin.bench_rounds import Tally

if TYPE_CHECKING:
    from sim.envoy import EnvoyBinary
    from sim.plugin.bench import Bench, Measured
    from sim.plugin.bench_figures import Pair

_PERCENTS = (50, 99)
#: Of the requests without the plugin, so many may have waited for one with it.
_OVERTAKEN = 0.01
_MOST_COMPLAINTS = 3


def lines(name: str, bench: Bench, measured: Sequence[Measured], binary: EnvoyBinary) -> Iterator[str]:
    """For a terminal."""
    shim = ", under the ABI shim" if bench.candidate.shim else ""
    envoys = "1 Envoy" if bench.loads == 1 else f"{bench.loads} Envoys, one after the other"
    plan = bench.plan
    yield f"{name} in Envoy {binary.version}{shim}, {_count(bench.workers, 'worker')}; {envoys}"
    yield (
        f"{plan.request} at {plan.rate_per_s:g}/s over {_count(plan.connections, 'connection')}; on each Envoy "
        f"{plan.pairs} pairs of rounds of {plan.round_s * 1e3:.0f} ms"
    )
    yield ""
    yield f"{'latency':<10}{'without the plugin':<29}{'with it':<29}added, at 95 % confidence"
    for percent, (plain, plugin, added) in _latencies(_runs(measured)).items():
        yield f"{f'  p{percent}':<10}{_interval(plain, _time):<29}{_interval(plugin, _time):<29}{_added(added)}"
    plugin_tally, plain_tally = _tallies(measured)
    yield f"{'answers':<10}{_statuses(plain_tally):<29}{_statuses(plugin_tally)}"
    yield ""
    yield from _load_lines(measured)


def _load_lines(measured: Sequence[Measured]) -> Iterator[str]:
    loads = [each.loaded for each in measured]
    yield f"{'load':<10}{_spread([load.compile_ms for load in loads], _milliseconds)} on the main thread, to compile it"
    took = [worker.took_ms for load in loads for worker in load.workers if worker.took_ms is not None]
    if took:
        yield f"{'':<10}{_spread(took, _milliseconds)} a worker, to start its VM"
    yield f"{'':<10}{_spread([load.ready_ms for load in loads], _milliseconds)} until the last worker had it"
    vms = loads[0].vms
    yield (
        f"{'memory':<10}{_spread([load.plugin_bytes / load.vms for load in loads], _megabytes)} a VM, of {vms}: one to "
        "copy from, the main thread's, the workers'"
    )
    after = [each.resident_traffic_bytes - each.loaded.resident_before_bytes for each in measured]
    yield f"{'':<10}{_spread([load.plugin_bytes for load in loads], _megabytes)} together"
    yield f"{'':<10}{_spread(after, _megabytes)} together after the traffic"


def warnings(bench: Bench, measured: Sequence[Measured]) -> Iterator[str]:
    """What makes the figures worth less than they look, a line each."""
    plugin, plain = _tallies(measured)
    said: dict[str, int] = {}
    for entry in (entry for each in measured for entry in each.complaints):
        said[entry.shown] = said.get(entry.shown, 0) + 1
    for text, count in list(said.items())[:_MOST_COMPLAINTS]:
        yield f"problem: Envoy said {_count(count, 'time')}: {text}"
    if plugin.failed or plain.failed:
        yield f"note: {plugin.failed} requests failed with the plugin, {plain.failed} without it; they have no latency"
    if set(plugin.by_status) != set(plain.by_status):
        yield (
            f"note: with the plugin the answer is {_statuses(plugin)}, without it {_statuses(plain)}\n"
            "  hint: what a plugin answers by itself spares the way to the upstream, so this is no cost on top of it; "
            "--request, --header and --config say what it is asked"
        )
    if plain.overtaken > _OVERTAKEN * plain.requests:
        yield (
            f"note: {plain.overtaken} requests without the plugin had to wait for one with it, so the difference "
            "may be larger than what is told\n"
            f"  hint: at {bench.plan.rate_per_s:g}/s the plugin, or the machine, does not keep up; lower --rate, or "
            "give more --connections"
        )


def as_data(name: str, bench: Bench, measured: Sequence[Measured], binary: EnvoyBinary) -> dict[str, Any]:
    """Ready for JSON: `low` and `high` bound 95 % confidence in `latency_us`, and all that was seen elsewhere."""
    plan = bench.plan
    plugin, plain = _tallies(measured)
    loads = [each.loaded for each in measured]
    return {
        "name": name,
        "envoy": binary.version,
        "shim": bench.candidate.shim,
        "workers": bench.workers,
        "request": str(plan.request),
        "rate_per_s": plan.rate_per_s,
        "connections": plan.connections,
        "rounds": {"pairs": sum(len(each.rounds.pairs) for each in measured), "ms": round(plan.round_s * 1e3, 3)},
        "latency_us": {
            f"p{percent}": {
                "without": without.as_dict(),
                "with": with_it.as_dict(),
                "added": {**added.as_dict(), "discernible": added.discernible},
            }
            for percent, (without, with_it, added) in _latencies(_runs(measured)).items()
        },
        "requests": {"without": plain.as_dict(), "with": plugin.as_dict()},
        "load_ms": {
            "compile": Spread.of([load.compile_ms for load in loads]).as_dict(),
            "ready": Spread.of([load.ready_ms for load in loads]).as_dict(),
        },
        "memory_bytes": {
            "per_vm": Spread.of([load.plugin_bytes / load.vms for load in loads]).as_dict(0),
            "together": Spread.of([load.plugin_bytes for load in loads]).as_dict(0),
        },
        "loads": [
            {
                "compile_ms": round(each.loaded.compile_ms, 3),
                "ready_ms": round(each.loaded.ready_ms, 3),
                "workers": [
                    {
                        "worker": worker.worker,
                        "ready_ms": round(worker.ready_ms, 3),
                        "took_ms": None if worker.took_ms is None else round(worker.took_ms, 3),
                    }
                    for worker in each.loaded.workers
                ],
                "vms": each.loaded.vms,
                "resident_bytes": {
                    "before": each.loaded.resident_before_bytes,
                    "loaded": each.loaded.resident_after_bytes,
                    "after_traffic": each.resident_traffic_bytes,
                },
            }
            for each in measured
        ],
        "complaints": [entry.as_dict() for each in measured for entry in each.complaints],
    }


def _runs(measured: Sequence[Measured]) -> list[list[Pair]]:
    return [each.rounds.pairs for each in measured if each.rounds.pairs]


def _latencies(runs: Sequence[Sequence[Pair]]) -> dict[int, tuple[Estimate, Estimate, Estimate]]:
    """For each percentile: without the plugin, with it, and the difference, all in microseconds."""
    found = {}
    for percent in _PERCENTS:
        added = added_median(runs) if percent == 50 else added_percentile(runs, percent)
        plain = level([[pair.plain for pair in run] for run in runs], percent)
        found[percent] = plain, level([[pair.plugin for pair in run] for run in runs], percent), added
    return found


def _tallies(measured: Sequence[Measured]) -> tuple[Tally, Tally]:
    """Of all Envoys, with the plugin and without it."""
    return Tally.sum(each.rounds.plugin for each in measured), Tally.sum(each.rounds.plain for each in measured)


def _statuses(tally: Tally) -> str:
    return ", ".join(f"{status} (×{count})" for status, count in sorted(tally.by_status.items())) or "none"


def _added(added: Estimate) -> str:
    if not added.discernible:
        return f"below what this machine can tell: ±{_time(added.limit)}"
    sign = "+" if added.value > 0 else "−"
    return f"{sign}{_time(abs(added.value))} ({_time(added.low)} … {_time(added.high)})"


def _interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    return f"{shown(estimate.value)} ({shown(estimate.low)} … {shown(estimate.high)})"


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    if len(values) == 1:
        return f"{shown(values[0])} (once)"
    spread = Spread.of(values)
    return f"{shown(spread.median)} ({shown(spread.low)} … {shown(spread.high)})"


def _time(microseconds: float) -> str:
    sign, size = "−" if microseconds < 0 else "", abs(microseconds)
    return f"{sign}{size:.3g} µs" if size < 999.5 else f"{sign}{_milliseconds(size / 1e3)}"


def _milliseconds(milliseconds: float) -> str:
    if milliseconds >= 999.5:
        return f"{milliseconds / 1e3:.2f} s"
    return f"{milliseconds:.3g} ms"


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

"""What a bench says, and when it says that it can't tell."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sim.commands.plugin_bench_report import as_data, lines, warnings
from sim.envoy import EnvoyBinary
from sim.plugin.bench import Bench, Measured
from sim.plugin.bench_envoy import Candidate, Loaded, WorkerLoad
from sim.plugin.bench_figures import Pair
from sim.plugin.bench_rounds import Rounds, Tally, TrafficPlan
from sim.plugin.configuration import Configuration
from sim.plugin.trial import Asked
from sim.plugin.trial_log import LogEntry

ENVOY = EnvoyBinary(Path("/envoy"), "1.40.0")
MB = 1_000_000


def bench(loads: int) -> Bench:
    plan = TrafficPlan(Asked("GET", "/"), rate_per_s=500, connections=8, pairs=40, round_s=0.0625)
    return Bench(Candidate(b"", Configuration(), shim=False), plan, loads=loads, workers=2, log_level="warning")


def measured(seed: int, *, added_us: float = 60.0, compile_ms: float = 4.0) -> Measured:
    lots = random.Random(seed)
    pairs = [
        Pair([lots.gauss(300, 20) for _ in range(20)], [lots.gauss(300 + added_us, 20) for _ in range(20)])
        for _ in range(40)
    ]
    workers = (WorkerLoad(0, compile_ms + 1, 0.5), WorkerLoad(1, compile_ms + 1.5, None))
    loaded = Loaded(compile_ms, workers, 4, 80 * MB, 88 * MB)
    return Measured(
        loaded,
        Rounds(pairs, Tally(800, by_status=Counter({200: 800})), Tally(800, by_status=Counter({200: 800}))),
        (),
        90 * MB,
    )


def shown(runs: list[Measured]) -> str:
    return "\n".join(lines("mine", bench(len(runs)), runs, ENVOY))


def test_what_was_added_stands_there_with_its_interval() -> None:
    text = shown([measured(seed, compile_ms=ms) for seed, ms in enumerate((4.0, 5.0, 9.0))])
    (p50,) = [line for line in text.splitlines() if line.startswith("  p50")]
    value, low, high = (float(word.strip("+(")) for word in p50.rsplit("+", 1)[1].split(" ") if word[-1:].isdigit())
    assert 50 < low < value < high < 70
    assert "load      5 ms (4 ms … 9 ms) on the main thread" in text
    assert "6.5 ms (5.5 ms … 10.5 ms) until the last worker had it" in text
    assert "memory    2.0 MB (2.0 MB … 2.0 MB) a VM, of 4" in text
    assert "10.0 MB (10.0 MB … 10.0 MB) together after the traffic" in text


def test_what_drowns_in_the_noise_is_called_that_and_no_figure() -> None:
    text = shown([measured(1, added_us=0.0)])
    (p50,) = [line for line in text.splitlines() if line.startswith("  p50")]
    assert "below what this machine can tell: ±" in p50
    assert "+" not in p50


def test_one_load_has_no_spread_and_says_so() -> None:
    assert "4 ms (once) on the main thread" in shown([measured(1)])


def test_long_times_are_told_in_seconds() -> None:
    assert "5.23 s (once) on the main thread" in shown([measured(1, compile_ms=5234)])


def test_the_data_has_every_figure_with_its_spread_and_every_load() -> None:
    data = as_data("mine", bench(2), [measured(1), measured(2)], ENVOY)
    json.dumps(data)
    for percentile in data["latency_us"].values():
        assert set(percentile) == {"without", "with", "added"}
        assert all(part["low"] <= part["value"] <= part["high"] for part in percentile.values())
    assert data["latency_us"]["p50"]["added"]["discernible"] is True
    assert data["rounds"] == {"pairs": 80, "ms": 62.5}
    assert data["memory_bytes"]["per_vm"]["median"] == 2 * MB
    assert [load["workers"][1]["took_ms"] for load in data["loads"]] == [None, None]
    assert data["requests"]["with"] == {"requests": 1600, "failed": 0, "overtaken": 0, "by_status": {"200": 1600}}


def test_sound_figures_need_no_warning() -> None:
    assert list(warnings(bench(1), [measured(1)])) == []


@pytest.mark.parametrize(
    ("plugin", "plain", "told"),
    [
        (Tally(9, by_status=Counter({403: 9})), Tally(9, by_status=Counter({200: 9})), "the answer is 403 (×9)"),
        (Tally(9, failed=2), Tally(9), "2 requests failed with the plugin, 0 without it"),
        (Tally(900), Tally(900, overtaken=10), "does not keep up; lower --rate"),
    ],
)
def test_what_makes_the_figures_worth_less_is_said(plugin: Tally, plain: Tally, told: str) -> None:
    one = measured(1)
    rounds = Rounds(one.rounds.pairs, plugin, plain)
    assert told in "\n".join(warnings(bench(1), [replace(one, rounds=rounds)]))


def test_what_envoy_said_of_the_plugin_is_told_once_with_its_count() -> None:
    entry = LogEntry(1.0, "error", "wasm", "Function: proxy_on_request_headers failed")
    (warning,) = warnings(bench(1), [replace(measured(1), complaints=(entry, entry))])
    assert warning == "problem: Envoy said 2 times: Function: proxy_on_request_headers failed"

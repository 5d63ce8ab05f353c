"""What the agent counts, under pilot-agent's names (pkg/wasm/monitoring.go), in Prometheus' text format.

A metric without a sample is not shown, as OpenTelemetry's exporter has it; a counter has no `_total`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Literal

#: pilot-agent registers all its metrics under this prefix (pilot/cmd/pilot-agent/status/server.go).
PREFIX = "istio_agent_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds of the conversion's duration, in milliseconds.
BUCKETS_MS = tuple(2**power for power in range(15))

FetchResult = Literal["success", "manifest_failure", "download_failure", "checksum_mismatched", "fetch_failure"]
ConversionResult = Literal[
    "success", "no_remote_load", "fetch_failure", "miss_remote_fetch_hint", "unmarshal_failure", "marshal_failure"
]

_HELP = {
    "wasm_cache_entries": "Wasm modules in the cache.",
    "wasm_cache_lookup_count": "Times the cache was asked for a Wasm module, and whether it had it.",
    "wasm_config_conversion_count": "ECDS resources looked at, by what became of them.",
    "wasm_config_conversion_duration": "Milliseconds that an ECDS response waited for its modules.",
    "wasm_remote_fetch_count": "Wasm modules fetched, by how it ended.",
}


class AgentMetrics:
    """The counters of one agent."""

    def __init__(self) -> None:
        self.cache_entries: int | None = None
        self.lookups: Counter[bool] = Counter()
        self.fetches: Counter[FetchResult] = Counter()
        self.conversions: Counter[ConversionResult] = Counter()
        self._took: Counter[int] = Counter()
        self._took_ms = 0

    def conversion_took(self, duration_ms: int) -> None:
        """Note how long one response's conversion took, in whole milliseconds as the real agent counts them."""
        self._took[bisect_left(BUCKETS_MS, duration_ms)] += 1
        self._took_ms += duration_ms

    def render(self) -> str:
        """All that has a sample, by name."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        if self.cache_entries is not None:
            yield from _family("wasm_cache_entries", "gauge", {"": self.cache_entries})
        lookups = {f'{{hit="{str(hit).lower()}"}}': count for hit, count in sorted(self.lookups.items())}
        yield from _family("wasm_cache_lookup_count", "counter", lookups)
        yield from _family("wasm_config_conversion_count", "counter", _by_result(self.conversions))
        yield from _family("wasm_config_conversion_duration", "histogram", self._histogram())
        yield from _family("wasm_remote_fetch_count", "counter", _by_result(self.fetches))

    def _histogram(self) -> dict[str, int]:
        if not self._took:
            return {}
        samples, below = {}, 0
        for index, bound in enumerate((*BUCKETS_MS, "+Inf")):
            below += self._took[index]
            samples[f'_bucket{{le="{bound}"}}'] = below
        return {**samples, "_sum": self._took_ms, "_count": below}


def _by_result(counted: Counter[FetchResult] | Counter[ConversionResult]) -> dict[str, int]:
    return {f'{{result="{result}"}}': count for result, count in sorted(counted.items())}


def _family(name: str, kind: str, samples: dict[str, int]) -> Iterator[str]:
    """`samples` maps what follows the metric's name, a suffix or labels, to its value."""
    if not samples:
        return
    yield f"# HELP {PREFIX}{name} {_HELP[name]}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for ending, value in samples.items():
        yield f"{PREFIX}{name}{ending} {value}"

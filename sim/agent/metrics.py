"""What the agent counts, under pilot-agent's names, in Prometheus' text format.

The names are those of pkg/wasm/monitoring.go and, as far as a local chain brings them up, of pkg/istio-agent/metrics.

A metric without a sample is not shown, as OpenTelemetry's exporter has it; a counter has no `_total`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

#: pilot-agent registers all its metrics under this prefix (pilot/cmd/pilot-agent/status/server.go).
PREFIX = "istio_agent_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds of the conversion's duration, in milliseconds.
BUCKETS_MS = tuple(2**power for power in range(15))

FetchResult = Literal["success", "manifest_failure", "download_failure", "checksum_mismatched", "fetch_failure"]
ConversionResult = Literal[
    "success", "no_remote_load", "fetch_failure", "miss_remote_fetch_hint", "unmarshal_failure", "marshal_failure"
]

TerminationType = Literal["cancelled", "error"]

_HELP = {
    "envoy_connection_terminations": "Streams that ended on Envoy's side.",
    "istiod_connection_terminations": "Streams that ended on Discovery's side.",
    "scrapes_total": "Times these metrics were asked for.",
    "wasm_cache_entries": "Wasm modules in the cache.",
    "wasm_cache_lookup_count": "Times the cache was asked for a Wasm module, and whether it had it.",
    "wasm_config_conversion_count": "ECDS resources looked at, by what became of them.",
    "wasm_config_conversion_duration": "Milliseconds that an ECDS response waited for its modules.",
    "wasm_remote_fetch_count": "Wasm modules fetched, by how it ended.",
    "xds_proxy_requests": "Requests sent to Discovery.",
    "xds_proxy_responses": "Responses that came from Discovery.",
}


class AgentMetrics:
    """The counters of one agent."""

    def __init__(self) -> None:
        self.cache_entries: int | None = None
        self.lookups: Counter[bool] = Counter()
        self.fetches: Counter[FetchResult] = Counter()
        self.conversions: Counter[ConversionResult] = Counter()
        self.scrapes = 0
        self.requests = 0
        self.responses = 0
        #: How the streams to Discovery ended: in good order or by whoever left first, or else.
        self.discovery_ends: Counter[TerminationType] = Counter()
        self.envoy_ends: Counter[TerminationType] = Counter()
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
        yield from _family("envoy_connection_terminations", "counter", _labelled("type", self.envoy_ends))
        yield from _family("istiod_connection_terminations", "counter", _labelled("type", self.discovery_ends))
        yield from _family("scrapes_total", "counter", _unless_zero(self.scrapes))
        if self.cache_entries is not None:
            yield from _family("wasm_cache_entries", "gauge", {"": self.cache_entries})
        lookups = {f'{{hit="{str(hit).lower()}"}}': count for hit, count in sorted(self.lookups.items())}
        yield from _family("wasm_cache_lookup_count", "counter", lookups)
        yield from _family("wasm_config_conversion_count", "counter", _labelled("result", self.conversions))
        yield from _family("wasm_config_conversion_duration", "histogram", self._histogram())
        yield from _family("wasm_remote_fetch_count", "counter", _labelled("result", self.fetches))
        yield from _family("xds_proxy_requests", "counter", _unless_zero(self.requests))
        yield from _family("xds_proxy_responses", "counter", _unless_zero(self.responses))

    def _histogram(self) -> dict[str, int]:
        if not self._took:
            return {}
        samples, below = {}, 0
        for index, bound in enumerate((*BUCKETS_MS, "+Inf")):
            below += self._took[index]
            samples[f'_bucket{{le="{bound}"}}'] = below
        return {**samples, "_sum": self._took_ms, "_count": below}


def _labelled(label: str, counted: Mapping[Any, int]) -> dict[str, int]:
    return {f'{{{label}="{value}"}}': count for value, count in sorted(counted.items())}


def _unless_zero(count: int) -> dict[str, int]:
    return {"": count} if count else {}


def _family(name: str, kind: str, samples: dict[str, int]) -> Iterator[str]:
    """`samples` maps what follows the metric's name, a suffix or labels, to its value."""
    if not samples:
        return
    yield f"# HELP {PREFIX}{name} {_HELP[name]}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for ending, value in samples.items():
        yield f"{PREFIX}{name}{ending} {value}"

"""Metrics of a run that goes on, under the names of Istio's and Envoy's, for a page that Prometheus reads.

What istiod counts and the trace tells is here under istiod's names (pilot/pkg/xds/monitoring.go and
pkg/xds/monitoring.go of Istio 1.27; times in seconds, a counter without `_total`); what has no counterpart there begins
with `ecdsim_`. The agent's and Envoy's own metrics are pages of theirs, which the caller brings. Left out, because the
trace does not tell them: `pilot_xds_push_time` and `pilot_xds_send_time` (a push is a moment in it),
`pilot_proxy_queue_time`, `pilot_xds_write_timeout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from sim.model import short_name
from sim.report.export.prometheus_text import CONTENT_TYPE, Count, Family, Histogram, merged, parse
from sim.report.milestones import Following, Milestones
from sim.scenario.result import STAGES
from sim.trace import Event, Trace

__all__ = ["CONTENT_TYPE", "Page", "PipelineMetrics", "TrafficCounts", "metrics_text"]

#: Istio's bounds, in seconds.
_DEBOUNCE_S = (0.01, 0.1, 1, 3, 5, 10, 20, 30)
_CONVERGENCE_S = (0.1, 0.5, 1, 3, 5, 10, 20, 30)
#: Ours.
_STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: A push to a proxy is over when nothing was sent to it for this long.
_QUIET_NS = 1_000_000_000
_NO_VERSION = "none"


class Answered(Protocol):
    """A request of the probe, as `sim.traffic.samples.Sample` is one."""

    @property
    def version(self) -> str | None: ...

    @property
    def status(self) -> int | None: ...

    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Metrics that somebody else rendered: Envoy's `/stats/prometheus`, an agent's `/metrics`; and whose they are."""

    text: str
    labels: Mapping[str, str]


class TrafficCounts:
    """Requests by load, version and status. Each sample is looked at once, however often `take` is called."""

    def __init__(self) -> None:
        self._requests = Count(
            *("ecdsim_traffic_requests_total", "Requests of the probe; code 0 is no response."),
            *("load", "version", "code"),
        )
        self._failures = Count(
            *("ecdsim_traffic_failures_total", "Requests of the probe that failed, and why."), *("load", "reason")
        )
        self._seen: dict[str, int] = {}

    def take(self, load: str, samples: Sequence[Answered]) -> None:
        """Count what `samples`, all of that load so far, have that they had not the last time."""
        for position in range(self._seen.get(load, 0), len(samples)):
            sample = samples[position]
            code = "0" if sample.status is None else str(sample.status)
            self._requests.add(load, sample.version or _NO_VERSION, code)
            if sample.error is not None:
                self._failures.add(load, sample.error)
        self._seen[load] = len(samples)

    def families(self) -> Iterator[Family]:
        yield self._requests.family()
        yield self._failures.family()


class PipelineMetrics:
    """Counts what a trace tells from now on, in constant time for each event; its memory grows with the proxies that
    are connected, never with time. To be closed, or used as a context.
    """

    def __init__(self, trace: Trace) -> None:
        self._clock = trace.clock
        self._pushes = Count("pilot_xds_pushes", "xDS responses that Discovery sent.", "type")
        self._rejects = Count("pilot_total_xds_rejects", "xDS responses that were NACKed.", "type")
        self._expired = Count("pilot_xds_expired_nonce", "xDS requests with a stale nonce.", "type")
        self._inbound = Count("pilot_inbound_updates", "Changes that Discovery was told of.", "type")
        self._triggers = Count("pilot_push_triggers", "Changes that led to a push.", "type")
        self._conversions = Count("ecdsim_conversions_total", "WasmPlugins converted by Core.", "outcome")
        self._answers = Count("ecdsim_envoy_answers_total", "ACKs and NACKs by Envoy.", "answer", "type", "gateway")
        self._registry = Count(
            "ecdsim_registry_requests_total", "Requests that the registry answered.", "method", "code"
        )
        self._registry_bytes = Count("ecdsim_registry_sent_bytes_total", "Bytes that the registry sent.")
        self._connections = Count(
            "ecdsim_traffic_connections_total", "Connections of the probe, by what became of them.", "load", "event"
        )
        self._rollouts = Count("ecdsim_rollouts_total", "Changes of plugins that Core took.")
        self._streams: set[int] = set()
        self._debounce = Histogram(_DEBOUNCE_S)
        self._convergence = Histogram(_CONVERGENCE_S)
        self._debounce_began: dict[int | None, int] = {}
        #: When the first change of the latest push came in; by proxy, that and when it was sent the last of it.
        self._push_began: int | None = None
        self._converging: dict[str, tuple[int, int]] = {}
        self._milestones = Milestones()
        self._stages = {stage: Histogram(_STAGE_S) for stage in STAGES}
        self._effective = Histogram(_STAGE_S)
        self._stop = trace.listen(self._take)

    def close(self) -> None:
        """Stop counting; what was counted stays."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def families(self) -> Iterator[Family]:
        """As they stand now; of what never happened there is none."""
        now_ns = self._clock.monotonic_ns()
        self._converged([proxy for proxy, (_, sent) in self._converging.items() if now_ns - sent >= _QUIET_NS])
        connected = Family("pilot_xds", "gauge", "Proxies that are connected to Discovery by xDS.")
        connected.add(len(self._streams))
        yield connected
        for count in (self._pushes, self._rejects, self._expired, self._inbound, self._triggers):
            yield count.family()
        yield _distribution("pilot_debounce_time", "Seconds from a first change to its push.", self._debounce)
        yield _distribution(
            "pilot_proxy_convergence_time",
            "Seconds from a first change until a proxy was sent all that it led to.",
            self._convergence,
        )
        for count in (self._rollouts, self._conversions, self._answers):
            yield count.family()
        for count in (self._registry, self._registry_bytes, self._connections):
            yield count.family()
        stages = Family("ecdsim_rollout_stage_seconds", "histogram", "Seconds that each stage of a rollout took.")
        for stage, histogram in self._stages.items():
            histogram.render(stages, {"stage": stage})
        yield stages
        yield _distribution(
            "ecdsim_rollout_effective_seconds",
            "Seconds from a manifest to the first response by what it brought.",
            self._effective,
        )

    def _take(self, event: Event) -> None:
        match event.part:
            case "discovery":
                self._take_discovery(event)
            case "core":
                self._take_core(event)
            case "envoy" if event.event in ("envoy.ack", "envoy.nack"):
                gateway = str(event.data.get("gateway", ""))
                self._answers.add(event.event.removeprefix("envoy."), _metric_type(event), gateway)
            case "registry" if event.event == "registry.request":
                self._registry.add(str(event.data.get("method")), str(event.data.get("status")))
                self._registry_bytes.add(by=int(event.data.get("bytes_sent") or 0))
            case "traffic" if event.event.startswith("traffic.connection_"):
                self._connections.add(str(event.data.get("load")), event.event.removeprefix("traffic.connection_"))
        for milestone in self._milestones.take(event):
            if milestone.stage is not None:
                self._take_stage(milestone.rollout, milestone.stage)

    def _take_stage(self, rollout: Following, stage: str) -> None:
        length_ms = rollout.length_ms(stage)
        if length_ms is not None:
            self._stages[stage].observe(length_ms / 1000)
        total_ms = rollout.total_ms() if stage == "first_response" else None
        if total_ms is not None:
            self._effective.observe(total_ms / 1000)

    def _take_core(self, event: Event) -> None:
        if event.event == "core.convert" and event.span != "started":
            failed = event.span == "failed"
            self._conversions.add("failed" if failed else str(event.data.get("outcome", "converted")))
        elif event.event == "core.apply" and event.plugin is not None:
            self._rollouts.add(by="ignored" not in event.data and event.data.get("change") != "listed")

    def _take_discovery(self, event: Event) -> None:
        match event.event:
            case "discovery.stream_opened":
                self._streams.add(event.data.get("stream", -1))
            case "discovery.stream_closed":
                self._streams.discard(event.data.get("stream", -1))
                self._converged([event.node_id or ""])
            case "discovery.received":
                changed = len(event.data.get("changed") or ()) + len(event.data.get("removed") or ())
                self._inbound.add("config", by=changed)
            case "discovery.push":
                self._pushes.add(_metric_type(event))
                if event.data.get("reason") == "push" and self._push_began is not None:
                    self._converging[event.node_id or ""] = (self._push_began, event.t_ns)
            case "discovery.nack":
                self._rejects.add(_metric_type(event))
            case "discovery.stale":
                self._expired.add(_metric_type(event))
            case "discovery.debounce":
                self._take_debounce(event)

    def _take_debounce(self, event: Event) -> None:
        if event.span == "started":
            # There is one at a time.
            self._debounce_began = {event.span_id: event.t_ns}
            return
        began_ns = self._debounce_began.pop(event.span_id, None)
        if event.span != "completed":
            return
        self._triggers.add("config", by=int(event.data.get("changes", 1)))
        self._converged(list(self._converging))
        self._push_began = began_ns
        if began_ns is not None:
            self._debounce.observe((event.t_ns - began_ns) / 1e9)

    def _converged(self, proxies: Iterable[str]) -> None:
        """These proxies were sent all that the latest push had for them."""
        for proxy in proxies:
            if (seen := self._converging.pop(proxy, None)) is not None:
                began_ns, sent_ns = seen
                self._convergence.observe((sent_ns - began_ns) / 1e9)


def metrics_text(pipeline: PipelineMetrics, traffic: TrafficCounts | None = None, pages: Iterable[Page] = ()) -> str:
    """The whole page: what we count, then the metrics of the pages, each with its labels; one of a name, merged."""
    families = [*pipeline.families(), *(traffic.families() if traffic is not None else ())]
    for page in pages:
        families += parse(page.text, page.labels)
    return merged(families)


def _metric_type(event: Event) -> str:
    """`lds`, as Istio calls the type in a label."""
    return short_name(event.type_url or "").lower()


def _distribution(name: str, told: str, histogram: Histogram) -> Family:
    family = Family(name, "histogram", told)
    histogram.render(family)
    return family

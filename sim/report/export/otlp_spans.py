"""A rollout as the spans of one OpenTelemetry trace: the root from the manifest to settled, and what each part did.

Names of attributes are those of OpenTelemetry's semantic conventions (rpc, http, url, error) where there are any; the
rest begins with `ecdsim.`. A message on a stream is a PRODUCER's span with a CONSUMER's below it, because neither side
waits for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sim.model import short_name
from sim.report.export.intervals import Interval
from sim.report.export.journey import Journey, host_of
from sim.report.export.otlp_span import Moment, Span, SpanKind, Value
from sim.report.html.run_files import RunFiles
from sim.trace import Event

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHODS = {"delta": "DeltaAggregatedResources"}
_SOTW = "StreamAggregatedResources"


class RolloutSpans:
    """`spans` of one journey; the first is the root."""

    def __init__(self, run: RunFiles, journey: Journey, scheme: str) -> None:
        self._journey = journey
        self._trail = journey.trail
        self._scheme = scheme
        self._variants = _variants(run.events)
        self._gateway = journey.rollout.gateway or ""
        rollout = journey.rollout
        self.root = Span(
            "ecdsim",
            f"rollout {rollout.plugin}",
            journey.start_ns,
            journey.end_ns,
            attributes={
                "ecdsim.rollout": journey.number,
                "ecdsim.plugin": rollout.plugin,
                "ecdsim.change": rollout.change,
                "ecdsim.image.from": rollout.from_,
                "ecdsim.image.to": rollout.to,
                "ecdsim.gateway": rollout.gateway,
                "ecdsim.cached": rollout.cached,
                "ecdsim.effective_ms": rollout.effective_ms,
                "ecdsim.settled_ms": rollout.settled_ms,
            },
            error=journey.error,
        )
        for name, at_ns in (("effective", journey.first_response_ns), ("settled", journey.settled_ns)):
            if at_ns is not None:
                self.root.moments.append(Moment(name, at_ns))
        self.spans = [self.root]
        self._core()
        self._listener()
        self._extension()
        self._traffic()

    def _add(
        self,
        parent: Span,
        service: str,
        name: str,
        start_ns: int,
        end_ns: int,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Value | None] | None = None,
        error: str | None = None,
        error_type: str | None = None,
    ) -> Span:
        instance = self._gateway if service in ("agent", "envoy", "traffic") else ""
        told = {**(attributes or {}), "error.type": error_type}
        span = Span(service, name, start_ns, end_ns, parent, kind, told, error=error, instance=instance)
        self.spans.append(span)
        return span

    def _interval(self, parent: Span, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Span | None:
        """What the journey knows the length of, under the name of its event."""
        interval = self._journey.took.get(name)
        if interval is None:
            return None
        event = interval.event
        facts = {
            f"ecdsim.{key}": value for key, value in event.data.items() if isinstance(value, (str, bool, int, float))
        }
        error = str(facts.pop("ecdsim.error", "it failed")) if interval.failed else None
        facts.pop("ecdsim.gateway", None)
        attributes = {"ecdsim.plugin": event.plugin, "ecdsim.image": event.image, **facts}
        return self._add(
            *(parent, event.part, name, interval.start_ns, interval.end_ns),
            kind=kind,
            attributes=attributes,
            error=error,
            error_type=name if interval.failed else None,
        )

    def _core(self) -> None:
        trail = self._trail
        self._interval(self.root, "core.convert")
        if trail.mcp_push is None:
            return
        received_ns = trail.received.t_ns if trail.received is not None else trail.mcp_push.t_ns
        push = self._add(
            *(self.root, "core", "core.mcp_push", trail.mcp_push.t_ns, received_ns),
            kind=SpanKind.PRODUCER,
            attributes=self._rpc(trail.mcp_push, _SOTW),
        )
        self._interval(push, "discovery.debounce", SpanKind.CONSUMER)

    def _listener(self) -> None:
        journey = self._journey
        sent, forward, answer = journey.lds_push, journey.lds_forward, journey.lds_answer
        if sent is None:
            return
        start_ns = self._trail.debounce.t_ns if self._trail.debounce is not None else sent.t_ns
        push = self._add(
            *(self.root, "discovery", "discovery.push LDS", start_ns, forward.t_ns if forward else sent.t_ns),
            kind=SpanKind.PRODUCER,
            attributes=self._rpc(sent, self._method("discovery", sent)),
        )
        if forward is None:
            return
        passed = self._add(
            *(push, "agent", "agent.forward LDS", forward.t_ns, forward.t_ns),
            kind=SpanKind.CONSUMER,
            attributes=self._rpc(forward, self._method("agent", forward)),
        )
        if answer is not None:
            refused = answer.event == "envoy.nack"
            self._add(
                *(passed, "envoy", "envoy.update LDS", forward.t_ns, answer.t_ns),
                kind=SpanKind.CONSUMER,
                attributes=self._rpc(answer, self._method("agent", forward)),
                error=_said(answer) if refused else None,
                error_type="NACK" if refused else None,
            )

    def _extension(self) -> None:
        journey, trail = self._journey, self._trail
        if trail.push is None:
            return
        asked = journey.subscribe
        if asked is not None:
            self._add(
                *(self.root, "envoy", "envoy.subscribe ECDS", asked.t_ns, trail.push.t_ns),
                kind=SpanKind.CLIENT,
                attributes=self._rpc(asked, self._method("agent", asked)),
            )
        since = asked or trail.debounce or trail.push
        has_ns = trail.intercept.t_ns if trail.intercept is not None else trail.push.t_ns
        push = self._add(
            *(self.root, "discovery", "discovery.push ECDS", min(since.t_ns, trail.push.t_ns), has_ns),
            kind=SpanKind.PRODUCER,
            attributes=self._rpc(trail.push, self._method("discovery", trail.push)),
        )
        if trail.intercept is None:
            return
        refused = trail.verdict is not None and trail.verdict.event == "agent.nack"
        left = trail.verdict if refused else trail.deliver
        ends = [each.end_ns for name, each in journey.took.items() if name.startswith("agent.")]
        intercept = self._add(
            *(push, "agent", "agent.intercept ECDS", has_ns, left.t_ns if left is not None else max([has_ns, *ends])),
            kind=SpanKind.CONSUMER,
            attributes=self._rpc(trail.intercept, self._method("discovery", trail.push)),
            error=_said(trail.verdict) if refused and trail.verdict is not None else None,
            error_type="NACK" if refused else None,
        )
        if trail.replace is not None:
            facts = {"ecdsim.replacement": str(trail.replace.data.get("replacement"))}
            intercept.moments.append(Moment("agent.replace", trail.replace.t_ns, facts))
        self._on_the_agent(intercept)
        if trail.deliver is not None:
            self._deliver(intercept, trail.deliver)

    def _on_the_agent(self, intercept: Span) -> None:
        fetch = self._interval(intercept, "agent.fetch", SpanKind.CLIENT)
        if fetch is not None:
            for request in self._journey.requests:
                self._request(fetch, request)
        self._interval(intercept, "agent.unpack")
        if self._journey.shim is not None:
            facts = {f"ecdsim.{key}": str(self._journey.shim.data[key]) for key in ("abi", "shim_abi")}
            intercept.moments.append(Moment("agent.shim", self._journey.shim.t_ns, facts))
        self._interval(intercept, "agent.rewrite")

    def _request(self, fetch: Span, request: Interval) -> None:
        """As the registry served it; what of it failed is a matter of the client but for 5xx."""
        data = request.event.data
        method, path, status = str(data.get("method")), str(data.get("path")), data.get("status")
        image = self._trail.fetch.image if self._trail.fetch is not None else None
        host = host_of(image) if image is not None else ""
        broken = isinstance(status, int) and status >= 500
        self._add(
            *(fetch, "registry", f"{method} {_route(path)}", request.start_ns, request.end_ns),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "http.response.status_code": status,
                "http.response.body.size": data.get("bytes_sent"),
                "http.route": _route(path),
                "url.full": f"{self._scheme}://{host}{path}",
                "url.path": path,
                "url.scheme": self._scheme,
                "server.address": host or None,
            },
            error="" if broken else None,
            error_type=str(status) if broken else None,
        )

    def _deliver(self, intercept: Span, deliver: Event) -> None:
        journey, trail = self._journey, self._trail
        verdict = trail.verdict if trail.verdict is not None and trail.verdict.part == "envoy" else None
        refused = verdict is not None and trail.nacked
        method = self._method("agent", deliver)
        sent = self._add(
            *(intercept, "agent", "agent.deliver ECDS", deliver.t_ns, verdict.t_ns if verdict else deliver.t_ns),
            kind=SpanKind.PRODUCER,
            attributes=self._rpc(deliver, method),
            error=_said(verdict) if refused and verdict is not None else None,
            error_type="NACK" if refused else None,
        )
        if verdict is not None:
            name = "envoy.nack" if refused else "envoy.ack"
            sent.moments.append(Moment(name, verdict.t_ns, {"ecdsim.nonce": verdict.nonce}))
        loaded_ns = journey.loaded_ns
        if loaded_ns is None:
            return
        load = self._add(
            *(sent, "envoy", "envoy.load", deliver.t_ns, loaded_ns),
            kind=SpanKind.CONSUMER,
            attributes={"ecdsim.plugin": trail.plugin},
            error=_said(verdict) if refused and verdict is not None else None,
            error_type="NACK" if refused else None,
        )
        if journey.compile is not None:
            self._add(load, "envoy", "envoy.compile", journey.compile.t_ns, loaded_ns)
        for worker, event in sorted(trail.workers.items()):
            attributes = {"ecdsim.worker": worker}
            self._add(load, "envoy", f"envoy.worker_ready {worker}", loaded_ns, event.t_ns, attributes=attributes)

    def _traffic(self) -> None:
        first_ns = self._journey.first_response_ns
        if first_ns is None:
            return
        loaded_ns = self._journey.loaded_ns
        since_ns = first_ns if loaded_ns is None else min(loaded_ns, first_ns)
        self._add(*(self.root, "traffic", "traffic.first_response", since_ns, first_ns), kind=SpanKind.CLIENT)

    def _rpc(self, event: Event, method: str) -> dict[str, Value | None]:
        resources = event.data.get("resources")
        return {
            "rpc.system": "grpc",
            "rpc.service": ADS,
            "rpc.method": method,
            "ecdsim.type": short_name(event.type_url) if event.type_url is not None else None,
            "ecdsim.type_url": event.type_url,
            "ecdsim.version_info": event.version_info,
            "ecdsim.nonce": event.nonce,
            "ecdsim.resources": resources if isinstance(resources, list) else None,
        }

    def _method(self, part: str, event: Event) -> str:
        """By the variant of the stream that the event came over: Discovery's, or the agent's with its Envoy."""
        place = self._gateway if part == "agent" else ""
        return _METHODS.get(self._variants.get((part, place, event.data.get("stream")), ""), _SOTW)


def registry_scheme(run: RunFiles) -> str:
    """`https` where the scenario's registry speaks TLS."""
    try:
        scenario = YAML(typ="safe", pure=True).load(run.scenario)
        return "https" if scenario["spec"]["registry"]["tls"] is True else "http"
    except (YAMLError, KeyError, TypeError):
        return "http"


def _variants(events: Sequence[Event]) -> dict[tuple[str, str, Any], str]:
    return {
        (event.part, str(event.data.get("gateway", "")), event.data.get("stream")): str(event.data.get("variant"))
        for event in events
        if event.event in ("discovery.stream_opened", "agent.stream_opened")
    }


def _route(path: str) -> str:
    """The path's shape, as the distribution specification writes it."""
    for kind in ("manifests/{reference}", "blobs/{digest}"):
        if f"/{kind.partition('/')[0]}/" in path:
            return f"/v2/{{name}}/{kind}"
    return "/v2/" if path.startswith("/v2/") else path


def _said(event: Event | None) -> str:
    return str(event.data.get("error") or "NACK") if event is not None else "NACK"

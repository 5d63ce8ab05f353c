"""Rollouts sent to a collector: what it reads, with messages that are not ours, and what it may answer."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import (  # type: ignore[import-untyped]  # xds-protos brings no types
    trace_service_pb2,
)

from sim.errors import EnvironmentProblem
from sim.report.export.otlp import ROLLOUTS_A_REQUEST, rollout_traces, send_traces
from tests.unit.report.export.rollout_run import WALL_NS, a_run, bump_rollout
from tests.unit.report.results import PLUGIN

_IDS = ("traceId", "spanId", "parentSpanId")
#: What these fields were called in the version of the messages that xds-protos brings.
_FORMERLY = {"scopeSpans": "instrumentationLibrarySpans", "scope": "instrumentationLibrary"}


def _as_protobuf_json(data: Any) -> Any:
    """OTLP's JSON in protobuf's own mapping, which writes bytes in base64."""
    if isinstance(data, dict):
        return {
            _FORMERLY.get(key, key): base64.b64encode(bytes.fromhex(value)).decode()
            if key in _IDS
            else _as_protobuf_json(value)
            for key, value in data.items()
        }
    return [_as_protobuf_json(each) for each in data] if isinstance(data, list) else data


@dataclass
class Collector:
    """Decodes what it is sent; answers with what `answers` holds first, then with success."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        self.headers.append(dict(request.headers))
        message = trace_service_pb2.ExportTraceServiceRequest()
        # An unknown field raises, and so does a number where an enum's is meant.
        json_format.ParseDict(_as_protobuf_json(await request.json()), message)
        self.requests.append(message)
        return self.answers.pop(0) if self.answers else web.json_response({})

    def spans(self) -> list[tuple[str, Any]]:
        """Each with its service's name."""
        return [
            (_attributes(each.resource)["service.name"], span)
            for message in self.requests
            for each in message.resource_spans
            for library in each.instrumentation_library_spans
            for span in library.spans
        ]


def _attributes(holder: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(handler: Handler, path: str = "/v1/traces") -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    async with listening(made.take) as made.url:
        yield made


async def test_a_collector_reads_one_trace_with_its_tree(tmp_path: Path, collector: Collector) -> None:
    traces = rollout_traces(a_run(tmp_path))
    assert await send_traces(traces, collector.url) == 21
    found = collector.spans()
    assert {span.trace_id.hex() for _, span in found} == {traces[0].trace_id}
    by_id = {span.span_id: (service, span) for service, span in found}
    assert len(by_id) == 21 and all(len(each) == 8 for each in by_id)
    (root,) = [span for _, span in found if not span.parent_span_id]
    assert root.name == f"rollout {PLUGIN}"
    assert root.start_time_unix_nano == WALL_NS + 1_000_000_000
    assert root.end_time_unix_nano == root.start_time_unix_nano + 130_000_000
    assert all(span.parent_span_id in by_id for _, span in found if span is not root)
    (fetch,) = [span for _, span in found if span.name == "agent.fetch"]
    service, parent = by_id[fetch.parent_span_id]
    assert (service, parent.name) == ("ecdsim-agent", "agent.intercept ECDS")
    assert _attributes(fetch)["ecdsim.size_bytes"] == 900


async def test_a_collector_reads_attributes_kinds_and_status(tmp_path: Path, collector: Collector) -> None:
    await send_traces(rollout_traces(a_run(tmp_path, "nacked")), collector.url)
    found = {span.name: span for _, span in collector.spans()}
    push = found["discovery.push ECDS"]
    assert _attributes(push)["rpc.system"] == "grpc"
    assert push.kind == push.SPAN_KIND_PRODUCER
    assert [each.string_value for each in _attributes(push)["ecdsim.resources"].values]
    request = found["GET /v2/"]
    assert request.kind == request.SPAN_KIND_SERVER
    assert _attributes(request)["http.response.status_code"] == 200
    deliver = found["agent.deliver ECDS"]
    assert (deliver.status.code, deliver.status.message) == (deliver.status.STATUS_CODE_ERROR, "it can't be done")
    assert [each.name for each in deliver.events] == ["envoy.nack"]
    assert found["agent.fetch"].status.code == deliver.status.STATUS_CODE_UNSET


async def test_headers_go_with_it(tmp_path: Path, collector: Collector) -> None:
    await send_traces(rollout_traces(a_run(tmp_path)), collector.url, {"Authorization": "Bearer abc"})
    assert collector.headers[0]["Authorization"] == "Bearer abc"


async def test_many_rollouts_are_several_requests(tmp_path: Path, collector: Collector) -> None:
    rollouts = [bump_rollout() for _ in range(ROLLOUTS_A_REQUEST + 1)]
    sent = await send_traces(rollout_traces(a_run(tmp_path, rollouts=rollouts)), collector.url)
    assert len(collector.requests) == 2
    assert sent == len(collector.spans()) == 21 * (ROLLOUTS_A_REQUEST + 1)


async def test_a_collector_that_is_busy_is_asked_again(tmp_path: Path, collector: Collector) -> None:
    collector.answers = [web.Response(status=503), web.Response(status=429, headers={"Retry-After": "0"})]
    await send_traces(rollout_traces(a_run(tmp_path)), collector.url, pauses_s=(0, 60))
    assert len(collector.requests) == 3
    collector.answers = [web.Response(status=503, text="busy") for _ in range(3)]
    with pytest.raises(EnvironmentProblem, match="answers 503: busy"):
        await send_traces(rollout_traces(a_run(tmp_path)), collector.url, pauses_s=(0, 0))
    assert len(collector.requests) == 6


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "/v1/traces is added"), (415, "OTLP in JSON"), (500, "4318")],
)
async def test_a_refusal_is_told_once_and_says_what_to_do(
    tmp_path: Path, collector: Collector, status: int, hint: str
) -> None:
    collector.answers = [web.Response(status=status, text="no\nmore")]
    with pytest.raises(EnvironmentProblem, match=f"answers {status}: no\n.*{hint}") as raised:
        await send_traces(rollout_traces(a_run(tmp_path)), collector.url)
    assert raised.value.exit_code == 3
    assert len(collector.requests) == 1


async def test_spans_that_were_refused_are_told(tmp_path: Path, collector: Collector) -> None:
    partial = {"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}
    collector.answers = [web.json_response(partial)]
    with pytest.raises(EnvironmentProblem, match="refused 3 spans: too old"):
        await send_traces(rollout_traces(a_run(tmp_path)), collector.url)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"partialSuccess": {}}', b"null", b"[]", b"\xff\x00"])
async def test_any_other_answer_of_success_is_one(tmp_path: Path, collector: Collector, body: bytes) -> None:
    collector.answers = [web.Response(body=body)]
    assert await send_traces(rollout_traces(a_run(tmp_path)), collector.url) == 21


async def test_an_answer_may_be_compressed(tmp_path: Path, collector: Collector) -> None:
    collector.answers = [web.Response(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})]
    assert await send_traces(rollout_traces(a_run(tmp_path)), collector.url) == 21


async def test_where_nobody_listens_is_told_with_a_hint(tmp_path: Path) -> None:
    async with listening(Collector().take) as url:
        pass
    with pytest.raises(EnvironmentProblem, match=r"no collector answers at .*/v1/traces: Connection refused\n.*4317"):
        await send_traces(rollout_traces(a_run(tmp_path)), url)


async def test_a_collector_that_never_answers_is_given_up(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def dawdle(request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with listening(dawdle) as url:
        with pytest.raises(EnvironmentProblem, match="did not answer in time"):
            await send_traces(rollout_traces(a_run(tmp_path)), url, timeout_s=0.2)
        over.set()


async def test_a_password_in_the_url_is_not_repeated(tmp_path: Path) -> None:
    async with listening(Collector().take) as url:
        pass
    with pytest.raises(EnvironmentProblem) as raised:
        await send_traces(rollout_traces(a_run(tmp_path)), url.replace("http://", "http://me:hunter2@"))
    assert "hunter2" not in str(raised.value)

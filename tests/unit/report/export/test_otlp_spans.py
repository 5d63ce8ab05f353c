"""The spans of a rollout: their tree, their times on the wall clock, their attributes, and where they are sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.errors import InvalidInput
from sim.report.export.journey import journeys
from sim.report.export.otlp import headers_from, rollout_traces, summary_lines, traces_url
from sim.report.export.otlp_span import Span, SpanKind
from sim.report.export.otlp_spans import RolloutSpans
from sim.report.export.wall_clock import wall_clock
from sim.report.html.run_files import RunFiles, read_run
from tests.unit.report.export.rollout_run import (
    APPLY_MS,
    PASSWORD,
    START_NS,
    WALL_NS,
    Ending,
    a_run,
    bump_events,
    bump_rollout,
    write_run,
)
from tests.unit.report.results import PLUGIN


def spans(run: RunFiles) -> list[Span]:
    (journey,) = journeys(run)
    return RolloutSpans(run, journey, "https").spans


def tree(found: list[Span], parent: Span | None = None, depth: int = 0) -> list[str]:
    """Each span below its parent, in the order of their making."""
    lines = []
    for span in found:
        if span.parent is parent:
            lines += [f"{'  ' * depth}{span.service} {span.name}", *tree(found, span, depth + 1)]
    return lines


def named(found: list[Span], name: str) -> Span:
    (span,) = [each for each in found if each.name == name]
    return span


def test_a_rollout_is_one_tree_below_its_root(tmp_path: Path) -> None:
    assert tree(spans(a_run(tmp_path))) == [
        "ecdsim rollout higress-system/request-block",
        "  core core.convert",
        "  core core.mcp_push",
        "    discovery discovery.debounce",
        "  discovery discovery.push LDS",
        "    agent agent.forward LDS",
        "      envoy envoy.update LDS",
        "  discovery discovery.push ECDS",
        "    agent agent.intercept ECDS",
        "      agent agent.fetch",
        "        registry GET /v2/",
        "        registry GET /v2/{name}/manifests/{reference}",
        "        registry GET /v2/{name}/blobs/{digest}",
        "      agent agent.unpack",
        "      agent agent.rewrite",
        "      agent agent.deliver ECDS",
        "        envoy envoy.load",
        "          envoy envoy.compile",
        "          envoy envoy.worker_ready 0",
        "          envoy envoy.worker_ready 1",
        "  traffic traffic.first_response",
    ]


def test_the_root_goes_from_the_manifest_to_settled(tmp_path: Path) -> None:
    root = spans(a_run(tmp_path))[0]
    begin = START_NS + round(APPLY_MS * 1e6)
    assert (root.start_ns, root.end_ns) == (begin, begin + 130_000_000)
    assert [(each.name, each.t_ns - begin) for each in root.moments] == [
        ("effective", 125_000_000),
        ("settled", 130_000_000),
    ]
    assert root.error is None


@pytest.mark.parametrize("ending", ["works", "nacked", "not pulled"])
def test_no_span_begins_before_its_parent_or_ends_before_it_began(tmp_path: Path, ending: Ending) -> None:
    for span in spans(a_run(tmp_path, ending)):
        assert span.end_ns >= span.start_ns
        assert span.parent is None or span.start_ns >= span.parent.start_ns


def test_xds_hops_carry_the_attributes_of_rpc(tmp_path: Path) -> None:
    push = named(spans(a_run(tmp_path)), "discovery.push ECDS")
    assert push.kind is SpanKind.PRODUCER
    assert {key: value for key, value in push.attributes.items() if value is not None} == {
        "rpc.system": "grpc",
        "rpc.service": "envoy.service.discovery.v3.AggregatedDiscoveryService",
        "rpc.method": "StreamAggregatedResources",
        "ecdsim.type": "ECDS",
        "ecdsim.type_url": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "ecdsim.version_info": "v2",
        "ecdsim.nonce": "e2",
        "ecdsim.resources": ["higress-system.request-block"],
    }


def test_delta_streams_have_deltas_method_and_mcp_never(tmp_path: Path) -> None:
    found = spans(a_run(tmp_path, events=bump_events(variant="delta")))
    methods = {each.name: each.attributes.get("rpc.method") for each in found if "rpc.method" in each.attributes}
    assert methods.pop("core.mcp_push") == "StreamAggregatedResources"
    assert set(methods.values()) == {"DeltaAggregatedResources"}


def test_requests_to_the_registry_carry_the_attributes_of_http(tmp_path: Path) -> None:
    request = named(spans(a_run(tmp_path)), "GET /v2/{name}/manifests/{reference}")
    assert request.kind is SpanKind.SERVER
    assert request.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 900,
        "http.route": "/v2/{name}/manifests/{reference}",
        "url.full": "https://registry.local/v2/plugins/request-block/manifests/2.0.0",
        "url.path": "/v2/plugins/request-block/manifests/2.0.0",
        "url.scheme": "https",
        "server.address": "registry.local",
        "error.type": None,
    }
    assert request.end_ns - request.start_ns == 200_000


def test_a_nack_is_the_error_of_every_span_that_it_ended(tmp_path: Path) -> None:
    found = spans(a_run(tmp_path, "nacked"))
    wrong = {each.name: each.error for each in found if each.error is not None}
    assert wrong == dict.fromkeys([f"rollout {PLUGIN}", "agent.deliver ECDS", "envoy.load"], "it can't be done")
    assert named(found, "agent.deliver ECDS").attributes["error.type"] == "NACK"
    assert [each.name for each in named(found, "agent.deliver ECDS").moments] == ["envoy.nack"]


def test_a_pull_that_failed_is_the_error_of_the_fetch(tmp_path: Path) -> None:
    found = spans(a_run(tmp_path, "not pulled"))
    wrong = {each.name for each in found if each.error is not None}
    # That something is not there is no error of the server that says so.
    assert wrong == {f"rollout {PLUGIN}", "agent.intercept ECDS", "agent.fetch"}
    assert named(found, "agent.fetch").attributes["error.type"] == "agent.fetch"


def test_each_part_is_a_service_of_its_own(tmp_path: Path) -> None:
    (trace,) = rollout_traces(a_run(tmp_path))
    resources = [attributes(each["resource"]["attributes"]) for each in trace.resource_spans]
    assert [each["service.name"] for each in resources] == [
        *("ecdsim", "ecdsim-core", "ecdsim-discovery", "ecdsim-agent", "ecdsim-envoy", "ecdsim-registry"),
        "ecdsim-traffic",
    ]
    assert {each["service.namespace"] for each in resources} == {"ecdsim"}
    assert {each["ecdsim.run"] for each in resources} == {"tag-bump-20250101T100000Z"}


def test_times_are_the_wall_clocks(tmp_path: Path) -> None:
    (trace,) = rollout_traces(a_run(tmp_path))
    root = trace.resource_spans[0]["scopeSpans"][0]["spans"][0]
    assert int(root["startTimeUnixNano"]) == WALL_NS + round(APPLY_MS * 1e6)


def test_a_run_that_did_not_note_its_time_has_it_in_its_name(tmp_path: Path) -> None:
    events = bump_events()
    del events[0].data["wall_ns"]
    clock = wall_clock(a_run(tmp_path, events=events))
    assert clock is not None and clock.text(START_NS) == "2025-01-01T10:00:00.000Z"
    nameless = read_run(write_run(tmp_path / "copy", events=events, directory=None))
    with pytest.raises(InvalidInput, match="does not tell when it was"):
        rollout_traces(nameless)


def test_a_second_run_of_the_same_name_has_its_time_too(tmp_path: Path) -> None:
    events = bump_events()
    del events[0].data["wall_ns"]
    clock = wall_clock(read_run(write_run(tmp_path / "tag-bump-20250101T100000Z-2", events=events)))
    assert clock is not None and clock.ns(START_NS) == WALL_NS // 10**9 * 10**9


def test_ids_are_the_same_each_time_and_never_shared(tmp_path: Path) -> None:
    first, again = (rollout_traces(a_run(tmp_path)) for _ in range(2))
    assert [each.resource_spans for each in first] == [each.resource_spans for each in again]
    two = [bump_rollout(), bump_rollout(gateway="b")]
    made = rollout_traces(a_run(tmp_path / "two", rollouts=two))
    ids = [span["spanId"] for trace in made for each in trace.resource_spans for span in each["scopeSpans"][0]["spans"]]
    assert len({trace.trace_id for trace in made}) == 2
    assert len(set(ids)) == len(ids)
    assert list(summary_lines(made))[1] == f"{made[1].trace_id}  rollouts[1] {PLUGIN} at b"


def test_a_run_without_rollouts_has_nothing_to_send(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no rollout that could be sent"):
        rollout_traces(a_run(tmp_path, rollouts=[]))


def test_secrets_stay_behind(tmp_path: Path) -> None:
    run = a_run(tmp_path, "nacked", events=bump_events("nacked", error=f"robot:{PASSWORD} was refused"))
    text = json.dumps([each.resource_spans for each in rollout_traces(run)])
    assert "was refused" in text and PASSWORD not in text


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example.com/otlp/", "https://collector.example.com/otlp/v1/traces"),
        ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        ("http://[::1]:4318?tenant=a", "http://[::1]:4318/v1/traces?tenant=a"),
    ],
)
def test_traces_go_below_the_base_url(base: str, url: str) -> None:
    assert traces_url(base) == url


@pytest.mark.parametrize("base", ["", "127.0.0.1:4318", "ftp://a", "http://", "http://a:99999", "http://[::1"])
def test_what_is_no_url_is_refused(base: str) -> None:
    with pytest.raises(InvalidInput, match="is no URL of an OTLP/HTTP collector"):
        traces_url(base)


def test_headers_come_from_the_environment() -> None:
    told = {"OTEL_EXPORTER_OTLP_HEADERS": " Authorization=Bearer%20a%3Db , x-tenant = t1,"}
    assert headers_from(told) == {"Authorization": "Bearer a=b", "x-tenant": "t1"}
    assert headers_from({}) == {}


@pytest.mark.parametrize("text", ["secret-value", "=secret-value", "a=secret-value%0d%0aX: y"])
def test_headers_of_another_form_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInput, match="OTEL_EXPORTER_OTLP_HEADERS") as raised:
        headers_from({"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert "secret-value" not in str(raised.value)


def attributes(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in pairs}

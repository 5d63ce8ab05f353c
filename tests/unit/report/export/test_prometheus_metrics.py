"""The metrics of a run that goes on: what is counted, under which names, and how pages of others are merged in."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.agent import AgentMetrics
from sim.report.export.prometheus import Page, PipelineMetrics, TrafficCounts, metrics_text
from sim.report.export.prometheus_text import Count, Histogram, merged, number, parse
from sim.trace import Event, Trace
from tests.unit.report.export.metrics_page import MetricsPage, read
from tests.unit.report.export.rollout_run import NODE, Ending, bump_events, event, span
from tests.unit.report.results import PLUGIN

ENVOY = """\
# TYPE envoy_listener_manager_listener_added counter
envoy_listener_manager_listener_added{} 3
# TYPE envoy_http_downstream_cx_length_ms histogram
envoy_http_downstream_cx_length_ms_bucket{envoy_http_conn_manager_prefix="a",le="0.5"} 1
envoy_http_downstream_cx_length_ms_bucket{envoy_http_conn_manager_prefix="a",le="+Inf"} 2
envoy_http_downstream_cx_length_ms_sum{envoy_http_conn_manager_prefix="a"} 7.5
envoy_http_downstream_cx_length_ms_count{envoy_http_conn_manager_prefix="a"} 2
# TYPE envoy_server_live gauge
envoy_server_live 1 1735725600250
"""


class Hands:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at_ns = 0

    def monotonic_ns(self) -> int:
        return self.at_ns

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_ns / 1e9, UTC)


class Emitted:
    """A trace that keeps nothing, and the metrics that listen to it."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.trace = Trace(self.clock, keep=False)
        self.metrics = PipelineMetrics(self.trace)

    def emit(self, *events: Event) -> None:
        for each in events:
            self.clock.at_ns = max(self.clock.at_ns, each.t_ns)
            fields = {name: getattr(each, name) for name in _FIELDS}
            self.trace.emit(each.event, **fields, **each.data)

    def page(self) -> MetricsPage:
        return read(metrics_text(self.metrics))


_FIELDS = ("t_ns", "span", "span_id", "node_id", "type_url", "version_info", "nonce", "resource", "plugin", "image")


def after(ending: Ending = "works") -> Emitted:
    made = Emitted()
    made.emit(*bump_events(ending))
    return made


def test_pushes_and_answers_are_counted_by_type() -> None:
    page = after("nacked").page()
    assert page.value("pilot_xds_pushes", type="lds") == page.value("pilot_xds_pushes", type="ecds") == 1
    assert page.value("ecdsim_envoy_answers_total", answer="nack", type="ecds") == 1
    assert page.value("ecdsim_envoy_answers_total", answer="ack", type="lds") == 1
    assert page.types["pilot_xds_pushes"] == "counter"


def test_what_discovery_is_told_is_counted_under_istiods_names() -> None:
    made = after()
    ecds = next(each for each in bump_events() if each.event == "discovery.push" and "images" in each.data)
    made.emit(
        event(2000, "discovery.nack", type_url=ecds.type_url, nonce="e2", stream=1, error="no"),
        event(2001, "discovery.stale", type_url=ecds.type_url, nonce="e1", stream=1),
    )
    page = made.page()
    assert page.value("pilot_total_xds_rejects", type="ecds") == 1
    assert page.value("pilot_xds_expired_nonce", type="ecds") == 1
    assert page.value("pilot_inbound_updates", type="config") == 1
    assert page.value("pilot_push_triggers", type="config") == 1


def test_connected_proxies_are_a_gauge() -> None:
    made = after()
    assert made.page().value("pilot_xds") == 1
    made.emit(event(2000, "discovery.stream_closed", stream=1, node_id=NODE))
    page = made.page()
    assert (page.value("pilot_xds"), page.types["pilot_xds"]) == (0, "gauge")


def test_debounces_are_timed_in_istios_buckets() -> None:
    page = after().page()
    assert page.value("pilot_debounce_time_bucket", le="0.01") == 0
    assert page.value("pilot_debounce_time_bucket", le="0.1") == 1
    assert page.value("pilot_debounce_time_sum") == pytest.approx(0.0999)


def test_a_proxy_has_converged_when_nothing_more_is_sent_to_it() -> None:
    made = after()
    assert "pilot_proxy_convergence_time_count" not in made.page().names()
    made.clock.at_ns += 2_000_000_000
    page = made.page()
    assert page.value("pilot_proxy_convergence_time_count") == 1
    # From the first change, 2.1 ms after the manifest, to the last response, 104 ms after it.
    assert page.value("pilot_proxy_convergence_time_sum") == pytest.approx(0.1019)
    assert made.page().value("pilot_proxy_convergence_time_count") == 1


def test_a_proxy_has_converged_when_the_next_push_begins_or_it_leaves() -> None:
    made = after()
    made.emit(*span(1200, 1300, "discovery.debounce", 9, changes=3))
    assert made.page().value("pilot_proxy_convergence_time_count") == 1
    made.emit(event(1301, "discovery.push", node_id=NODE, type_url="x.Listener", nonce="l3", reason="push"))
    made.emit(event(1302, "discovery.stream_closed", node_id=NODE, stream=1))
    page = made.page()
    assert page.value("pilot_proxy_convergence_time_sum") == pytest.approx(0.1019 + 0.101)
    assert page.value("pilot_push_triggers", type="config") == 4


def test_what_a_proxy_asks_for_is_no_convergence() -> None:
    made = Emitted()
    made.emit(*span(0, 100, "discovery.debounce", 1, changes=1))
    made.emit(event(101, "discovery.push", node_id=NODE, type_url="x.Listener", nonce="l", reason="request"))
    made.clock.at_ns += 5_000_000_000
    assert "pilot_proxy_convergence_time_count" not in made.page().names()


def test_stages_of_rollouts_are_timed() -> None:
    page = after().page()
    assert page.value("ecdsim_rollouts_total") == 1
    assert page.value("ecdsim_conversions_total", outcome="converted") == 1
    assert page.value("ecdsim_rollout_stage_seconds_sum", stage="debounce") == pytest.approx(0.1)
    assert page.value("ecdsim_rollout_stage_seconds_count", stage="load") == 1
    assert page.value("ecdsim_rollout_effective_seconds_sum") == pytest.approx(0.125)
    assert page.types["ecdsim_rollout_stage_seconds"] == "histogram"


def test_the_registry_and_connections_are_counted() -> None:
    made = after()
    for kind in ("opened", "opened", "drained"):
        made.emit(event(1500, f"traffic.connection_{kind}", load="users", connection=1))
    page = made.page()
    assert page.value("ecdsim_registry_requests_total", method="GET", code="200") == 3
    assert page.value("ecdsim_registry_sent_bytes_total") == 1802
    assert page.value("ecdsim_traffic_connections_total", load="users", event="opened") == 2


def test_before_anything_happened_the_page_can_be_read() -> None:
    page = Emitted().page()
    assert page.names() == {"pilot_xds"}


def test_closed_metrics_count_no_more() -> None:
    made = after()
    with made.metrics:
        pass
    made.emit(*bump_events())
    assert made.page().value("ecdsim_rollouts_total") == 1


def test_memory_does_not_grow_with_time() -> None:
    made = after()

    def size() -> int:
        return sum(sys.getsizeof(held) for held in _held(made.metrics))

    made.emit(*bump_events())
    before = size()
    for _ in range(50):
        made.emit(*bump_events())
    assert size() <= before


def _held(holder: Any) -> list[Any]:
    """Every container that the object has, however deep."""
    found, todo = [], [holder]
    while todo:
        each = todo.pop()
        if isinstance(each, (dict, list, set, tuple)):
            found.append(each)
            todo += [*each.values(), *each.keys()] if isinstance(each, dict) else [*each]
        elif type(each).__module__.startswith("sim.report") or type(each).__module__ == "collections":
            names = getattr(each, "__slots__", None) or vars(each)
            todo += [getattr(each, name) for name in names if name not in ("_stop", "_clock")]
    return found


# -- traffic ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    version: str | None = None
    status: int | None = 200
    error: str | None = None


def test_responses_are_counted_once_by_load_version_and_code() -> None:
    counts, samples = TrafficCounts(), [Answer("1.0.0"), Answer("1.0.0"), Answer(status=None, error="timeout")]
    counts.take("users", samples)
    counts.take("users", samples)
    samples.append(Answer("2.0.0", 503, "status"))
    counts.take("users", samples)
    counts.take("others", [Answer()])
    page = read(merged(counts.families()))
    name = "ecdsim_traffic_requests_total"
    assert page.value(name, load="users", version="1.0.0", code="200") == 2
    assert page.value(name, load="users", version="none", code="0") == 1
    assert page.value(name, load="users", version="2.0.0", code="503") == 1
    assert page.value(name, load="others", version="none", code="200") == 1
    assert page.value("ecdsim_traffic_failures_total", load="users", reason="timeout") == 1
    assert page.value("ecdsim_traffic_failures_total", load="users", reason="status") == 1


# -- pages of others ----------------------------------------------------------------------------------------------


def test_envoys_pages_are_merged_family_by_family_with_their_gateway() -> None:
    pages = [Page(ENVOY, {"gateway": "a"}), Page(ENVOY, {"gateway": "b"})]
    page = read(metrics_text(Emitted().metrics, pages=pages))
    assert page.value("envoy_listener_manager_listener_added", gateway="a") == 3
    assert page.value("envoy_listener_manager_listener_added", gateway="b") == 3
    assert page.value("envoy_server_live", gateway="b") == 1
    own = {"gateway": "b", "envoy_http_conn_manager_prefix": "a"}
    assert page.value("envoy_http_downstream_cx_length_ms_bucket", **own, le="+Inf") == 2
    assert page.types["envoy_http_downstream_cx_length_ms"] == "histogram"
    assert page.types["envoy_server_live"] == "gauge"


def test_the_agents_own_page_is_merged_as_it_is() -> None:
    agent = AgentMetrics()
    agent.cache_entries, agent.scrapes = 2, 1
    agent.lookups[True] += 3
    agent.conversion_took(7)
    pages = [Page(agent.render(), {"gateway": "a"}), Page(agent.render(), {"gateway": "b"})]
    page = read(metrics_text(Emitted().metrics, pages=pages))
    assert page.value("istio_agent_wasm_cache_lookup_count", gateway="b", hit="true") == 3
    assert page.value("istio_agent_wasm_config_conversion_duration_sum", gateway="a") == 7


def test_a_label_of_the_same_name_is_kept_as_exported() -> None:
    (family,) = parse('a_total{gateway="theirs",x="1"} 2\n', {"gateway": "ours"})
    assert family.samples == {("a_total", 'gateway="ours",exported_gateway="theirs",x="1"'): "2"}


def test_a_page_that_is_none_adds_nothing() -> None:
    for text in ("<html>404 {not} found</html>\n", "OK\n", "", "no metrics 1 2 3\n", 'a{b="c} 1\n', "a nan b\n"):
        assert read(merged(parse(text, {"gateway": "a"}))).samples == {}


def test_braces_and_quotes_within_labels_are_no_ends() -> None:
    text = 'a{path="/x{y}\\"z,\\\\",b="2"} 1\n'
    assert merged(parse(text, {"gateway": "a"})) == '# TYPE a untyped\na{gateway="a",path="/x{y}\\"z,\\\\",b="2"} 1\n'


def test_the_same_sample_twice_is_one() -> None:
    assert read(merged([*parse("a 1\n"), *parse("a 2\n")])).value("a") == 1


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), min_size=1, max_size=3))
def test_whatever_a_label_says_it_is_read_back(labels: dict[str, str]) -> None:
    count = Count("a_total", "Told.", *labels)
    count.add(*labels.values())
    page = read(merged([count.family()]))
    unescaped = {
        key: re.sub(r"\\(.)", lambda code: {"n": "\n"}.get(code[1], code[1]), value)
        for (_, pairs) in page.samples
        for key, value in pairs
    }
    assert unescaped == {key: value for key, value in labels.items() if value}


@given(st.lists(st.floats(0, 100), max_size=30))
def test_buckets_add_up_whatever_is_observed(values: list[float]) -> None:
    histogram = Histogram((0.1, 1, 10))
    for value in values:
        histogram.observe(value)
    family = parse("# TYPE h histogram\n")[0]
    histogram.render(family)
    page = read(merged([family]))
    assert page.value("h_count") == (len(values) or None)
    for bound in (0.1, 1, 10):
        assert page.value("h_bucket", le=number(bound)) == (sum(v <= bound for v in values) if values else None)


def test_the_plugins_name_is_no_label() -> None:
    # Names come from manifests, and each would be a series of its own for as long as the server lives.
    assert PLUGIN not in metrics_text(after().metrics)

"""The agent's metrics in Prometheus' text format."""

from __future__ import annotations

from sim.agent.metrics import BUCKETS_MS, AgentMetrics


def samples(metrics: AgentMetrics) -> dict[str, str]:
    """Each sample's value by its name and labels."""
    lines = [line for line in metrics.render().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_what_was_never_counted_is_not_shown() -> None:
    assert AgentMetrics().render() == ""


def test_the_names_are_those_of_the_status_port() -> None:
    metrics = AgentMetrics()
    metrics.cache_entries = 2
    metrics.lookups.update([True, False, False])
    metrics.fetches.update(["success", "success", "manifest_failure"])
    metrics.conversions.update(["no_remote_load"])
    assert samples(metrics) == {
        "istio_agent_wasm_cache_entries": "2",
        'istio_agent_wasm_cache_lookup_count{hit="false"}': "2",
        'istio_agent_wasm_cache_lookup_count{hit="true"}': "1",
        'istio_agent_wasm_config_conversion_count{result="no_remote_load"}': "1",
        'istio_agent_wasm_remote_fetch_count{result="manifest_failure"}': "1",
        'istio_agent_wasm_remote_fetch_count{result="success"}': "2",
    }


def test_each_family_says_its_type_once_and_they_are_sorted() -> None:
    metrics = AgentMetrics()
    metrics.cache_entries = 0
    metrics.lookups[True] = metrics.lookups[False] = 1
    metrics.conversion_took(1)
    types = [line.split()[2:] for line in metrics.render().splitlines() if line.startswith("# TYPE")]
    assert types == [
        ["istio_agent_wasm_cache_entries", "gauge"],
        ["istio_agent_wasm_cache_lookup_count", "counter"],
        ["istio_agent_wasm_config_conversion_duration", "histogram"],
    ]
    helps = [line.split()[2] for line in metrics.render().splitlines() if line.startswith("# HELP")]
    assert helps == [name for name, _ in types]


def test_a_bucket_counts_all_that_took_no_longer() -> None:
    metrics = AgentMetrics()
    for duration_ms in (0, 1, 2, 3, 16384, 16385):
        metrics.conversion_took(duration_ms)
    name = "istio_agent_wasm_config_conversion_duration"
    found = samples(metrics)
    counts = [found[f'{name}_bucket{{le="{bound}"}}'] for bound in (1, 2, 4, 8192, 16384, "+Inf")]
    assert counts == ["2", "3", "4", "4", "5", "6"]
    assert found[f"{name}_sum"] == str(0 + 1 + 2 + 3 + 16384 + 16385)
    assert found[f"{name}_count"] == "6"


def test_the_buckets_are_the_real_agents() -> None:
    assert BUCKETS_MS == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


def test_streams_messages_and_scrapes_have_pilot_agents_names() -> None:
    metrics = AgentMetrics()
    metrics.requests, metrics.responses, metrics.scrapes = 8, 7, 1
    metrics.envoy_ends["cancelled"] = 8
    metrics.discovery_ends.update({"cancelled": 3, "error": 6})
    assert list(samples(metrics).items()) == [
        ('istio_agent_envoy_connection_terminations{type="cancelled"}', "8"),
        ('istio_agent_istiod_connection_terminations{type="cancelled"}', "3"),
        ('istio_agent_istiod_connection_terminations{type="error"}', "6"),
        ("istio_agent_scrapes_total", "1"),
        ("istio_agent_xds_proxy_requests", "8"),
        ("istio_agent_xds_proxy_responses", "7"),
    ]

"""What is read off Envoy's dump of its listeners."""

from __future__ import annotations

from typing import Any

from sim.scenario.gateway_state import http_filters

HCM = "envoy.filters.network.http_connection_manager"


def listener(name: str, state: str, *filters: str) -> dict[str, Any]:
    manager = {"name": HCM, "typed_config": {"http_filters": [{"name": each} for each in filters]}}
    return {"name": name, state: {"listener": {"filter_chains": [{"filters": [{"name": "other"}, manager]}]}}}


def test_the_filters_are_those_of_the_listener_that_takes_connections_in_their_order() -> None:
    dump = {
        "configs": [
            listener("0.0.0.0_9000", "active_state", "upstream"),
            listener("0.0.0.0_8080", "active_state", "cors", "ns.plugin", "router"),
        ]
    }
    assert http_filters(dump, "0.0.0.0_8080") == ["cors", "ns.plugin", "router"]


def test_a_listener_that_is_still_warming_has_none() -> None:
    assert http_filters({"configs": [listener("0.0.0.0_8080", "warming_state", "cors")]}, "0.0.0.0_8080") == []


def test_an_envoy_without_listeners_has_none() -> None:
    assert http_filters({}, "0.0.0.0_8080") == []

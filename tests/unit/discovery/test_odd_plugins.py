"""Plugins that are odd in one way or another, against what the real istiods made of them.

Captured like the other golden files; the client asked for every plugin by name, in its listener or not.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.discovery.state import Configuration
from sim.model import ECDS, LDS, Node
from sim.profiles import load_profile
from tests.golden_files import assert_same_json, golden
from tests.unit.discovery.worlds import GATEWAY, NODE, answered, mcp_resource, push_context

PREFIXES = {"istio-1.27": "extensions.istio.io/wasmplugin/", "higress-1.19": ""}
CASES = [
    pytest.param(profile, case, id=f"{profile}-{case['name']}")
    for profile in PREFIXES
    for case in golden(f"discovery-odd-{profile}.json")
]
VERSION = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"


def resource(plugin: dict[str, Any]) -> Any:
    meta = plugin.get("meta", {})
    made = mcp_resource(
        "WasmPlugin", plugin["name"], plugin["spec"], meta.get("version", ""), plugin.get("created_s", 0)
    )
    made.metadata.labels.update(meta.get("labels", {}))
    return made


def filters(listener: dict[str, Any], prefix: str) -> tuple[list[str], list[str]]:
    """The plugins' names among the network filters and among the HTTP filters."""
    *_, manager = found = listener["filter_chains"][0]["filters"]
    names = [
        [item["name"].removeprefix(prefix) for item in chain if "config_discovery" in item]
        for chain in (found, manager["typed_config"]["http_filters"])
    ]
    return names[0], names[1]


def extension(item: dict[str, Any]) -> dict[str, Any]:
    """The extension as captured: its kind and its configuration, without the version that Discovery made up."""
    wasm = item["typed_config"]
    variables = wasm["config"]["vm_config"]["environment_variables"]["key_values"]
    if variables[VERSION] != "v":
        variables[VERSION] = "<resource-version>"
    return {"type": wasm["@type"].rpartition("filters.")[2].partition(".")[0], "config": wasm["config"]}


@pytest.mark.parametrize(("profile", "case"), CASES)
def test_an_odd_plugin_is_treated_as_the_real_discovery_treats_it(profile: str, case: dict[str, Any]) -> None:
    node = Node(case["node"]["id"], case["node"]["labels"]) if "node" in case else NODE
    held = Configuration(validates=load_profile(profile).plugin_validation)
    gateway = {**GATEWAY["higress-system/gateway"], "selector": {}}
    held.replace("Gateway", [mcp_resource("Gateway", "higress-system/gateway", gateway)])
    held.replace("WasmPlugin", [resource(plugin) for plugin in case["istio"]])
    context = push_context(held, profile)
    (listener,) = answered(context, LDS, node).values()
    network, http = filters(listener, PREFIXES[profile])
    served = {
        name.removeprefix(PREFIXES[profile]): extension(item) for name, item in answered(context, ECDS, node).items()
    }
    assert_same_json(
        {"network": network, "http": http, "ecds": served},
        {key: case[key] for key in ("network", "http", "ecds")},
    )

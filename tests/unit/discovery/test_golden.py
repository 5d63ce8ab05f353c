"""What Discovery generates, against captures of the real one, read by another protobuf implementation."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from sim.discovery.gateway import ListenerFactory
from sim.discovery.plugins import PullSecrets
from sim.discovery.state import Configuration, PushContext
from sim.model import ECDS, LDS, Node
from sim.profiles import load_profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from tests.golden_files import assert_same_json, golden
from tests.independent import to_json

NODE = Node(
    "router~127.0.0.1~gw-1.higress-system~higress-system.svc.cluster.local",
    {"higress": "higress-system-higress-gateway"},
)
PORT = 18080

CASES = [
    pytest.param(profile, case, id=f"{profile}-{case['name']}")
    for profile in ("istio-1.27", "higress-1.19")
    for case in golden(f"discovery-{profile}.json")
]


def context_of(profile: str, plugins: list[dict[str, Any]]) -> PushContext:
    configuration = Configuration()
    gateway = net.Gateway(selector=NODE.labels)
    gateway.servers.add(port=net.Port(number=PORT, protocol="HTTP", name="http"), hosts=["*"])
    for kind, messages in (
        ("Gateway", {"higress-system/gateway": gateway}),
        ("WasmPlugin", {p["name"]: json_format.ParseDict(p["spec"], ext.WasmPlugin()) for p in plugins}),
    ):
        resources = []
        for name, message in messages.items():
            resource = mcp.Resource(metadata=mcp.Metadata(name=name))
            resource.body.Pack(message)
            resources.append(resource)
        configuration.replace(kind, resources)
    state, made = configuration.freeze()
    reproduced = load_profile(profile)
    factory = ListenerFactory(reproduced, "127.0.0.1")
    return PushContext("v/1", 1, reproduced, state, made, PullSecrets({}), factory)


def resources(context: PushContext, type_url: str) -> list[dict[str, Any]]:
    answer = context.answer(NODE, type_url, None)
    assert answer is not None
    return [to_json(r.type_url, r.body) for r in answer.resources]


def filters_as_captured(listener: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for network in listener["filter_chains"][0]["filters"]:
        if "config_discovery" in network:
            found.append({"network": network["name"]})
            continue
        found += [
            item if "config_discovery" in item else item["name"] for item in network["typed_config"]["http_filters"]
        ]
    return found


def without_versions(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<resource-version>" if key == "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION" else without_versions(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_versions(item) for item in value]
    return value


@pytest.mark.parametrize(("profile", "case"), CASES)
def test_the_gateways_filters_stand_in_the_order_of_the_real_one(profile: str, case: dict[str, Any]) -> None:
    (listener,) = resources(context_of(profile, case["istio"]), LDS)
    assert_same_json(filters_as_captured(listener), case["filters"])


@pytest.mark.parametrize(("profile", "case"), CASES)
def test_an_extension_configuration_equals_the_real_one(profile: str, case: dict[str, Any]) -> None:
    context = context_of(profile, case["istio"])
    # Envoy asks for what its listener names.
    (listener,) = resources(context, LDS)
    named = {
        found.get("network") or found["name"] for found in filters_as_captured(listener) if isinstance(found, dict)
    }
    ours = without_versions(resources(context, ECDS))
    by_name = {item["name"]: item for item in ours if item["name"] in named}
    # The real one sends them in the order of a Go map.
    assert_same_json(by_name, {item["name"]: item for item in case["ecds"]})

"""MCP resources and push contexts for Discovery's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from sim.discovery.gateway import ListenerFactory
from sim.discovery.plugins import PullSecrets
from sim.discovery.state import Configuration, PushContext
from sim.model import Node
from sim.profiles import load_profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from tests.independent import to_json

NODE = Node(
    "router~127.0.0.1~gw-1.higress-system~higress-system.svc.cluster.local",
    {"higress": "higress-system-higress-gateway"},
)

#: A gateway on port 18080, a service and a route to it, as JSON by kind and name.
GATEWAY = {
    "higress-system/gateway": {
        "selector": NODE.labels,
        "servers": [{"port": {"number": 18080, "protocol": "HTTP", "name": "http"}, "hosts": ["*"]}],
    }
}
SERVICE = {
    "higress-system/echo": {
        "hosts": ["echo.example.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.0.0.1", "ports": {"http": 18090}}],
    }
}


def parsed(kind: str, spec: Mapping[str, Any]) -> Message:
    """The message of a kind from its JSON."""
    made: Message = {
        "WasmPlugin": ext.WasmPlugin,
        "Gateway": net.Gateway,
        "VirtualService": net.VirtualService,
        "ServiceEntry": net.ServiceEntry,
    }[kind]()
    return json_format.ParseDict(dict(spec), made)


def mcp_resource(kind: str, name: str, spec: Mapping[str, Any], version: str = "", created_s: int = 0) -> mcp.Resource:
    resource = mcp.Resource(metadata=mcp.Metadata(name=name, version=version))
    if created_s:
        resource.metadata.create_time.seconds = created_s
    resource.body.Pack(parsed(kind, spec))
    return resource


def configuration(**kinds: Mapping[str, Mapping[str, Any]]) -> Configuration:
    """`configuration(WasmPlugin={"ns/name": {...}})`"""
    made = Configuration()
    for kind, objects in kinds.items():
        made.replace(kind, [mcp_resource(kind, name, spec) for name, spec in objects.items()])
    return made


def push_context(
    held: Configuration,
    profile: str = "istio-1.27",
    *,
    listeners: ListenerFactory | None = None,
    secrets: Mapping[str, str] | None = None,
) -> PushContext:
    state, plugins = held.freeze()
    reproduced = load_profile(profile)
    return PushContext(
        version="v/1",
        number=1,
        profile=reproduced,
        state=state,
        plugins=plugins,
        secrets=PullSecrets(dict(secrets or {})),
        listeners=listeners or ListenerFactory(reproduced, "127.0.0.1"),
    )


def answered(context: PushContext, type_url: str, node: Node = NODE) -> dict[str, Any]:
    """Every resource of a type for the node, read by another protobuf implementation, by name."""
    answer = context.answer(node, type_url, None)
    assert answer is not None
    return {r.name: to_json(r.type_url, r.body) for r in answer.resources}


def http_filters(listener: Mapping[str, Any]) -> list[dict[str, Any]]:
    manager = listener["filter_chains"][0]["filters"][-1]["typed_config"]
    filters: list[dict[str, Any]] = manager["http_filters"]
    return filters


def plugin_names(listener: Mapping[str, Any]) -> list[str]:
    """The plugins of the listener's HTTP chain, in order, without what the profile puts before their names."""
    return [item["name"].rpartition("/")[2] for item in http_filters(listener) if "config_discovery" in item]

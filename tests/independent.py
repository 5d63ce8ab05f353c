"""Our bytes, read by the xds-protos package on Google's protobuf: one library's bug can't hide."""

from __future__ import annotations

import importlib
from typing import Any

from google.protobuf import json_format, symbol_database

for module in (
    "envoy.config.cluster.v3.cluster_pb2",
    "envoy.config.core.v3.extension_pb2",
    "envoy.config.endpoint.v3.endpoint_pb2",
    "envoy.config.listener.v3.listener_pb2",
    "envoy.config.route.v3.route_pb2",
    "envoy.extensions.filters.http.composite.v3.composite_pb2",
    "envoy.extensions.filters.http.cors.v3.cors_pb2",
    "envoy.extensions.filters.http.fault.v3.fault_pb2",
    "envoy.extensions.filters.http.grpc_stats.v3.config_pb2",
    "envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2",
    "envoy.extensions.filters.http.rbac.v3.rbac_pb2",
    "envoy.extensions.filters.http.router.v3.router_pb2",
    "envoy.extensions.filters.http.wasm.v3.wasm_pb2",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "envoy.extensions.filters.network.rbac.v3.rbac_pb2",
    "envoy.extensions.filters.network.wasm.v3.wasm_pb2",
    "envoy.service.discovery.v3.discovery_pb2",
    "google.protobuf.wrappers_pb2",
):
    importlib.import_module(module)


def message(type_url: str, body: bytes) -> Any:
    """The message of this type, decoded."""
    return symbol_database.Default().GetSymbol(type_url.rpartition("/")[2]).FromString(body)


def to_json(type_url: str, body: bytes) -> dict[str, Any]:
    """The resource as JSON under Envoy's own field names, "@type" first."""
    decoded = json_format.MessageToDict(message(type_url, body), preserving_proto_field_name=True)
    return {"@type": type_url, **decoded}


def discovery_message(name: str, body: bytes = b"") -> Any:
    """An `envoy.service.discovery.v3` message of this name: empty, or read from bytes."""
    return message(f"envoy.service.discovery.v3.{name}", body)

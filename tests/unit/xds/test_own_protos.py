"""Our minimal message definitions against Envoy's own, as the xds-protos package has them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from google.protobuf import symbol_database

import tests.independent  # noqa: F401 - registers Envoy's messages
from sim.proto_gen import envoy_discovery_pb2, envoy_extension_pb2

importlib.import_module("udpa.type.v1.typed_struct_pb2")

_DISCOVERY = "envoy.service.discovery.v3."
_CORE = "envoy.config.core.v3."
PAIRS = {
    "ecdsim.envoy.discovery.Node": _CORE + "Node",
    "ecdsim.envoy.discovery.Status": "google.rpc.Status",
    **{
        f"ecdsim.envoy.discovery.{name}": _DISCOVERY + name
        for name in (
            "DiscoveryRequest",
            "DiscoveryResponse",
            "DeltaDiscoveryRequest",
            "DeltaDiscoveryResponse",
            "Resource",
        )
    },
    "ecdsim.envoy.extension.TypedExtensionConfig": _CORE + "TypedExtensionConfig",
    "ecdsim.envoy.extension.TypedStruct": "udpa.type.v1.TypedStruct",
    "ecdsim.envoy.extension.Wasm": "envoy.extensions.filters.http.wasm.v3.Wasm",
    "ecdsim.envoy.extension.PluginConfig": "envoy.extensions.wasm.v3.PluginConfig",
    "ecdsim.envoy.extension.VmConfig": "envoy.extensions.wasm.v3.VmConfig",
    "ecdsim.envoy.extension.EnvironmentVariables": "envoy.extensions.wasm.v3.EnvironmentVariables",
    "ecdsim.envoy.extension.AsyncDataSource": _CORE + "AsyncDataSource",
    "ecdsim.envoy.extension.DataSource": _CORE + "DataSource",
    "ecdsim.envoy.extension.RemoteDataSource": _CORE + "RemoteDataSource",
    "ecdsim.envoy.extension.HttpUri": _CORE + "HttpUri",
    "ecdsim.envoy.extension.RBAC": "envoy.extensions.filters.http.rbac.v3.RBAC",
    "ecdsim.envoy.extension.NetworkRBAC": "envoy.extensions.filters.network.rbac.v3.RBAC",
    "ecdsim.envoy.extension.Rules": "envoy.config.rbac.v3.RBAC",
}


def described(name: str) -> Any:
    return symbol_database.Default().GetSymbol(name).DESCRIPTOR


def on_the_wire(field: Any) -> tuple[int, int, bool]:
    # An enum and an int32 are the same bytes.
    kind = field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type
    return field.number, kind, field.is_repeated


@pytest.mark.parametrize("ours", PAIRS)
def test_every_field_has_envoys_number_and_type(ours: str) -> None:
    theirs = {field.name: on_the_wire(field) for field in described(PAIRS[ours]).fields}
    mine = {field.name: on_the_wire(field) for field in described(ours).fields}
    assert mine.items() <= theirs.items()


def test_every_message_of_ours_is_compared() -> None:
    made = {
        message.full_name
        for module in (envoy_discovery_pb2, envoy_extension_pb2)
        for message in module.DESCRIPTOR.message_types_by_name.values()
    }
    assert made == set(PAIRS)


def test_the_failure_policies_have_envoys_numbers() -> None:
    theirs = described("envoy.extensions.wasm.v3.PluginConfig").fields_by_name["failure_policy"].enum_type
    mine = envoy_extension_pb2.FailurePolicy.DESCRIPTOR
    assert {v.name: v.number for v in mine.values} == {v.name: v.number for v in theirs.values}

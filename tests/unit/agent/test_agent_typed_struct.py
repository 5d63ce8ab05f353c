"""Wasm filters that are written as a TypedStruct, as pilot-agent was seen to take them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from sim.model import HTTP_RBAC, HTTP_WASM, NETWORK_WASM, TYPE_PREFIX
from sim.xds import ProtoAny
from tests.unit.agent.resources import URL, as_json, extension
from tests.unit.agent.test_agent_convert import ALLOW_ALL, DENY_ALL, MISSING, Rig

# Registers the messages.
for name in ("udpa.type.v1.typed_struct_pb2", "xds.type.v3.typed_struct_pb2"):
    importlib.import_module(name)

OLD, NEW = TYPE_PREFIX + "udpa.type.v1.TypedStruct", TYPE_PREFIX + "xds.type.v3.TypedStruct"


def plugin(url: str = URL, **config: Any) -> dict[str, Any]:
    return {
        "config": {
            "name": "plug",
            "root_id": "r",
            "configuration": {"@type": TYPE_PREFIX + "google.protobuf.StringValue", "value": "hello"},
            "vm_config": {
                "vm_id": "v",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"remote": {"http_uri": {"uri": url, "cluster": "_", "timeout": "10s"}, "sha256": ""}},
                "environment_variables": {
                    "key_values": {"A": "b", "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "7"},
                },
            },
            **config,
        }
    }


def typed_struct(value: dict[str, Any], type_url: str = HTTP_WASM, struct: str = OLD) -> ProtoAny:
    return extension("x", {"@type": struct, "type_url": type_url, "value": value})


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, "istio-1.27")


@pytest.mark.parametrize("type_url", [HTTP_WASM, NETWORK_WASM])
async def test_its_remote_code_becomes_the_local_file_and_it_the_message_itself(rig: Rig, type_url: str) -> None:
    result = await rig.one(typed_struct(plugin(), type_url))
    assert as_json(result.resource)["typed_config"] == {
        "@type": type_url,
        "config": {
            "name": "plug",
            "root_id": "r",
            "configuration": {"@type": TYPE_PREFIX + "google.protobuf.StringValue", "value": "hello"},
            "vm_config": {
                "vm_id": "v",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(result.module)}},
                "environment_variables": {"key_values": {"A": "b"}},
            },
        },
    }
    assert rig.cache.metrics.conversions == {"success": 1}


async def test_names_may_be_written_in_camel_case(rig: Rig) -> None:
    value = {"config": {"name": "plug", "vmConfig": {"code": {"remote": {"httpUri": {"uri": URL}}}}}}
    result = await rig.one(typed_struct(value))
    assert as_json(result.resource)["typed_config"] == {
        "@type": HTTP_WASM,
        "config": {"name": "plug", "vm_config": {"code": {"local": {"filename": str(result.module)}}}},
    }


@pytest.mark.parametrize(("opens", "instead"), [(True, ALLOW_ALL), (False, DENY_ALL)])
async def test_a_failed_pull_is_replaced(rig: Rig, opens: bool, instead: dict[str, Any]) -> None:
    result = await rig.one(typed_struct(plugin(MISSING, fail_open=opens)))
    assert as_json(result.resource)["typed_config"] == instead


async def test_a_field_that_wasm_has_not_refuses_the_response(rig: Rig) -> None:
    assert (await rig.one(typed_struct({"nope": 1}))).refused
    assert rig.cache.metrics.conversions == {"unmarshal_failure": 1}


@pytest.mark.parametrize(
    "resource",
    [
        typed_struct({"a": 1}, HTTP_RBAC),
        typed_struct(plugin(), struct=NEW),
    ],
    ids=["another filter", "the newer TypedStruct"],
)
async def test_what_the_agent_does_not_look_into_keeps_its_bytes(rig: Rig, resource: ProtoAny) -> None:
    assert (await rig.one(resource)).resource == resource
    assert rig.cache.metrics.conversions == {"no_remote_load": 1}


async def test_local_code_stays_a_typed_struct(rig: Rig) -> None:
    resource = typed_struct({"config": {"vm_config": {"code": {"local": {"filename": "/x"}}}}})
    assert (await rig.one(resource)).resource == resource


async def test_the_fork_passes_a_network_filter_on(tmp_path: Path) -> None:
    resource = typed_struct(plugin(), NETWORK_WASM)
    assert (await Rig(tmp_path, "higress-1.19").one(resource)).resource == resource

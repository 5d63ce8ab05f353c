"""Reading ECDS resources: which of them hold a Wasm filter whose code is remote.

Imitates pilot-agent's `tryUnmarshal` (pkg/wasm/convert.go). A filter may be written as udpa's TypedStruct; the newer
xds.type.v3.TypedStruct is not looked into, there neither.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf.json_format import MessageToDict

from sim.model import ECDS, TYPE_PREFIX
from sim.proto_gen import envoy_extension_pb2 as envoy
from sim.xds import ProtoAny
from sim.xds.packing import pack_json

_TYPED_STRUCT = TYPE_PREFIX + "udpa.type.v1.TypedStruct"


def remote_wasm(
    resource: ProtoAny, wasm_types: Collection[str]
) -> tuple[envoy.TypedExtensionConfig, envoy.Wasm] | None:
    """The extension, and the Wasm filter in it, whose code is remote; None for what passes untouched.

    The extension's `typed_config` is of one of `wasm_types`, a TypedStruct too. Raises DecodeError or ValueError for
    what the real agent refuses to read.
    """
    if resource.type_url != ECDS:
        raise ValueError(f"an ECDS response holds {resource.type_url or 'a resource without a type'}")
    extension = envoy.TypedExtensionConfig.FromString(resource.value)
    if not extension.HasField("typed_config"):
        raise ValueError(f"the extension configuration {extension.name} is empty")
    config = extension.typed_config
    if config.type_url == _TYPED_STRUCT:
        struct = envoy.TypedStruct.FromString(config.value)
        if struct.type_url not in wasm_types:
            return None
        made = pack_json({"@type": struct.type_url, **_whole_numbers(MessageToDict(struct.value))})
        config.type_url, config.value = made.type_url, made.value
    if config.type_url not in wasm_types:
        return None
    wasm = envoy.Wasm.FromString(config.value)
    match wasm.config.vm_config.code.WhichOneof("specifier"):
        case "remote":
            return extension, wasm
        case "local":
            return None
        case _:
            raise ValueError(f"the Wasm extension {extension.name} has no code, neither remote nor local")


def _whole_numbers(value: Any) -> Any:
    """The same, with numbers that have no fraction as integers: a Struct knows none."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

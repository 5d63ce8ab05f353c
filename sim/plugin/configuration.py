"""A plugin's configuration from a user's file: plain YAML or JSON, or a whole WasmPlugin as kubectl takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from sim.core import ConversionError, convert, decode_istio
from sim.discovery.go_json import struct_text
from sim.errors import InvalidInput, Location
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN, Document, Manifest, parse_manifests, read_documents
from sim.plugin.target import read_file


@dataclass(frozen=True, slots=True)
class Configuration:
    """The JSON text that a plugin is given, empty for none at all, and its root id: a WasmPlugin's `pluginName`."""

    text: str = ""
    root_id: str = ""


def read_configuration(path: Path) -> Configuration:
    """A file's configuration, made as Core and Discovery make it.

    A file with a WasmPlugin in it gives what Core makes of its `defaultConfig` and `matchRules`. Raises InvalidInput,
    for a WasmPlugin that Core refuses with Higress' words.
    """
    name = str(path)
    try:
        text = read_file(path, "name a file with the plugin's configuration, or leave --config out").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8: {error}", where=Location(name), hint="pass YAML or JSON") from error
    documents = [document for document in read_documents(text, name) if document.data is not None]
    if any(_is_plugin(document) for document in documents):
        plugins = [manifest for manifest in parse_manifests(text, name) if manifest.kind == WASM_PLUGIN]
        if len(plugins) == 1:
            return _converted(plugins[0])
        found = f"{len(plugins)} WasmPlugins"
    elif len(documents) <= 1:
        return Configuration(_plain(documents[0]) if documents else "")
    else:
        found = f"{len(documents)} documents"
    raise InvalidInput(f"there are {found} in it", where=Location(name), hint="one is tried at a time: keep one")


def _is_plugin(document: Document) -> bool:
    return (
        isinstance(document.data, dict) and "apiVersion" in document.data and document.data.get("kind") == WASM_PLUGIN
    )


def _plain(document: Document) -> str:
    if isinstance(document.data, dict) and isinstance(document.data.get("kind"), str) and "apiVersion" in document.data:
        raise InvalidInput(
            f"it is a {document.data['kind']}, and a configuration is wanted",
            where=document.where(),
            hint="pass what stands under pluginConfig or defaultConfig, or a whole WasmPlugin",
        )
    if not isinstance(document.data, dict):
        raise InvalidInput(
            "a configuration is an object, as in pluginConfig",
            where=document.where(),
            hint="write keys and values, such as block_urls: [swagger]",
        )
    struct = Struct()
    try:
        json_format.ParseDict(document.data, struct)
    except json_format.ParseError as error:
        raise InvalidInput(str(error), where=document.where(), hint="pass what JSON can hold") from error
    return _text(struct)


def _converted(manifest: Manifest) -> Configuration:
    try:
        istio = convert(manifest.spec, {}) if manifest.api_version == HIGRESS_WASM else decode_istio(manifest.spec)
    except ConversionError as error:
        raise InvalidInput(error.message, where=manifest.where("spec"), hint=error.hint) from error
    if istio is None:
        raise InvalidInput(
            f"everything in {manifest.key} is disabled, so Core makes no plugin of it",
            where=manifest.where("spec"),
            hint="enable its defaultConfig or a rule",
        )
    return Configuration(_text(istio.plugin_config), istio.plugin_name)


def _text(struct: Struct) -> str:
    # As istiod does: an empty object is no configuration.
    return struct_text(struct) if struct.fields else ""

"""What can be told of a scenario's own modules before they are rolled out: whether the given Envoy will take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import json_format

from sim.core import ConversionError, convert, decode_istio
from sim.errors import SimError
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN, Manifest
from sim.oci import Reference, parse_reference
from sim.scenario.images import ResolvedImage
from sim.wasm import MalformedModule, parse
from sim.wasm.abi import abi_number, needs_shim, stock_abi
from sim.wasm.host_calls import missing_host_calls, release
from sim.wasm.module import abi_versions
from sim.wasm.rule_doubts import rule_doubts


def module_doubts(
    images: Iterable[ResolvedImage], envoy_version: str, *, shim: bool, manifests: Iterable[Manifest] = ()
) -> Iterator[str]:
    """A sentence for each reason why that release of Envoy would refuse one of these modules.

    With `manifests`, the scenario's, also one for each plugin with rules that its module never applies there.

    Bundled plugins are not looked at. `shim` tells whether the agent applies the ABI shim. Modules that are meant to
    be refused are as good as any: it is for the reader to know.
    """
    plugins = [manifest for manifest in manifests if manifest.kind == WASM_PLUGIN]
    for image in images:
        if image.file is None:
            continue
        for doubt in _doubts(image.module, envoy_version, shim=shim):
            yield f"{image.written} ({image.file}): Envoy {envoy_version} will refuse it: {doubt}"
        for doubt in _rule_doubts(image, plugins):
            yield f"{image.written} ({image.file}): {doubt}"


def _doubts(content: bytes, envoy_version: str, *, shim: bool) -> Iterator[str]:
    try:
        module = parse(content)
    except MalformedModule as error:
        yield error.message
        return
    if stock_abi(module.exports) is None and not (shim and needs_shim(module.exports)):
        names = ", ".join(map(abi_number, abi_versions(module)))
        without = "; --abi-shim auto renames it" if needs_shim(module.exports) else ""
        yield f"its Proxy-Wasm ABI {names} is unknown{without}" if names else "it exports no Proxy-Wasm ABI version"
    missing = missing_host_calls(module, release(envoy_version))
    if missing:
        yield f"it imports {', '.join(missing)}, which the host does not have"


def _rule_doubts(image: ResolvedImage, plugins: Iterable[Manifest]) -> Iterator[str]:
    users = [plugin for plugin in plugins if _reference(plugin.spec.get("url")) == image.reference]
    if not users:
        return
    try:
        module = parse(image.module)
    except MalformedModule:
        return
    told = (f"WasmPlugin {plugin.key}: {doubt}" for plugin in users if (doubt := rule_doubts(module, _config(plugin))))
    # A plugin that is bumped is there more than once.
    yield from dict.fromkeys(told)


def _reference(url: Any) -> Reference | None:
    try:
        return parse_reference(str(url))
    except SimError:
        return None


def _config(plugin: Manifest) -> Any:
    """What the plugin is given, as JSON data; None where Core makes nothing of it."""
    try:
        made = convert(plugin.spec, {}) if plugin.api_version == HIGRESS_WASM else decode_istio(plugin.spec)
    except ConversionError:
        return None
    return None if made is None else json_format.MessageToDict(made.plugin_config)

"""What can be told of a scenario's own modules before they are rolled out: whether the given Envoy will take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sim.scenario.images import ResolvedImage
from sim.wasm import MalformedModule, parse
from sim.wasm.abi import abi_number, needs_shim, stock_abi
from sim.wasm.host_calls import missing_host_calls, release
from sim.wasm.module import abi_versions


def module_doubts(images: Iterable[ResolvedImage], envoy_version: str, *, shim: bool) -> Iterator[str]:
    """A sentence for each reason why that release of Envoy would refuse one of these modules.

    Bundled plugins are not looked at. `shim` tells whether the agent applies the ABI shim. Modules that are meant to
    be refused are as good as any: it is for the reader to know.
    """
    for image in images:
        if image.file is None:
            continue
        for doubt in _doubts(image.module, envoy_version, shim=shim):
            yield f"{image.written} ({image.file}): Envoy {envoy_version} will refuse it: {doubt}"


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

"""What an Envoy needs so that it can run Wasm here: a runtime, and on some machines V8 before its workers.

On processors with memory protection keys V8 lets only those threads touch its code that descend from the one that set
V8 up. Envoy sets it up with its first Wasm module; when that comes by ECDS, the workers are there already, and up to
1.37 they die at once of a segmentation fault. A module in the bootstrap makes V8 ready before them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

_FIXED_IN = (1, 38)
_CPUINFO = Path("/proc/cpuinfo")
_VALIDATE_S = 60.0

#: A module that is a plugin by its exports (memory, malloc, the ABI's version), and does nothing.
_MODULE = bytes.fromhex(
    "0061736d01000000"  # magic and version
    "010902600000" + "60017f017f"  # two types: () and (i32) -> i32
    "0303020001"  # a function of each
    "0503010001"  # one page of memory
    "072d03" + "066d656d6f72790200" + "1770726f78795f6162695f76657273696f6e5f305f325f310000" + "066d616c6c6f630001"
    "0a090202000b040041000b"  # their bodies: nothing, and 0
)


def needs_early_v8(version: str) -> bool:
    """Whether this Envoy's workers would die of their first Wasm module on this machine."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return numbers < _FIXED_IN and _has_protection_keys()


def with_early_v8(bootstrap: dict[str, Any]) -> dict[str, Any]:
    """The bootstrap with a module that the main thread loads before there are workers, and that nothing uses."""
    service = {
        "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
        "singleton": True,
        "config": _plugin("ecdsim-early-v8"),
    }
    return {**bootstrap, "bootstrap_extensions": [{"name": "envoy.bootstrap.wasm", "typed_config": service}]}


async def runs_wasm(binary: Path) -> bool:
    """Whether the Envoy has a Wasm runtime: it is asked to validate a listener with a plugin. Some packages lack it."""
    process = await asyncio.create_subprocess_exec(
        *(binary, "--mode", "validate", "--config-yaml", json.dumps(_with_plugin())),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_VALIDATE_S):
            return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _has_protection_keys() -> bool:
    try:
        return re.search(r"^flags\s*:.*\bospke\b", _CPUINFO.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except OSError:
        return False


def _plugin(name: str) -> dict[str, Any]:
    code = {"local": {"inline_bytes": base64.b64encode(_MODULE).decode()}}
    return {"name": name, "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": code}}


def _with_plugin() -> dict[str, Any]:
    """A bootstrap with one listener that has a plugin."""
    types = "type.googleapis.com/envoy.extensions.filters"
    wasm = {"@type": f"{types}.http.wasm.v3.Wasm", "config": _plugin("any")}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "any",
        "route_config": {},
        "http_filters": [
            {"name": "any", "typed_config": wasm},
            {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": "any",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "any", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}

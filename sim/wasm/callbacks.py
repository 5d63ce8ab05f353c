"""The types that the host calls a plugin's exports by.

The names and types are those of proxy-wasm-cpp-host (`include/proxy-wasm/wasm.h`, `WasmBase::getFunctions`); that each
is held to them was tried on Envoy 1.40.
"""

from __future__ import annotations

from collections.abc import Sequence

from sim.wasm.abi import stock_abi
from sim.wasm.module import Export

Signature = tuple[tuple[str, ...], tuple[str, ...]]

_OLDEST_ABI = "proxy_abi_version_0_1_0"

#: How many i32 go in, and how many come out.
_TYPES = {
    (0, 0): ("_initialize", "_start"),
    (1, 0): ("proxy_on_tick", "proxy_on_log", "proxy_on_delete"),
    (1, 1): ("malloc", "proxy_on_memory_allocate", "proxy_on_new_connection", "proxy_on_done"),
    (2, 0): (
        *("proxy_on_context_create", "proxy_on_downstream_connection_close", "proxy_on_upstream_connection_close"),
        "proxy_on_queue_ready",
    ),
    (2, 1): (
        *("proxy_validate_configuration", "proxy_on_vm_start", "proxy_on_configure"),
        *("proxy_on_request_trailers", "proxy_on_request_metadata"),
        *("proxy_on_response_trailers", "proxy_on_response_metadata"),
    ),
    (3, 0): (
        *("proxy_on_grpc_receive", "proxy_on_grpc_close", "proxy_on_grpc_receive_initial_metadata"),
        *("proxy_on_grpc_receive_trailing_metadata", "proxy_on_foreign_function"),
    ),
    (3, 1): (
        *("proxy_on_downstream_data", "proxy_on_upstream_data", "proxy_on_request_body", "proxy_on_response_body"),
        *("proxy_on_request_headers", "proxy_on_response_headers"),
    ),
    (5, 0): ("proxy_on_http_call_response",),
}
_BY_NAME = {name: counts for counts, names in _TYPES.items() for name in names}
#: Of these the host looks at the first that is there.
_INSTEAD = {"_start": "_initialize", "proxy_on_memory_allocate": "malloc"}
_HEADERS = ("proxy_on_request_headers", "proxy_on_response_headers")


def signature(name: str, exports: Sequence[Export]) -> Signature | None:
    """Parameters and results that the host calls the export by, None for one that it does not call.

    `exports` are the module's: the oldest ABI does not tell a callback whether a message ends with its headers.
    """
    if name not in _BY_NAME:
        return None
    if name in _INSTEAD and any(export.name == _INSTEAD[name] for export in exports):
        return None
    into, out = _BY_NAME[name]
    if name in _HEADERS and stock_abi(exports) == _OLDEST_ABI:
        into -= 1
    return ("i32",) * into, ("i32",) * out

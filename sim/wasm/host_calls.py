"""The functions that stock Envoy offers a Wasm module, and those that a module asks for in vain.

The names are the exports of proxy-wasm-cpp-host (`include/proxy-wasm/exports.h`, `WasmBase::registerCallbacks`); that
each is there, and no other, was tried on the released binaries of Envoy 1.36 to 1.40. Signatures are not compared.
"""

from __future__ import annotations

import re

from sim.wasm.abi import SHIM_ABI, stock_abi
from sim.wasm.module import Import, Module

#: The oldest and the newest release that the tables were tried on.
OLDEST_ENVOY, NEWEST_ENVOY = (1, 36), (1, 40)
#: The release that brought the rest of WASI, of which a Go program that uses the package `os` needs some.
FULL_WASI_SINCE = (1, 39)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PROXY = _names("""
    log get_status set_property get_property send_local_response get_shared_data set_shared_data register_shared_queue
    resolve_shared_queue dequeue_shared_queue enqueue_shared_queue get_header_map_value add_header_map_value
    replace_header_map_value remove_header_map_value get_header_map_pairs set_header_map_pairs get_header_map_size
    get_buffer_status get_buffer_bytes set_buffer_bytes http_call grpc_call grpc_stream grpc_close grpc_cancel grpc_send
    set_tick_period_milliseconds get_current_time_nanoseconds define_metric increment_metric record_metric get_metric
    set_effective_context done call_foreign_function
""")
_PROXY_BY_ABI = {
    "proxy_abi_version_0_1_0": ("get_configuration", "continue_request", "continue_response", "clear_route_cache"),
    "proxy_abi_version_0_2_0": ("continue_stream", "close_stream"),
    "proxy_abi_version_0_2_1": ("continue_stream", "close_stream", "get_log_level"),
}
_EMSCRIPTEN = ("pthread_equal", "emscripten_notify_memory_growth")
_WASI = _names("""
    args_get args_sizes_get clock_time_get environ_get environ_sizes_get fd_close fd_fdstat_get fd_fdstat_set_flags
    fd_prestat_dir_name fd_prestat_get fd_read fd_seek fd_write path_open poll_oneoff proc_exit random_get sched_yield
""")
_MORE_WASI = _names("""
    clock_res_get fd_advise fd_allocate fd_datasync fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size
    fd_filestat_set_times fd_pread fd_pwrite fd_readdir fd_renumber fd_sync fd_tell path_create_directory
    path_filestat_get path_filestat_set_times path_link path_readlink path_remove_directory path_rename path_symlink
    path_unlink_file sock_accept sock_recv sock_send sock_shutdown
""")
_WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")

_RELEASE = re.compile(r"(\d+)\.(\d+)")


def release(envoy_version: str) -> tuple[int, int]:
    """Major and minor number of a version such as `1.40.0`. Raises ValueError for what is none."""
    found = _RELEASE.match(envoy_version)
    if found is None:
        raise ValueError(f"{envoy_version!r} is no version of Envoy")
    return int(found[1]), int(found[2])


def host_calls(abi: str = SHIM_ABI, envoy: tuple[int, int] = NEWEST_ENVOY) -> frozenset[str]:
    """What that release of Envoy offers a module of this ABI, each as `module.name`, such as `env.proxy_log`."""
    wasi = _WASI + _MORE_WASI if envoy >= FULL_WASI_SINCE else _WASI
    return frozenset(
        [f"env.proxy_{name}" for name in (*_PROXY, *_PROXY_BY_ABI[abi])]
        + [f"env.{name}" for name in _EMSCRIPTEN]
        + [f"{module}.{name}" for module in _WASI_MODULES for name in wasi]
    )


def missing_host_calls(module: Module, envoy: tuple[int, int] = NEWEST_ENVOY) -> tuple[str, ...]:
    """The imports that Envoy can't give the module, as `module.name`, in their order, each once.

    Envoy names the first of them: `Failed to load Wasm module due to a missing import: …`. A module whose ABI stock
    Envoy does not know is looked at as if it had been shimmed.
    """
    offered = host_calls(stock_abi(module.exports) or SHIM_ABI, envoy)
    return tuple(dict.fromkeys(f"{each.module}.{each.name}" for each in module.imports if not _given(each, offered)))


def _given(wanted: Import, offered: frozenset[str]) -> bool:
    # An imported memory or table is made for the module, whatever its name; a global or a tag never is.
    if wanted.kind == "func":
        return f"{wanted.module}.{wanted.name}" in offered
    return wanted.kind in ("memory", "table")

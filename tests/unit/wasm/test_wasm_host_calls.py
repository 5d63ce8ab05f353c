"""What stock Envoy offers a module. That the tables are right is tried in tests/e2e/test_host_calls.py."""

from __future__ import annotations

import pytest

from sim.wasm import bundled, bundled_names, parse
from sim.wasm.host_calls import FULL_WASI_SINCE, OLDEST_ENVOY, host_calls, missing_host_calls, release
from tests.wasm_modules import ABI_HIGRESS, GLOBAL_KIND, HEADER, IMPORT, name, plugin, section

WASI = "wasi_snapshot_preview1"


@pytest.mark.parametrize("plugin_name", bundled_names())
def test_a_bundled_plugin_has_all_that_it_wants_in_the_oldest_envoy(plugin_name: str) -> None:
    assert missing_host_calls(parse(bundled(plugin_name).module), OLDEST_ENVOY) == ()


def test_what_is_missing_is_named_once_in_the_order_of_the_imports() -> None:
    imports = [("env", "proxy_redis_call"), ("env", "proxy_log"), ("env", "abort"), ("env", "proxy_redis_call")]
    assert missing_host_calls(parse(plugin(imports=imports))) == ("env.proxy_redis_call", "env.abort")


def test_a_module_for_higress_abi_is_looked_at_as_if_it_were_shimmed() -> None:
    module = parse(plugin(abis=[ABI_HIGRESS], imports=[("env", "proxy_get_log_level"), ("env", "proxy_redis_init")]))
    assert missing_host_calls(module) == ("env.proxy_redis_init",)


def test_each_abi_has_calls_of_its_own() -> None:
    old = plugin(abis=["proxy_abi_version_0_1_0"], imports=[("env", "proxy_continue_request")])
    assert missing_host_calls(parse(old)) == ()
    assert missing_host_calls(parse(plugin(imports=[("env", "proxy_continue_request")]))) == (
        "env.proxy_continue_request",
    )
    older = plugin(abis=["proxy_abi_version_0_2_0"], imports=[("env", "proxy_get_log_level")])
    assert missing_host_calls(parse(older)) == ("env.proxy_get_log_level",)


def test_older_envoys_lack_what_go_wants_of_wasi() -> None:
    module = parse(plugin(imports=[(WASI, "path_filestat_get"), (WASI, "fd_write")]))
    assert missing_host_calls(module, (FULL_WASI_SINCE[0], FULL_WASI_SINCE[1] - 1)) == (f"{WASI}.path_filestat_get",)
    assert missing_host_calls(module, FULL_WASI_SINCE) == ()


def test_a_memory_is_made_for_the_module_and_a_global_is_not() -> None:
    imports = [
        name("env") + name("memory") + b"\x02\x00\x01",
        name("env") + name("g") + bytes((GLOBAL_KIND,)) + b"\x7f\x00",
    ]
    module = parse(HEADER + section(IMPORT, bytes((len(imports),)) + b"".join(imports)))
    assert missing_host_calls(module) == ("env.g",)


def test_a_release_is_read_from_a_version() -> None:
    assert release("1.40.0") == (1, 40)
    assert release("1.36.2.post1") == OLDEST_ENVOY
    with pytest.raises(ValueError, match="no version"):
        release("main")


def test_a_later_envoy_offers_at_least_what_an_earlier_one_does() -> None:
    assert host_calls(envoy=OLDEST_ENVOY) < host_calls()

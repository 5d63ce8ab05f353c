"""What is told of a scenario's own modules before the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.manifests import parse_manifests
from sim.scenario.images import resolve_image
from sim.scenario.module_doubts import module_doubts
from sim.scenario.schema import BundledImage, FileImage
from tests.wasm_modules import ABI_HIGRESS, HEADER, custom, plugin

WASI = "wasi_snapshot_preview1"


def doubts(folder: Path, module: bytes, envoy: str = "1.40.0", *, shim: bool = True) -> list[str]:
    (folder / "main.wasm").write_bytes(module)
    image = resolve_image(FileImage.model_validate({"file": "main.wasm", "as": "hub.example.com/a/b:1"}), folder)
    return list(module_doubts([image], envoy, shim=shim))


def test_host_calls_that_this_envoy_lacks_are_named(tmp_path: Path) -> None:
    (doubt,) = doubts(tmp_path, plugin(imports=[("env", "proxy_redis_init"), ("env", "proxy_log")]))
    assert "hub.example.com/a/b:1" in doubt and "main.wasm" in doubt
    assert "Envoy 1.40.0 will refuse it: it imports env.proxy_redis_init, which the host does not have" in doubt
    wasi = plugin(imports=[(WASI, "path_filestat_get")])
    assert doubts(tmp_path, wasi) == []
    assert "path_filestat_get" in doubts(tmp_path, wasi, "1.38.2")[0]


def test_an_unknown_abi_is_told_where_nothing_mends_it(tmp_path: Path) -> None:
    assert doubts(tmp_path, plugin(abis=[ABI_HIGRESS])) == []
    (without,) = doubts(tmp_path, plugin(abis=[ABI_HIGRESS]), shim=False)
    assert "0.2.100 is unknown; --abi-shim auto renames it" in without
    (other,) = doubts(tmp_path, plugin(abis=["proxy_abi_version_0_9_0"]))
    assert other.endswith("0.9.0 is unknown")
    (none,) = doubts(tmp_path, plugin(abis=[]))
    assert "exports no Proxy-Wasm ABI version" in none


@pytest.mark.parametrize("module", [HEADER + b"\x07\x7f", HEADER[:4] + b"\x0d\0\1\0"])
def test_a_module_that_can_not_be_read_is_told(module: bytes, tmp_path: Path) -> None:
    (doubt,) = doubts(tmp_path, module)
    assert "malformed Wasm module" in doubt


PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: mine, namespace: higress-system}
spec:
  url: oci://hub.example.com/a/b:1
  matchRules:
  - {ingress: [gone], configDisable: true}
  - {domain: [a.com], config: {}}
  - {ingress: [shop/orders], config: {}}
"""


def test_rules_that_never_match_are_told_once_for_the_plugin_that_has_them(tmp_path: Path) -> None:
    module = plugin(
        abis=[ABI_HIGRESS],
        data=[b"\ndep\tgithub.com/higress-group/wasm-go\tv1.1.1\n"],
        more=custom("go:buildid", b"x"),
    )
    (tmp_path / "main.wasm").write_bytes(module)
    image = resolve_image(FileImage.model_validate({"file": "main.wasm", "as": "hub.example.com/a/b:1"}), tmp_path)
    mine, other = (parse_manifests(text, "x")[0] for text in (PLUGIN, PLUGIN.replace("a/b:1", "a/c:1")))
    (doubt,) = module_doubts([image], "1.40.0", shim=True, manifests=[mine, mine, other])
    assert "WasmPlugin higress-system/mine: rule:1 (_match_route_) will never match on stock Envoy" in doubt
    assert list(module_doubts([image], "1.40.0", shim=True, manifests=[other])) == []


def test_bundled_plugins_are_beyond_doubt(tmp_path: Path) -> None:
    image = resolve_image(BundledImage(plugin="request-block", tag="1.0.0"), tmp_path)
    assert list(module_doubts([image], "1.40.0", shim=False)) == []

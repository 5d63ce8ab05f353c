"""Modules that stock Envoy refuses, rolled out: what is told before, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.trace import read_trace
from tests.e2e.conftest import Ended
from tests.wasm_modules import ABI_HIGRESS, plugin

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: refused, title: {en: A module that Envoy refuses}}
spec:
  images:
  - {file: main.wasm, as: registry.local/plugins/mine:1.0.0}
  steps:
  - apply: mine.yaml
  - wait: {nacked: higress-system/mine, within: 20s}
  expect:
  - rollouts[0].nacked && !rollouts[0].acked
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: mine, namespace: higress-system}
spec: {url: oci://registry.local/plugins/mine:1.0.0}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(module: bytes) -> Path:
        folder = tmp_path / "scenario"
        folder.mkdir()
        (folder / "scenario.yaml").write_text(SCENARIO)
        (folder / "mine.yaml").write_text(PLUGIN)
        (folder / "main.wasm").write_bytes(module)
        return folder

    return write


def taken(folder: Path) -> Path:
    """The same scenario, for a module that Envoy takes."""
    text = (folder / "scenario.yaml").read_text()
    text = text.replace("nacked:", "acked:").replace("rollouts[0].nacked && !rollouts[0].acked", "rollouts[0].acked")
    (folder / "scenario.yaml").write_text(text)
    return folder


def test_an_import_that_envoy_lacks_is_named_before_the_run_and_nacked_in_it(
    scenario: Callable[[bytes], Path], ecdsim: Run
) -> None:
    folder = scenario(plugin(abis=[ABI_HIGRESS], imports=[("env", "proxy_redis_init")]))
    ended = ecdsim("run", folder, "-o", "json")
    assert ended.status == 0, ended.stderr
    warning, rest = ended.stderr.split("\n", 1)
    assert warning.startswith("warning: registry.local/plugins/mine:1.0.0")
    assert "it imports env.proxy_redis_init, which the host does not have" in warning
    assert "warning:" not in rest
    # The shim mended the ABI, and the refusal is Envoy's own.
    events = read_trace(Path(ended.result["directory"]))
    assert any(event.event == "agent.shim" for event in events)
    log = (Path(ended.result["directory"]) / "envoy.log").read_text(encoding="utf-8")
    assert "due to a missing import: env.proxy_redis_init" in log


def test_a_stock_module_is_not_warned_of(scenario: Callable[[bytes], Path], ecdsim: Run) -> None:
    ended = ecdsim("run", taken(scenario(plugin())), "-o", "json")
    assert ended.status == 0, ended.stderr
    assert "warning:" not in ended.stderr


@pytest.mark.parametrize("shim", ["auto", "off"])
def test_the_abi_alone_decides_where_the_shim_is_switched(
    shim: str, scenario: Callable[[bytes], Path], ecdsim: Run
) -> None:
    folder = scenario(plugin(abis=[ABI_HIGRESS]))
    if shim == "auto":
        taken(folder)
    profile = "istio-1.27" if shim == "auto" else "higress"
    ended = ecdsim("run", folder, "--profile", profile, "--abi-shim", shim, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert ("0.2.100 is unknown; --abi-shim auto renames it" in ended.stderr) == (shim == "off")

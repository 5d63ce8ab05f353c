"""The example in Go, from its source to a real Envoy that answers by it: build, inspect, push, pull, roll out.

Go's own caches are used as they are (`go env GOCACHE GOMODCACHE`), so only the first build on a machine takes long.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.envoy import find_envoy
from sim.trace import read_payload, read_trace
from sim.wasm.host_calls import FULL_WASI_SINCE, release
from tests.e2e.conftest import ROOT, Ended

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Run = Callable[..., Ended]

EXAMPLE = ROOT / "examples" / "go-plugin"
#: What Go says when a module can't be had, as against one that is not what go.sum says.
_UNREACHABLE = (
    "dial tcp",
    "no such host",
    "proxyconnect",
    "i/o timeout",
    "Forbidden",
    "404 Not Found",
    "TLS handshake",
)


def not_tried(why: str) -> None:
    """In CI Go is there, so that is a failure; elsewhere it is said loudly."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(f"THE GO EXAMPLE IS NOT TRIED: {why}")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its module built, by `ecdsim plugin build`."""
    if shutil.which("go") is None:
        not_tried("there is no Go; install Go 1.24 or newer")
    version = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True).stdout
    number = version.rpartition("version: ")[2].split("/")[1]
    if release(number) < FULL_WASI_SINCE:
        not_tried(f"Envoy {number} lacks what Go wants of WASI")
    folder = tmp_path_factory.mktemp("go") / "plugin"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.wasm"))
    built = subprocess.run(
        [sys.executable, "-m", "sim", "plugin", "build", str(folder), "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0 and any(text in built.stderr for text in _UNREACHABLE):
        not_tried(f"the module proxy can't be reached:\n{built.stderr}")
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    assert (told["language"], told["abi"]) == ("Go", ["0.2.100"])
    assert told["loads_on"]["stock_envoy"] == "with shim"
    return folder


def test_go_sum_locks_every_module_that_the_build_uses(example: Path) -> None:
    assert (example / "go.sum").read_bytes() == (EXAMPLE / "go.sum").read_bytes()
    assert (example / "go.mod").read_bytes() == (EXAMPLE / "go.mod").read_bytes()


def test_inspect_knows_language_sdk_and_why_it_needs_the_shim(example: Path, ecdsim: Run) -> None:
    ended = ecdsim("plugin", "inspect", example / "main.wasm", "-o", "json")
    assert ended.status == 0
    module = ended.result["module"]
    assert module["language"] == "Go"
    assert any(sdk.startswith("github.com/higress-group/wasm-go v") for sdk in module["sdk"])
    assert module["loads_on"]["since"] == "1.39"
    assert module["missing_host_calls"] == []


def test_it_answers_as_its_configuration_says(example: Path, ecdsim: Run) -> None:
    ended = ecdsim(
        *("plugin", "test", example / "main.wasm", "-c", example / "config.yaml", "-o", "json"),
        *("-r", "GET /orders/1", "-r", "GET /", "-r", "GET http://www.example.com/"),
    )
    assert ended.status == 0, ended.stderr
    orders, root, host = ended.result["answers"]
    assert (orders["status"], orders["body"]) == (503, "back at noon\n")
    assert ["Retry-After", "600"] in orders["headers"]
    assert any("/orders/1 is under maintenance" in entry["text"] for entry in orders["log"])
    assert (root["status"], host["status"]) == (200, 503)
    assert ["x-maintenance", "watching"] in root["headers"]


@pytest.fixture(scope="module")
def rolled_out(example: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of the example's scenario: through registry, Core, Discovery and agent."""
    runs = tmp_path_factory.mktemp("runs")
    finished = subprocess.run(
        [sys.executable, "-m", "sim", "run", str(example), "-q", "-o", "json", "--runs-dir", str(runs)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    decoded: dict[str, Any] = json.loads(finished.stdout)
    return decoded


def test_it_is_rolled_out_through_the_whole_pipeline_and_no_request_fails(rolled_out: dict[str, Any]) -> None:
    assert rolled_out["outcome"] == "passed"
    assert rolled_out["rollouts"][0]["acked"] is True
    assert rolled_out["traffic"]["users"]["failed"] == 0


def test_the_trace_tells_of_the_shim_and_envoy_is_told_to_let_it_wait(rolled_out: dict[str, Any]) -> None:
    directory = Path(rolled_out["directory"])
    events = read_trace(directory)
    (shim,) = [event for event in events if event.event == "agent.shim"]
    assert (shim.data["abi"], shim.data["shim_abi"]) == ("0.2.100", "0.2.1")
    rewrite = next(event for event in events if event.event == "agent.rewrite" and event.span == "completed")
    before, after = (read_payload(directory, rewrite.data["payloads"][role]) for role in ("before", "after"))
    assert "allow_on_headers_stop_iteration" not in before["typed_config"]["config"]
    assert after["typed_config"]["config"]["allow_on_headers_stop_iteration"] is True


def test_without_the_shim_stock_envoy_refuses_it_and_the_run_says_so_beforehand(example: Path, ecdsim: Run) -> None:
    ended = ecdsim("run", example, "-o", "json", "--abi-shim", "off")
    assert ended.status == 1
    assert "0.2.100 is unknown" in ended.stderr
    assert ended.result["rollouts"][0]["nacked"] is True
    assert "503" not in ended.result["error"]["message"]

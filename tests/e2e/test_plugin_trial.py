"""`ecdsim plugin test`: one plugin in one real Envoy, as its author tries it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.wasm import bundled, stamp
from tests.broken_modules import BROKEN, ODD, SOUND
from tests.e2e.conftest import ROOT, Ended
from tests.e2e.test_command_line import processes_of
from tests.wasm_modules import (
    ABI_HIGRESS,
    CODE,
    FUNC,
    FUNCTION,
    HEADER,
    MEMORY,
    MEMORY_KIND,
    TYPE,
    export_section,
    plugin,
    section,
)

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

RULES = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: request-block, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/request-block:1.0.0
  defaultConfig: {block_urls: [global]}
  matchRules:
  - {domain: ["*.example.com"], config: {block_urls: [domain]}}
  - {ingress: [shop/orders], config: {block_urls: [route]}}
"""


@pytest.fixture
def request_block(tmp_path: Path) -> Path:
    path = tmp_path / "request-block.wasm"
    path.write_bytes(stamp(bundled("request-block").module, "1.2.3"))
    return path


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_answers_come_with_headers_body_and_what_arrived_upstream(
    ecdsim: Run, request_block: Path, written: Callable[..., Path]
) -> None:
    config = written("c.yaml", "block_urls: [swagger]\nblocked_message: no\nblock_uris: [x]\n".replace("no", "'no'"))
    ended = ecdsim(
        *("plugin", "test", request_block, "-c", config, "-o", "json", "-H", "x-mine: 1", "-d", "hello"),
        *("-r", "GET /swagger.html", "-r", "POST /other?a=1"),
    )
    assert ended.status == 0, ended.stderr
    result = ended.result
    assert result["shim"] is False
    assert any("block_uris" in entry["text"] and entry["level"] == "warning" for entry in result["start_log"])
    blocked, passed = result["answers"]
    assert (blocked["status"], blocked["body"], blocked["request"]) == (403, "no", "GET /swagger.html")
    assert ["x-request-block-version", "1.2.3"] in passed["headers"]
    arrived = json.loads(passed["body"])
    assert (arrived["method"], arrived["path"], arrived["body"]) == ("POST", "/other?a=1", "hello")
    assert arrived["headers"]["x-mine"] == "1"


def test_rules_of_a_wasm_plugin_choose_by_host_and_by_route(
    ecdsim: Run, request_block: Path, written: Callable[..., Path]
) -> None:
    asked = ["GET /global", "GET http://www.example.com/global", "GET http://www.example.com/domain", "GET /route"]
    requests = [word for request in asked for word in ("-r", request)]
    file = written("wasmplugin.yaml", RULES)
    plain = ecdsim("plugin", "test", request_block, "-c", file, *requests, "-o", "json")
    assert [answer["status"] for answer in plain.result["answers"]] == [403, 200, 403, 200]
    routed = ecdsim("plugin", "test", request_block, "-c", file, *requests, "-o", "json", "--route", "shop/orders")
    assert [answer["status"] for answer in routed.result["answers"]] == [200, 200, 403, 403]


def test_a_status_that_is_not_the_expected_one_is_1(
    ecdsim: Run, request_block: Path, written: Callable[..., Path]
) -> None:
    config = written("c.json", '{"block_urls": ["x"]}')
    ended = ecdsim(
        *("plugin", "test", request_block, "-c", config, "-r", "/x", "-r", "/y"),
        *("--expect-status", "200", "--expect-status", "200"),
    )
    assert ended.status == 1
    assert "GET /x → 403 Forbidden" in ended.stdout and "✗ expected 200" in ended.stdout
    assert ended.stdout.count("✗") == 1


def test_a_configuration_that_the_plugin_refuses_is_1_in_the_plugins_words(
    ecdsim: Run, request_block: Path, written: Callable[..., Path]
) -> None:
    ended = ecdsim("plugin", "test", request_block, "-c", written("c.yaml", "block_urls: 1\n"))
    assert (ended.status, ended.stdout) == (1, "")
    assert "block_urls has to be a list of strings" in ended.stderr
    bare = ecdsim("plugin", "test", request_block)
    assert bare.status == 1
    assert "--config" in bare.stderr


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (plugin(imports=[("env", "proxy_log"), ("env", "proxy_redis_init")]), "import type mismatch: env.proxy_log"),
        (plugin(imports=[("env", "proxy_redis_init")]), "missing import: env.proxy_redis_init"),
        (plugin(abis=[]), "Missing or unknown Proxy-Wasm ABI version"),
        (plugin(allocator=None), "missing malloc"),
    ],
)
def test_a_module_that_envoy_refuses_is_1_in_envoys_words(
    module: bytes, told: str, ecdsim: Run, written: Callable[..., Path]
) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", module))
    assert (ended.status, ended.stdout) == (1, "")
    assert told in ended.stderr


@pytest.mark.parametrize("module", [row[1] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_envoy_refuses_what_inspect_calls_broken(module: bytes, ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", module))
    assert (ended.status, ended.stdout) == (1, "")


@pytest.mark.parametrize("module", [SOUND, *(row[1] for row in ODD)], ids=["sound", *(row[0] for row in ODD)])
def test_envoy_takes_what_inspect_has_nothing_against(module: bytes, ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", module), "--expect-status", "200")
    assert ended.status == 0, ended.stderr


def test_a_vm_that_crashes_is_1_and_told(ecdsim: Run) -> None:
    ended = ecdsim("plugin", "test", "trap", "-r", "/trap", "-r", "/ok", "-o", "json")
    assert ended.status == 1
    assert "VM crashed in proxy_on_request_headers: Uncaught RuntimeError: unreachable" in ended.stderr
    assert ended.result["crash"].startswith("in proxy_on_request_headers")
    assert ecdsim("plugin", "test", "trap", "-r", "/ok").status == 0


#: Its start function is a loop without an end: (loop br 0 end) end.
NEVER_STARTS = (
    HEADER
    + section(TYPE, b"\x02\x60\0\0\x60\x01\x7f\x01\x7f")
    + section(FUNCTION, b"\x02\x00\x01")
    + section(MEMORY, b"\x01\x00\x01")
    + export_section([("proxy_abi_version_0_2_1", 0, 0), ("malloc", 0, 1), ("memory", 2, 0)])
    + section(8, b"\x00")
    + section(CODE, b"\x02\x07\x00\x03\x40\x0c\x00\x0b\x0b\x04\x00\x41\x01\x0b")
)


def test_a_start_without_an_end_is_1_and_says_how_long_it_was_waited_for(
    ecdsim: Run, written: Callable[..., Path]
) -> None:
    module = written("main.wasm", NEVER_STARTS)
    ended = ecdsim("plugin", "test", module, "--start-timeout", "1s", "--timeout", "500ms")
    assert (ended.status, ended.stdout) == (1, "")
    assert "the plugin was not up within 1 s" in ended.stderr and "--start-timeout" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_module_that_kills_envoy_is_1_with_the_signal(ecdsim: Run, written: Callable[..., Path]) -> None:
    more = [(f"{number}", FUNC, 0) for number in range(200_000)]
    exports = [("proxy_abi_version_0_2_1", FUNC, 0), ("malloc", FUNC, 1), ("memory", MEMORY_KIND, 0), *more]
    module = (
        HEADER
        + section(TYPE, b"\x02\x60\0\0\x60\x01\x7f\x01\x7f")
        + section(FUNCTION, b"\x02\x00\x01")
        + section(MEMORY, b"\x01\x00\x01")
        + export_section(exports)
        + section(CODE, b"\x02\x02\x00\x0b\x04\x00\x41\x01\x0b")
    )
    ended = ecdsim("plugin", "test", written("main.wasm", module))
    assert (ended.status, ended.stdout) == (1, "")
    assert "it killed Envoy, by SIG" in ended.stderr and "the end of Envoy's log" in ended.stderr


@pytest.mark.parametrize("option", ["--route", "--cluster"])
def test_an_empty_name_is_refused(option: str, ecdsim: Run) -> None:
    ended = ecdsim("plugin", "test", "request-block", option, "")
    assert (ended.status, f"{option} is empty" in ended.stderr) == (2, True)


def test_what_is_no_configuration_is_refused(ecdsim: Run, written: Callable[..., Path]) -> None:
    other = written("cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    ended = ecdsim("plugin", "test", "request-block", "-c", other)
    assert (ended.status, "it is a ConfigMap" in ended.stderr) == (2, True)
    missing = ecdsim("plugin", "test", "request-block", "-c", "nope.yaml")
    assert missing.status == 2
    assert "--config" in missing.stderr and "build" not in missing.stderr


def test_without_the_shim_envoy_refuses_higress_abi(ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", plugin(abis=[ABI_HIGRESS])), "--abi-shim", "off")
    assert ended.status == 1
    assert "unknown Proxy-Wasm ABI version" in ended.stderr and "the shim is applied" not in ended.stderr
    assert "--config" not in ended.stderr


def test_the_shim_is_applied_where_it_is_needed_and_told(ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", plugin(abis=[ABI_HIGRESS])), "--expect-status", "200")
    assert ended.status == 0, ended.stderr
    assert "the shim is applied" in ended.stderr
    assert "under the ABI shim" in ended.stdout


WAITS_FOR_EVER = plugin(callbacks=["proxy_on_vm_start", "proxy_on_configure", "proxy_on_request_headers"])


def test_a_request_without_an_answer_is_1_and_says_how_long_it_was_waited_for(
    ecdsim: Run, written: Callable[..., Path]
) -> None:
    ended = ecdsim("plugin", "test", written("main.wasm", WAITS_FOR_EVER), "--timeout", "300ms", "-r", "/a", "-r", "/b")
    assert ended.status == 1
    assert "GET /a → no answer within 0.3 s" in ended.stdout and "GET /b → no answer" in ended.stdout


def test_an_interrupted_trial_leaves_nothing_behind(tmp_path: Path, written: Callable[..., Path]) -> None:
    module = written("main.wasm", WAITS_FOR_EVER)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "plugin", "test", str(module), "--timeout", "60s"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not processes_of(scratch, "envoy"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert processes_of(scratch) == []
    assert list(scratch.iterdir()) == []


def test_no_envoy_is_3(ecdsim: Run, request_block: Path) -> None:
    ended = ecdsim("plugin", "test", request_block, env={"ENVOY": "/nonexistent/envoy"})
    assert ended.status == 3
    assert "/nonexistent/envoy" in ended.stderr

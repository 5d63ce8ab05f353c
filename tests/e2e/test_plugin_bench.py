"""`ecdsim plugin bench`: a plugin's cost is measured with a real Envoy. How much it is depends on the machine alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.wasm import bundled
from tests.e2e.conftest import ROOT, Ended
from tests.e2e.test_command_line import processes_of
from tests.wasm_modules import ABI_HIGRESS, plugin

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

QUICK = ("--loads", "1", "--duration", "800ms", "--rounds", "4", "--rate", "200/s", "--connections", "2")
WAITS_FOR_EVER = plugin(callbacks=["proxy_on_vm_start", "proxy_on_configure", "proxy_on_request_headers"])


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_a_bundled_plugin_is_measured_on_each_envoy_both_ways(ecdsim: Run) -> None:
    ended = ecdsim("plugin", "bench", "header-loop", *QUICK, "--loads", "2", "--workers", "3", "-o", "json")
    assert ended.status == 0, ended.stderr
    result = ended.result
    for way in ("with", "without"):
        assert result["requests"][way]["requests"] > 50
        assert set(result["requests"][way]["by_status"]) == {"200"}
    assert result["rounds"]["ms"] == 100
    for load in result["loads"]:
        # The one that the others are copied from, the main thread's, and one a worker.
        assert load["vms"] == 5
        assert [worker["worker"] for worker in load["workers"]] == [0, 1, 2]
        assert 0 < load["compile_ms"] < load["ready_ms"]
        assert load["resident_bytes"]["loaded"] > load["resident_bytes"]["before"] > 0
    assert "Envoy 2 of 2" in ended.stderr


def test_the_plugin_is_on_the_one_way_and_not_on_the_other(ecdsim: Run, written: Callable[..., Path]) -> None:
    config = written("c.yaml", "block_urls: [swagger]\n")
    ended = ecdsim("plugin", "bench", "request-block", "-c", config, "-r", "GET /swagger", *QUICK, "-q")
    assert ended.status == 0, ended.stderr
    (answers,) = [line.split() for line in ended.stdout.splitlines() if line.startswith("answers")]
    assert answers[1] == "200" and answers[3] == "403"
    assert "spares the way to the upstream" in ended.stderr
    worker = [line for line in ended.stdout.splitlines() if "a worker, to start its VM" in line]
    assert len(worker) == 1


def test_a_configuration_that_the_plugin_refuses_is_1_in_its_words(ecdsim: Run) -> None:
    ended = ecdsim("plugin", "bench", "request-block", *QUICK)
    assert (ended.status, ended.stdout) == (1, "")
    assert "block_urls or block_headers has to name something" in ended.stderr
    assert "--config" in ended.stderr


def test_the_shim_is_applied_where_it_is_needed_unless_told_otherwise(
    ecdsim: Run, written: Callable[..., Path]
) -> None:
    module = written("main.wasm", plugin(abis=[ABI_HIGRESS]))
    ended = ecdsim("plugin", "bench", module, *QUICK, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert ended.result["shim"] is True
    assert "the shim is applied" in ended.stderr
    bare = ecdsim("plugin", "bench", module, *QUICK, "--abi-shim", "off")
    assert bare.status == 1
    assert "Missing or unknown Proxy-Wasm ABI version" in bare.stderr
    assert "--config" not in bare.stderr


def test_a_plugin_that_crashes_while_it_is_measured_is_1(ecdsim: Run) -> None:
    ended = ecdsim("plugin", "bench", "trap", "-r", "/trap", *QUICK)
    assert ended.status == 1
    assert "proxy_on_request_headers failed" in ended.stderr
    assert "503" in ended.stdout


def test_a_plugin_that_answers_nothing_is_1(ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "bench", written("main.wasm", WAITS_FOR_EVER), *QUICK)
    assert (ended.status, ended.stdout) == (1, "")
    assert "no request was answered" in ended.stderr


def test_what_is_no_module_is_1_and_what_is_not_there_2(ecdsim: Run, written: Callable[..., Path]) -> None:
    assert ecdsim("plugin", "bench", written("main.wasm", b"#!/bin/sh"), *QUICK).status == 1
    missing = ecdsim("plugin", "bench", "headerloop", *QUICK)
    assert missing.status == 2
    assert "header-loop" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rounds", "400"), "too short"),
        (("--rate", "0"), "no traffic at all"),
        (("--rate", "ten"), "not a rate"),
        (("-r", "nonsense here now"), "no request"),
        (("-H", "a: 1", "-H", "A: 2"), "twice"),
        (("--loads", "0"), "--loads"),
    ],
)
def test_what_can_not_be_meant_is_2(arguments: tuple[str, ...], told: str, ecdsim: Run) -> None:
    ended = ecdsim("plugin", "bench", "marker", *QUICK, *arguments)
    assert (ended.status, ended.stdout) == (2, "")
    assert told in ended.stderr


def test_no_envoy_is_3(ecdsim: Run) -> None:
    assert ecdsim("plugin", "bench", "marker", *QUICK, env={"ENVOY": "/nonexistent/envoy"}).status == 3


def test_two_at_once_do_not_meet_and_an_interrupt_leaves_nothing(tmp_path: Path, written: Callable[..., Path]) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    started = []
    for folder, more in zip(folders, ((), ("--loads", "90")), strict=True):
        folder.mkdir()
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "sim", "plugin", "bench", "marker", *QUICK, *more],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    ended, interrupted = started
    assert interrupted.stderr is not None
    while b"of traffic" not in interrupted.stderr.readline():
        assert interrupted.poll() is None
    assert processes_of(folders[1], "envoy")
    interrupted.send_signal(signal.SIGINT)
    for process in started:
        process.communicate(timeout=60)
    assert (ended.returncode, interrupted.returncode) == (0, 130)
    for folder in folders:
        assert processes_of(folder) == []
        assert list(folder.iterdir()) == []


def test_a_module_given_as_a_file_is_measured_too(ecdsim: Run, written: Callable[..., Path]) -> None:
    ended = ecdsim("plugin", "bench", written("mine.wasm", bundled("marker").module), *QUICK, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert ended.result["name"].endswith("mine.wasm")

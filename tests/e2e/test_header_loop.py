"""The loop that languages are measured by: in each of them it does the same, twenty times."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sim.envoy import find_envoy, probe_envoy
from sim.plugin.bench_envoy import Candidate, bench_envoy
from sim.plugin.configuration import Configuration
from sim.wasm import bundled
from sim.wasm.abi import shimmed
from sim.wasm.host_calls import FULL_WASI_SINCE, release
from tests.e2e.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EXAMPLES = ROOT / "examples" / "header-loop"
#: The map of the request's headers, as the host is asked for it.
_REQUEST = "[vm->host] env.proxy_{}_header_map_value(0,"


async def host_calls(module: bytes, folder: Path) -> tuple[Counter[str], str]:
    """What the module asks the host of one request's headers, and the response's head."""
    binary = await probe_envoy(find_envoy())
    if module is not shimmed(module) and release(binary.version) < FULL_WASI_SINCE:
        pytest.skip(f"GO'S LOOP IS NOT TRIED: Envoy {binary.version} lacks what Go wants of WASI")
    async with bench_envoy(binary, folder, workers=1) as envoy:
        ready = shimmed(module)
        await envoy.load(Candidate(ready, Configuration(), shim=ready is not module), "trace")
        await envoy.take("with")
        reader, writer = await asyncio.open_connection("127.0.0.1", envoy.port)
        try:
            head = ""
            while "x-header-loop-version" not in head:
                before = len(envoy.log())
                writer.write(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        finally:
            writer.close()
            await writer.wait_closed()
        await envoy.log_at("trace")
        said = [entry.text for entry in envoy.log()[before:]]
        assert not [text for text in said if "the header" in text or "the loop" in text]
        return Counter(
            call for call in ("replace", "get", "remove") for text in said if text.startswith(_REQUEST.format(call))
        ), head


def built(language: str, tmp_path: Path) -> Path:
    """The example's module, by `ecdsim plugin build`; skipped where its toolchain or its packages can't be had."""
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder)
    command = [sys.executable, "-m", "sim", "plugin", "build", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        assert finished.returncode == 3 or language != "c", finished.stderr
        pytest.skip(f"THE LOOP IN {language.upper()} IS NOT TRIED: {finished.stderr}")
    return folder / "main.wasm"


async def test_the_bundled_loop_sets_reads_and_removes_a_header_twenty_times(tmp_path: Path) -> None:
    calls, head = await host_calls(bundled("header-loop").module, tmp_path)
    assert calls == {"replace": 20, "get": 20, "remove": 20}
    assert "x-header-loop-version: unstamped" in head


@pytest.mark.parametrize("language", ["c", "rust", "go"])
async def test_the_loop_in_other_languages_does_the_same(language: str, tmp_path: Path) -> None:
    module = built(language, tmp_path).read_bytes()
    (tmp_path / "envoy").mkdir()
    calls, head = await host_calls(module, tmp_path / "envoy")
    # Higress' SDK reads headers of its own accord, too.
    assert (calls["replace"], calls["remove"]) == (20, 20)
    assert calls["get"] >= 20 if language == "go" else calls["get"] == 20
    assert f"x-header-loop-version: {language}" in head

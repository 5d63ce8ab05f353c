"""Each part as a process of its own: its ready line, its end, and what it says when it can't start."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from sim.model import CDS, LDS
from sim.oci import build_image, push
from sim.xds import Variant, channel, open_stream
from tests.part_process import PartProcess, part_process
from tests.wire.agent_rig import request

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec: {url: "oci://registry.local/plugins/block:TAG"}
"""
MODULE = b"\0asm\1\0\0\0"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@asynccontextmanager
async def core(manifests: Path, *more: str, listen: str = "127.0.0.1:0") -> AsyncIterator[tuple[PartProcess, str]]:
    (manifests / "block.yaml").write_text(PLUGIN.replace("TAG", "1"))
    async with part_process("core", "--listen", listen, "--manifests", manifests, *more) as part:
        ready = await part.ready()
        assert ready == {"part": "core", "ready": True, "listen": ready["listen"]}
        yield part, ready["listen"]


@asynccontextmanager
async def discovery(mcp: str, *more: str) -> AsyncIterator[tuple[PartProcess, str]]:
    async with part_process("discovery", "--mcp", mcp, "--listen", "127.0.0.1:0", *more) as part:
        ready = await part.ready()
        assert ready == {"part": "discovery", "ready": True, "listen": ready["listen"]}
        yield part, ready["listen"]


@asynccontextmanager
async def stream(address: str) -> AsyncIterator[object]:
    """An open ADS stream that has been answered once."""
    async with channel(address) as connection:
        call = open_stream(connection, Variant.SOTW)
        await call.write(request(Variant.SOTW, CDS))
        await call.read()
        try:
            yield call
        finally:
            call.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_registry_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    async with part_process("registry", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "new" / "data") as part:
        ready = await part.ready()
        address = ready["listen"]
        assert ready == {"part": "registry", "ready": True, "listen": address}
        await push(build_image(MODULE), "registry.local/plugins/block:1", address)
        # A connection in the middle of a request must not keep it.
        _, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(b"POST /v2/plugins/block/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/v2/_catalog") as answer:
                assert await answer.json() == {"repositories": ["plugins/block"]}
            assert await part.stop(number) == (0, "")
        writer.close()
        assert "event=registry.request" in "\n".join(part.log)
    async with part_process("registry", "--listen", address, "--data-dir", tmp_path / "new" / "data") as again:
        await again.ready()
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/v2/_catalog") as answer:
            assert await answer.json() == {"repositories": ["plugins/block"]}


async def test_core_and_discovery_stop_with_streams_open(tmp_path: Path) -> None:
    async with (
        core(tmp_path) as (core_part, mcp),
        discovery(mcp) as (discovery_part, address),
        stream(address),
        stream(mcp),
    ):
        assert await discovery_part.stop() == (0, "")
        assert await core_part.stop(signal.SIGINT) == (0, "")
        for part in (core_part, discovery_part):
            assert not [line for line in part.log if "Traceback" in line]


async def test_the_agent_stops_with_streams_open_and_takes_its_socket_away(folder: Path) -> None:
    manifests = folder / "manifests"
    manifests.mkdir()
    listen = f"unix:{folder}/xds.sock"
    async with (
        core(manifests) as (_, mcp),
        discovery(mcp) as (_, address),
        part_process(
            *("agent", "--discovery", address, "--listen", listen, "--data-dir", folder / "modules"),
            *("--status-listen", "127.0.0.1:0", "--bootstrap", folder / "envoy.json"),
            *("--node-id", "router~127.0.0.1~me.team~team.svc.cluster.local", "--labels", "app=gateway"),
        ) as part,
    ):
        ready = await part.ready()
        assert ready == {
            "part": "agent",
            "ready": True,
            "listen": listen,
            "status": ready["status"],
            "bootstrap": f"{folder}/envoy.json",
        }
        bootstrap = json.loads((folder / "envoy.json").read_text())
        assert bootstrap["node"]["id"] == "router~127.0.0.1~me.team~team.svc.cluster.local"
        assert bootstrap["node"]["metadata"]["LABELS"] == {"app": "gateway"}
        assert f"{folder}/xds.sock" in json.dumps(bootstrap["static_resources"]["clusters"])
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{ready['status']}/healthz/ready") as answer:
                assert answer.status == 503
            async with stream(listen):
                assert await part.stop() == (0, "")
        assert not (folder / "xds.sock").exists()
        assert not [line for line in part.log if "Traceback" in line]


async def test_discovery_waits_for_its_mcp_server_and_says_so(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        mcp = f"127.0.0.1:{held.getsockname()[1]}"
    async with part_process("discovery", "--mcp", mcp, "--listen", "127.0.0.1:0") as part:
        await part.said(f"waiting for the MCP server at {mcp}")
        async with core(tmp_path, listen=mcp):
            assert (await part.ready())["ready"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_discovery_can_be_stopped_while_it_waits(number: signal.Signals) -> None:
    async with part_process("discovery", "--mcp", "127.0.0.1:1", "--listen", "127.0.0.1:0") as part:
        await part.said("waiting for the MCP server")
        assert await part.stop(number) == (0, "")


async def test_a_watching_core_passes_on_what_is_saved_and_tells_what_it_can_not_read(tmp_path: Path) -> None:
    async with core(tmp_path, "--watch") as (part, mcp), discovery(mcp) as (reader, _):
        (tmp_path / "block.yaml").write_text(PLUGIN.replace("TAG", "2"))
        await part.said("event=core.apply", "block:2")
        await reader.said("event=discovery.received", "resource=higress-system/block", "version_info=3")
        (tmp_path / "block.yaml").write_text("spec: [")
        told = await part.said("block.yaml:1")
        assert "not valid YAML" in told
        (tmp_path / "other.yaml").write_text(PLUGIN.replace("TAG", "1").replace("name: block", "name: other"))
        await part.said("event=core.apply", "higress-system/other")
        (tmp_path / "block.yaml").unlink()
        await part.said("event=core.apply", "higress-system/block", "change=deleted")
        await reader.said("event=discovery.received", "higress-system/block", "version_info=5")


async def test_the_agent_clears_away_the_socket_of_a_killed_one(folder: Path) -> None:
    words = ("agent", "--discovery", "127.0.0.1:1", "--listen", f"unix:{folder}/xds.sock", "--data-dir", folder / "m")
    async with part_process(*words) as first:
        await first.ready()
        async with part_process(*words) as second:
            assert await second.ended() == (3, "")
            assert "another process listens there" in "\n".join(second.log)
        first.kill()
        await first.ended()
    assert (folder / "xds.sock").exists()
    async with part_process(*words) as third:
        await third.ready()
        assert await third.stop() == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("registry", "--listen", "ADDRESS", "--data-dir", "FOLDER/data"),
        ("core", "--listen", "ADDRESS", "--manifests", "FOLDER", "--watch"),
        ("discovery", "--listen", "ADDRESS", "--mcp", "127.0.0.1:1"),
        ("agent", "--listen", "ADDRESS", "--discovery", "127.0.0.1:1", "--data-dir", "FOLDER/data"),
        (
            *("agent", "--listen", "127.0.0.1:0", "--discovery", "127.0.0.1:1", "--data-dir", "FOLDER/data"),
            *("--status-listen", "ADDRESS"),
        ),
    ],
    ids=lambda words: f"{words[0]}{'-status' if len(words) > 7 else ''}",
)
async def test_a_taken_port_ends_with_3_and_what_to_do(tmp_path: Path, words: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = [word.replace("ADDRESS", address).replace("FOLDER", str(tmp_path)) for word in words]
        async with part_process(*said) as part:
            assert await asyncio.wait_for(part.ended(), 20) == (3, "")
    log = "\n".join(part.log)
    assert f"can't listen on {address}" in log and "hint:" in log
    assert "Traceback" not in log


async def test_a_discovery_that_loses_its_core_keeps_serving(tmp_path: Path) -> None:
    async with core(tmp_path) as (core_part, mcp), discovery(mcp) as (part, address):
        await core_part.stop()
        await part.said("event=discovery.mcp_disconnected")
        async with channel(address) as connection:
            call = open_stream(connection, Variant.SOTW)
            await call.write(request(Variant.SOTW, LDS))
            assert await call.read() is not grpc.aio.EOF
            call.cancel()

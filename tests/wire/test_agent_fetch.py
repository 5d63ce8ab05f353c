"""How the agent's fetcher is set up: how often and how long it asks a file server, and what its failures are called."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sim.agent import FetchOptions, ModuleCache, ModuleError, ModuleRequest
from sim.agent.fetch import module_fetcher
from sim.errors import SimError
from sim.oci import Registry, build_image, compressed, push, tar_archive
from tests.unit.agent.resources import MODULE
from tests.unit.agent.test_agent_cache import Progress


@dataclass
class FileServer:
    """Answers as a test says. With `hangs` the answer, or its second half, does not come before `released` is set."""

    address: str = ""
    status: int = 200
    content: bytes = MODULE
    hangs: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.hangs == "before":
            await self.released.wait()
        if self.hangs != "within":
            return web.Response(status=self.status, body=self.content)
        begun = web.StreamResponse()
        begun.content_length = 100
        await begun.prepare(request)
        await begun.write(b"\0asm")
        await self.released.wait()
        return begun


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    made = FileServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.released.set()
    await runner.cleanup()


async def fetched(url: str, **options: Any) -> str:
    async with module_fetcher(FetchOptions(http_pauses_s=lambda: repeat(0.0), oci_pauses_s=(), **options)) as fetcher:
        prepared = await fetcher.prepare(url, None)
        await prepared.fetch(lambda _: None)
        return prepared.checksum


async def test_a_file_server_is_asked_five_times_unless_told_otherwise(server: FileServer) -> None:
    server.status = 503
    for options, tries in (({}, 5), ({"max_retries": 2}, 2), ({"max_retries": 0}, 0)):
        server.requests = 0
        with pytest.raises(ModuleError) as refused:
            await fetched(f"http://{server.address}/x", **options)
        assert refused.value.result == "download_failure"
        assert server.requests == tries


async def test_an_answer_that_does_not_come_is_asked_for_again(server: FileServer) -> None:
    server.hangs = "before"
    with pytest.raises(ModuleError, match=r"more than 0\.02 s"):
        await fetched(f"http://{server.address}/x", timeout_s=0.02, max_retries=3)
    assert server.requests == 3


async def test_an_answer_that_stops_coming_is_not(server: FileServer) -> None:
    server.hangs = "within"
    with pytest.raises(ModuleError, match=r"more than 0\.2 s"):
        await fetched(f"http://{server.address}/x", timeout_s=0.2, max_retries=3)
    assert server.requests == 1


async def test_a_file_that_is_no_module_has_a_name_of_its_own(server: FileServer) -> None:
    server.content = b"text"
    with pytest.raises(ModuleError, match="not a Wasm module") as refused:
        await fetched(f"http://{server.address}/x")
    assert refused.value.result == "fetch_failure"


@pytest.mark.parametrize(
    "boxed",
    [MODULE, compressed(MODULE), tar_archive({"any.wasm": MODULE}), compressed(tar_archive({"any.wasm": MODULE}))],
    ids=["plain", "gzip", "tar", "tar.gz"],
)
async def test_the_checksum_of_a_file_is_that_of_the_module_in_it(server: FileServer, boxed: bytes) -> None:
    # Captured: pilot-agent 1.27 and 1.19 take the sha256 of the module in the spec, and refuse that of its archive.
    server.content = boxed
    assert await fetched(f"http://{server.address}/x") == hashlib.sha256(MODULE).hexdigest()


async def test_a_registry_that_is_not_allowed_is_not_asked() -> None:
    with pytest.raises(SimError, match="may not be reached"):
        await fetched("oci://registry.example.com/team/plugin:1", allowed_registries=frozenset())


async def test_an_image_without_a_module_is_a_failed_download(tmp_path: Path) -> None:
    async with Registry(tmp_path / "registry") as registry:
        image = build_image(MODULE, "docker", member="main.wasm")
        await push(image, "team/plugin:1", registry.address)
        async with module_fetcher(FetchOptions(mirrors={"registry.example.com": registry.address})) as fetcher:
            cache = ModuleCache(tmp_path / "data", fetcher)
            await push(build_image(b"text, no module"), "team/plugin:3", registry.address)
            wanted = {"1": "download_failure", "2": "manifest_failure", "3": "fetch_failure"}
            for tag, result in wanted.items():
                with pytest.raises(ModuleError) as refused:
                    await cache.get(ModuleRequest(f"oci://registry.example.com/team/plugin:{tag}"), Progress())
                assert refused.value.result == result
    assert cache.metrics.fetches == {"download_failure": 1, "manifest_failure": 1, "fetch_failure": 1}

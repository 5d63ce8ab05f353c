"""Modules from an HTTP server, fetched as the agent does."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Any

import pytest
from aiohttp import web

from sim.oci import (
    FetchError,
    HttpFetcher,
    compressed,
    growing_pauses_s,
    reset_connection,
    tar_archive,
)
from sim.oci.registry.faults import ConnectionEndedError
from tests.golden_files import golden

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
LARGE = MODULE + bytes(index * index % 253 for index in range(2_000_000))

FILES = {
    "/plugin.wasm": MODULE,
    "/plugin.wasm.gz": compressed(MODULE),
    "/plugin.tar": tar_archive({"whatever.wasm": MODULE}),
    "/plugin.tar.gz": compressed(tar_archive({"whatever.wasm": MODULE})),
    "/large.wasm": LARGE,
    "/large.tar.gz": compressed(tar_archive({"x": LARGE})),
    "/bad.wasm": b"this is text",
    "/short.wasm": MODULE[:7],
    "/bad.tar.gz": compressed(tar_archive({"readme": b"text", "plugin.wasm": MODULE})),
    "/bomb.gz": compressed(bytes(8_000_000)),
}


@dataclass
class FileServer:
    """Serves FILES, after as many failures as a test asks for; keeps path and status of each request."""

    url: str = ""
    status: int = 200
    times: int = 0
    requests: list[tuple[str, int]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.times > 0:
            self.times -= 1
            self.requests.append((request.path, self.status))
            if self.status == 0:
                try:
                    reset_connection(request)
                except ConnectionEndedError:
                    return web.Response()
            return web.Response(status=self.status)
        content = FILES.get(request.path)
        status = 404 if content is None else 200
        self.requests.append((request.path, status))
        return web.Response(status=status, body=content or b"")


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    made = FileServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def no_pauses() -> Iterator[float]:
    return repeat(0.0)


@pytest.fixture
async def fetcher() -> AsyncIterator[HttpFetcher]:
    async with HttpFetcher(pauses_s=no_pauses) as made:
        yield made


@pytest.mark.parametrize("path", ["/plugin.wasm", "/plugin.wasm.gz", "/plugin.tar", "/plugin.tar.gz"])
async def test_a_module_is_found_in_whatever_box(server: FileServer, fetcher: HttpFetcher, path: str) -> None:
    sizes: list[int] = []
    fetched = await fetcher.fetch(server.url + path, sizes.append)
    assert fetched.module == MODULE
    assert fetched.served_sha256 == hashlib.sha256(FILES[path]).hexdigest()
    assert fetched.module_sha256 == hashlib.sha256(MODULE).hexdigest()
    assert sizes == [len(FILES[path])]


@pytest.mark.parametrize("path", ["/large.wasm", "/large.tar.gz"])
async def test_a_large_module_comes_whole(server: FileServer, fetcher: HttpFetcher, path: str) -> None:
    assert (await fetcher.fetch(server.url + path)).module == LARGE


@pytest.mark.parametrize("path", ["/bad.wasm", "/short.wasm", "/bad.tar.gz"])
async def test_what_is_no_module_is_refused(server: FileServer, fetcher: HttpFetcher, path: str) -> None:
    with pytest.raises(FetchError, match="not a Wasm module") as refused:
        await fetcher.fetch(server.url + path)
    assert refused.value.reason == "invalid"
    assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["/bomb.gz", "/large.wasm"])
async def test_what_is_too_large_is_refused(server: FileServer, path: str) -> None:
    async with HttpFetcher(limit_bytes=1_000_000) as fetcher:
        with pytest.raises(FetchError, match="more than") as refused:
            await fetcher.fetch(server.url + path)
    assert refused.value.reason == "invalid"


_FAULTS = [
    case
    for case in golden("agent-fetches-istio-1.27.json")
    if case["name"].startswith("http-") and case["steps"][0]["faults"]
]


@pytest.mark.parametrize("case", _FAULTS, ids=[case["name"] for case in _FAULTS])
async def test_faults_are_met_as_the_real_agent_meets_them(
    server: FileServer, fetcher: HttpFetcher, case: dict[str, Any]
) -> None:
    (step,) = case["steps"]
    (fault,) = step["faults"]
    server.status, server.times = fault["status"], fault["times"]
    try:
        module: bytes | None = (await fetcher.fetch(f"{server.url}/plugin.wasm?x")).module
    except FetchError as failed:
        module = None
        assert (failed.reason, failed.status) == ("download", fault["status"] or None)
    assert server.requests == [(request["path"], request["status"]) for request in step["requests"]]
    assert (module is None) == (step["envoy_gets"] == {"p": "allow-all"})


def test_every_kind_of_fault_is_in_the_golden_file() -> None:
    assert len(_FAULTS) == 8


@pytest.mark.parametrize("status", [501, 505, 511, 401, 403])
async def test_a_status_that_will_not_pass_is_final(server: FileServer, fetcher: HttpFetcher, status: int) -> None:
    server.status, server.times = status, 99
    with pytest.raises(FetchError):
        await fetcher.fetch(f"{server.url}/plugin.wasm")
    assert server.requests == [("/plugin.wasm", status)]


async def test_nobody_listening_is_tried_five_times(unused_tcp_port: int) -> None:
    taken: list[float] = []

    def pauses() -> Iterator[float]:
        while True:
            taken.append(0.0)
            yield 0.0

    async with HttpFetcher(pauses_s=pauses) as fetcher:
        with pytest.raises(FetchError, match="failed") as failed:
            await fetcher.fetch(f"http://127.0.0.1:{unused_tcp_port}/plugin.wasm")
    assert failed.value.status is None
    assert len(taken) == 4


async def test_what_takes_too_long_is_a_timeout(server: FileServer) -> None:
    server.status, server.times = 503, 99
    async with HttpFetcher(pauses_s=lambda: repeat(3600.0), timeout_s=0.05) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.fetch(f"{server.url}/plugin.wasm")
    assert failed.value.reason == "timeout"


def test_the_pauses_grow_and_scatter_around_their_mean() -> None:
    assert list(islice(growing_pauses_s(scatter=0), 4)) == [0.5, 0.75, 1.125, 1.6875]
    scattered = list(islice(growing_pauses_s(seed=3), 4))
    assert scattered != [0.5, 0.75, 1.125, 1.6875]
    assert all(
        mean / 2 <= pause <= mean * 1.5 for pause, mean in zip(scattered, [0.5, 0.75, 1.125, 1.6875], strict=True)
    )

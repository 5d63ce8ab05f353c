"""Modules from an HTTP server, fetched as the agent does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import ssl
import tarfile
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
from tests.wire.oci_world import elsewhere, tls_contexts

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
    "/nested.gz": compressed(compressed(tar_archive({"inner.tar.gz": compressed(tar_archive({"x": MODULE}))}))),
    "/garbage.gz": compressed(MODULE) + b"garbage",
    "/link.tar": tarfile.TarInfo("x").tobuf(format=tarfile.USTAR_FORMAT) + tar_archive({"x": MODULE}),
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


@pytest.mark.parametrize("path", ["/plugin.wasm", "/plugin.wasm.gz", "/plugin.tar", "/plugin.tar.gz", "/nested.gz"])
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


@pytest.mark.parametrize("path", ["/bad.wasm", "/short.wasm", "/bad.tar.gz", "/garbage.gz", "/link.tar"])
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


@pytest.mark.parametrize("status", [201, 204, 206, 304, 408, 425])
async def test_only_200_is_an_answer(server: FileServer, fetcher: HttpFetcher, status: int) -> None:
    server.status, server.times = status, 99
    with pytest.raises(FetchError, match=f"was answered {status}") as failed:
        await fetcher.fetch(f"{server.url}/plugin.wasm")
    assert (failed.value.reason, failed.value.status) == ("download", status)
    assert server.requests == [("/plugin.wasm", status)]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://", "http:///x", "http://127.0.0.1:port/x", "plugin.wasm"])
async def test_what_is_no_address_is_refused_untried(fetcher: HttpFetcher, url: str) -> None:
    with pytest.raises(FetchError, match="not an HTTP address") as failed:
        await fetcher.fetch(url)
    assert failed.value.reason == "download"


async def test_a_redirect_is_followed_and_a_circle_ends(fetcher: HttpFetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        left = int(request.query["left"])
        if left == 0:
            return web.Response(body=MODULE)
        return web.Response(status=302, headers={"Location": f"/x?left={left - 1}"})

    async with elsewhere(answer) as server:
        assert (await fetcher.fetch(f"http://{server.address}/x?left=9")).module == MODULE
        server.asked.clear()
        with pytest.raises(FetchError, match="redirects 10 times"):
            await fetcher.fetch(f"http://{server.address}/x?left=10")
        # A circle is trouble on the way, and that is tried five times.
        assert len(server.asked) == 5 * 10


async def test_a_name_and_password_are_sent_where_they_belong_and_shown_nowhere(fetcher: HttpFetcher) -> None:
    basic = "Basic " + base64.b64encode(b"alice:s3cret").decode()

    async def lead_away(request: web.Request) -> web.StreamResponse:
        if request.query:
            return web.Response(status=404)
        return web.Response(status=302, headers={"Location": f"http://{other.address}/plugin.wasm"})

    async def give(request: web.Request) -> web.StreamResponse:
        return web.Response(body=MODULE)

    async with elsewhere(give) as other, elsewhere(lead_away) as first:
        url = f"http://alice:s3cret@{first.address}/plugin.wasm"
        assert (await fetcher.fetch(url)).module == MODULE
        assert first.asked == [("/plugin.wasm", basic)]
        assert other.asked == [("/plugin.wasm", None)]
        with pytest.raises(FetchError) as failed:
            await fetcher.fetch(f"{url}?gone")
        assert "s3cret" not in str(failed.value)
        assert "alice" not in str(failed.value)


@pytest.mark.parametrize("path", ["/large.tar.gz", "/plugin.wasm", "/plugin.wasm.gz"])
async def test_a_server_that_compresses_unasked_is_understood(fetcher: HttpFetcher, path: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(FILES[path]), headers={"Content-Encoding": "gzip"})

    async with elsewhere(answer) as server:
        fetched = await fetcher.fetch(f"http://{server.address}/file")
    assert fetched.module == (LARGE if "large" in path else MODULE)
    assert fetched.served_sha256 == hashlib.sha256(FILES[path]).hexdigest()


@pytest.mark.parametrize("body", [MODULE, gzip.compress(MODULE)[:-9], gzip.compress(bytes(8_000_000))])
async def test_what_only_claims_to_be_compressed_is_refused(body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    async with HttpFetcher(pauses_s=no_pauses, limit_bytes=1_000_000) as fetcher, elsewhere(answer) as server:
        with pytest.raises(FetchError):
            await fetcher.fetch(f"http://{server.address}/file")
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [200, 404])
async def test_a_body_without_an_end_is_not_read_to_it(status: int) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            while True:
                await response.write(bytes(1 << 20))
        return response

    async with HttpFetcher(pauses_s=no_pauses, limit_bytes=1_000_000) as fetcher, elsewhere(answer) as server:
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch(f"http://{server.address}/file")
    assert refused.value.reason == ("invalid" if status == 200 else "download")


async def test_a_body_that_stops_coming_is_not_asked_for_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(MODULE)
        await response.prepare(request)
        await response.write(MODULE[:20])
        await asyncio.Event().wait()
        return response

    async with HttpFetcher(pauses_s=no_pauses, request_timeout_s=0.2) as fetcher, elsewhere(answer) as server:
        with pytest.raises(FetchError, match="took more than") as failed:
            await fetcher.fetch(f"http://{server.address}/file")
        assert failed.value.reason == "download"
        assert len(server.asked) == 1


async def test_an_answer_that_does_not_begin_is_asked_for_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(slow.asked) < 2:
            await asyncio.Event().wait()
        return web.Response(body=MODULE)

    async with HttpFetcher(pauses_s=no_pauses, request_timeout_s=1.5) as fetcher, elsewhere(answer) as slow:
        assert (await fetcher.fetch(f"http://{slow.address}/file")).module == MODULE
        assert len(slow.asked) == 2


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return tls_contexts(tmp_path_factory.mktemp("tls"))


async def test_https_needs_a_ca_or_leave_to_do_without(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=MODULE)

    async with elsewhere(answer, contexts[0]) as server:
        url = f"https://{server.address}/plugin.wasm"
        async with HttpFetcher(pauses_s=no_pauses) as fetcher:
            with pytest.raises(FetchError, match="certificate verify failed") as failed:
                await fetcher.fetch(url)
        assert failed.value.reason == "download"
        assert server.asked == []
        async with HttpFetcher(ssl_context=contexts[1]) as fetcher:
            assert (await fetcher.fetch(url)).module == MODULE
        for insecure in (server.address, "*"):
            async with HttpFetcher(insecure_hosts=[insecure]) as fetcher:
                assert (await fetcher.fetch(url)).module == MODULE
        async with HttpFetcher(insecure_hosts=["127.0.0.1"], pauses_s=no_pauses) as fetcher:
            with pytest.raises(FetchError, match="certificate verify failed"):
                await fetcher.fetch(url)

"""Where a pull leads: redirects, TLS and plain HTTP, and registries that may not be asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sim.oci import BasicAuth, FetchError, OciFetcher, Registry, TokenAuth, build_image
from tests.wire.oci_world import (
    HOST,
    IMAGE,
    MODULE,
    PASSWORD,
    USER,
    World,
    a_world,
    elsewhere,
    pushed,
    redirect,
    secret,
    stored,
    tls_contexts,
)

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest.fixture
async def fetcher(world: World) -> AsyncIterator[OciFetcher]:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as made:
        yield made


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return tls_contexts(tmp_path_factory.mktemp("tls"))


# Redirects.


@pytest.mark.parametrize("auth", [BasicAuth(USER, PASSWORD), TokenAuth(USER, PASSWORD)], ids=["basic", "token"])
async def test_credentials_do_not_follow_a_redirect_to_another_port(
    tmp_path: Path, auth: BasicAuth | TokenAuth
) -> None:
    """Another port of the same host is another server."""
    async with a_world(tmp_path, auth=auth) as guarded, elsewhere() as other:
        await pushed(guarded, build_image(MODULE), user=USER, password=PASSWORD)
        guarded.registry.faults.append(redirect(f"http://{other.address}/blob?sig=a%2Fb"))
        async with OciFetcher(mirrors={HOST: guarded.registry.address}) as fetcher:
            assert await (await fetcher.prepare(IMAGE, secret())).fetch() == MODULE
        assert other.asked == [("/blob", None)]


async def test_credentials_stay_on_a_redirect_within_the_registry(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    async def move(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        seen.append((request.query_string, "Authorization" in request.headers))
        return None if request.query else web.Response(status=302, headers={"Location": f"{request.path}?moved=1"})

    async with a_world(tmp_path, auth=BasicAuth(USER, PASSWORD)) as guarded:
        await pushed(guarded, build_image(MODULE), user=USER, password=PASSWORD)
        guarded.registry.faults.append(move)
        async with OciFetcher(mirrors={HOST: guarded.registry.address}) as fetcher:
            assert await (await fetcher.prepare(IMAGE, secret())).fetch() == MODULE
    assert seen == [("", True), ("moved=1", True)]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http:///x", "http://127.0.0.1:99999/", "http://["]
)
async def test_a_redirect_to_something_else_than_http_is_refused(
    world: World, fetcher: OciFetcher, target: str
) -> None:
    await pushed(world, build_image(MODULE))
    world.registry.faults.append(redirect(target))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="which is no HTTP address") as failed:
        await prepared.fetch()
    assert failed.value.reason == "download"


async def test_a_redirect_that_leads_nowhere_is_no_answer(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def nowhere(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=302) if "/blobs/" in request.path else None

    world.registry.faults.append(nowhere)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="was answered 302"):
        await prepared.fetch()


async def test_a_redirect_in_a_circle_ends_after_ten_requests(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    world.registry.faults.append(redirect("/v2/team/block/blobs/again"))
    prepared = await fetcher.prepare(IMAGE)
    world.requests()
    with pytest.raises(FetchError, match="redirects 10 times and more"):
        await prepared.fetch()
    assert len(world.requests()) == 10


async def test_each_hop_is_tried_again_by_itself(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    left = 2

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        return web.Response(status=503) if left >= 0 else web.Response(body=build_image(MODULE).layers[0].content)

    async with elsewhere(answer) as other:
        world.registry.faults.append(redirect(f"http://{other.address}/blob"))
        prepared = await fetcher.prepare(IMAGE)
        world.requests()
        assert await prepared.fetch() == MODULE
        assert len(other.asked) == 3
    assert [status for _, status in world.requests()] == [307]


# TLS and plain HTTP.


async def test_a_private_ca_is_trusted_where_it_is_given(tmp_path: Path, contexts: Contexts) -> None:
    server, client = contexts
    async with Registry(tmp_path, ssl_context=server) as registry:
        stored(registry, build_image(MODULE + bytes(300_000)))
        reference = f"oci://{registry.address}/team/block:1.0.0"
        async with OciFetcher(ssl_context=client) as fetcher:
            assert await (await fetcher.prepare(reference)).fetch() == MODULE + bytes(300_000)
        async with OciFetcher(mirrors={registry.address: registry.url}) as fetcher:
            with pytest.raises(FetchError, match=r"can't be reached.*certificate"):
                await fetcher.prepare(reference)


@pytest.mark.parametrize("insecure", ["the registry", "*"])
async def test_an_insecure_registry_needs_no_ca(tmp_path: Path, contexts: Contexts, insecure: str) -> None:
    async with Registry(tmp_path, ssl_context=contexts[0]) as registry:
        stored(registry, build_image(MODULE))
        named = insecure.replace("the registry", registry.address)
        async with OciFetcher(insecure_registries=[named]) as fetcher:
            prepared = await fetcher.prepare(f"oci://{registry.address}/team/block:1.0.0")
            assert await prepared.fetch() == MODULE


async def test_without_its_ca_a_local_registry_is_not_trusted(tmp_path: Path, contexts: Contexts) -> None:
    async with Registry(tmp_path, ssl_context=contexts[0]) as registry:
        stored(registry, build_image(MODULE))
        async with OciFetcher(insecure_registries=["another.example.com"], pauses_s=(0, 0)) as fetcher:
            with pytest.raises(FetchError, match="certificate verify failed"):
                await fetcher.prepare(f"oci://{registry.address}/team/block:1.0.0")


async def test_a_token_travels_over_the_registrys_own_tls(tmp_path: Path, contexts: Contexts) -> None:
    server, client = contexts
    async with Registry(tmp_path, ssl_context=server, auth=TokenAuth(USER, PASSWORD)) as registry:
        stored(registry, build_image(MODULE))
        async with OciFetcher(ssl_context=client) as fetcher:
            prepared = await fetcher.prepare(
                f"oci://{registry.address}/team/block:1.0.0", secret(host=registry.address)
            )
            assert await prepared.fetch() == MODULE


@pytest.mark.parametrize("tls", [False, True])
async def test_a_local_registry_may_speak_plain_http(world: World, contexts: Contexts, tls: bool) -> None:
    await pushed(world, build_image(MODULE))
    async with OciFetcher(ssl_context=contexts[1] if tls else None) as fetcher:
        prepared = await fetcher.prepare(f"oci://{world.registry.address}/team/block:1.0.0")
        assert await prepared.fetch() == MODULE
    assert [path for path, _ in world.requests()] == ["/v2/", "/v2/team/block/manifests/1.0.0", "/v2/team/block/blobs/"]


@asynccontextmanager
async def deaf_to_tls(registry: Registry) -> AsyncIterator[str]:
    """The address of a server that passes plain HTTP on to a registry, and answers nothing to anything else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        onward = None
        try:
            if not first.isalpha():
                await reader.read()
                return
            inward, onward = await asyncio.open_connection("127.0.0.1", registry.port)
            onward.write(first)
            await asyncio.gather(_pass_on(reader, onward), _pass_on(inward, writer))
        finally:
            for each in (writer, onward):
                if each is not None:
                    each.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
    writer.close()


async def test_plain_http_is_tried_beside_a_tls_that_is_not_answered(world: World) -> None:
    await pushed(world, build_image(MODULE))
    async with deaf_to_tls(world.registry) as address, OciFetcher(timeout_s=30) as fetcher:
        assert await (await fetcher.prepare(f"oci://{address}/team/block:1.0.0")).fetch() == MODULE


async def test_a_registry_that_answers_tls_without_tls_is_asked_again_without(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is: here it is no local address to the agent."""
    monkeypatch.setattr("sim.oci.endpoints.is_local", lambda _: False)
    await pushed(world, build_image(MODULE))
    async with OciFetcher() as fetcher:
        prepared = await fetcher.prepare(f"oci://{world.registry.address}/team/block:1.0.0")
        assert await prepared.fetch() == MODULE


async def test_what_went_wrong_with_both_is_told(unused_tcp_port: int) -> None:
    async with OciFetcher(pauses_s=(3600, 3600)) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.prepare(f"oci://127.0.0.1:{unused_tcp_port}/team/block:1.0.0")
    assert failed.value.reason == "download"
    for scheme in ("https", "http"):
        assert f"the registry at {scheme}://127.0.0.1:{unused_tcp_port} can't be reached" in failed.value.message


async def test_a_registry_that_is_not_allowed_is_never_asked(world: World) -> None:
    async with OciFetcher(allowed_registries=["good.example.com"]) as fetcher:
        with pytest.raises(FetchError, match="may not be reached"):
            await fetcher.prepare(f"oci://{world.registry.address}/team/block:1.0.0")
    assert world.requests() == []

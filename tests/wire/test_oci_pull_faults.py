"""Faults on the way to a registry: what is asked again, what is final, and what is a time-out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sim.oci import (
    FetchError,
    OciFetcher,
    build_image,
    reset_connection,
)
from sim.oci.registry.faults import ConnectionEndedError
from tests.golden_files import golden
from tests.wire.oci_world import (
    HOST,
    IMAGE,
    MODULE,
    World,
    a_world,
    pushed,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest.fixture
async def fetcher(world: World) -> AsyncIterator[OciFetcher]:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as made:
        yield made


_FAULTS = [
    case
    for case in golden("agent-fetches-istio-1.27.json")
    if case["name"].startswith("oci-") and case["steps"][0]["faults"]
]


def _without_digest(path: str) -> str:
    return path.replace("/plugins/demo/", "/team/block/").partition("sha256:")[0].rpartition("/")[0]


@pytest.mark.parametrize("case", _FAULTS, ids=[case["name"] for case in _FAULTS])
async def test_faults_are_met_as_the_real_agent_meets_them(
    world: World, fetcher: OciFetcher, case: dict[str, Any]
) -> None:
    (step,) = case["steps"]
    (fault,) = step["faults"]
    await pushed(world, build_image(MODULE))
    await world.fail(fault["on"], fault["status"], fault["times"])
    try:
        module: bytes | None = await (await fetcher.prepare(IMAGE)).fetch()
    except FetchError as failed:
        module = None
        assert failed.reason == "download"
        assert failed.status == (fault["status"] or None)
        assert failed.hint
    assert [(path.rpartition("/")[0], status) for path, status in world.requests()] == [
        (_without_digest(request["path"]), request["status"]) for request in step["requests"]
    ]
    assert (module is None) == (step["envoy_gets"] == {"p": "allow-all"})


def test_every_kind_of_fault_is_in_the_golden_file() -> None:
    assert len(_FAULTS) == 15


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (0, 3), (403, 1), (404, 1), (429, 1)])
async def test_a_failing_ping_ends_the_pull(world: World, fetcher: OciFetcher, status: int, tries: int) -> None:
    await world.fail("ping", status, 99)
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(IMAGE)
    assert failed.value.reason == "download"
    # The first connection is new, so a reset of it is not answered by an immediate retry.
    assert world.requests() == [("/v2/", status)] * tries


async def test_the_pauses_are_those_of_the_agent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("sim.oci.http_client.asyncio.sleep", pause)
    await world.fail("manifests", 503, 99)
    async with OciFetcher(mirrors={HOST: world.registry.address}) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.prepare(IMAGE)
    assert paused == [0.1, 0.3]


async def test_the_registrys_own_words_are_passed_on(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(f"oci://{HOST}/team/block:nope")
    assert "MANIFEST_UNKNOWN" in failed.value.message
    assert failed.value.status == 404


async def test_a_body_that_breaks_off_is_not_asked_for_again(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))

    async def break_off(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        response = web.StreamResponse()
        response.content_length = len(image.layers[0].content)
        await response.prepare(request)
        await response.write(image.layers[0].content[:20])
        reset_connection(request)
        return None

    world.registry.faults.append(break_off)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert failed.value.reason == "download"
    assert [path for path, _ in world.requests()].count("/v2/team/block/blobs/") == 1


async def test_nobody_listening_is_final(unused_tcp_port: int) -> None:
    async with OciFetcher(pauses_s=(3600, 3600)) as fetcher:
        with pytest.raises(FetchError, match="can't be reached") as failed:
            await fetcher.prepare(f"oci://127.0.0.1:{unused_tcp_port}/team/block:1.0.0")
    assert failed.value.reason == "download"


async def test_a_slow_registry_is_a_timeout(world: World) -> None:
    stuck = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse | None:
        await stuck.wait()
        return None

    world.registry.faults.append(wait)
    async with OciFetcher(mirrors={HOST: world.registry.address}, timeout_s=0.05) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.prepare(IMAGE)
    assert failed.value.reason == "timeout"
    stuck.set()


async def test_two_pulls_at_once_ask_twice(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def pull() -> bytes:
        return await (await fetcher.prepare(IMAGE)).fetch()

    assert list(await asyncio.gather(pull(), pull())) == [MODULE, MODULE]
    assert sorted(path for path, _ in world.requests()) == sorted(
        ["/v2/", "/v2/team/block/manifests/1.0.0", "/v2/team/block/blobs/"] * 2
    )


@pytest.mark.parametrize("status", [206, 204, 304, 400, 402, 410, 418, 451, 501, 505, 507, 529])
async def test_another_status_is_final(world: World, fetcher: OciFetcher, status: int) -> None:
    await pushed(world, build_image(MODULE))
    await world.fail("manifests", status, 99)
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(IMAGE)
    assert (failed.value.reason, failed.value.status) == ("download", status)
    assert len(world.requests()) == 2


async def test_an_error_without_an_end_is_not_read_to_it(world: World, fetcher: OciFetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        response = web.StreamResponse(status=404)
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            while True:
                await response.write(bytes(1 << 20))
        return response

    world.registry.faults.append(endless)
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(IMAGE)
    assert (failed.value.reason, failed.value.status) == ("download", 404)


@pytest.mark.parametrize("claimed", [10, 100_000])
async def test_a_content_length_that_lies_is_found_out(world: World, fetcher: OciFetcher, claimed: int) -> None:
    """Less than comes: the rest is no answer to anything. More than comes: the connection ends too early."""
    layer = (await pushed(world, build_image(MODULE))).layers[0].content

    async def lie(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % claimed + layer)
        request.transport.close()
        raise ConnectionEndedError

    world.registry.faults.append(lie)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert failed.value.reason in ("checksum", "download")


@pytest.mark.parametrize("change", [slice(0, -3), slice(0, 0)])
async def test_chunks_that_are_too_few_are_found_out(world: World, fetcher: OciFetcher, change: slice) -> None:
    layer = (await pushed(world, build_image(MODULE))).layers[0].content

    async def chunked(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(layer[change])
        await response.write_eof()
        return response

    world.registry.faults.append(chunked)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="the manifest says") as failed:
        await prepared.fetch()
    assert failed.value.reason == "checksum"

"""Push by oras, as users push: what the registry is asked for, and what a refusal says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from sim.errors import EnvironmentProblem
from sim.oci import (
    OciFetcher,
    build_image,
    push,
)
from tests.wire.oci_world import (
    HOST,
    IMAGE,
    MODULE,
    World,
    a_world,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest.fixture
async def fetcher(world: World) -> AsyncIterator[OciFetcher]:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as made:
        yield made


async def test_a_push_returns_the_digest_and_writes_nothing(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    image = build_image(MODULE)
    assert await push(image, IMAGE, world.registry.address) == image.digest
    assert await push(image, IMAGE, world.registry.address) == image.digest
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


async def test_a_second_push_sends_no_blob_again(world: World) -> None:
    await push(build_image(MODULE), IMAGE, world.registry.address)
    world.trace.events.clear()
    await push(build_image(MODULE), IMAGE, world.registry.address)
    assert [event.data["method"] for event in world.trace] == ["HEAD", "HEAD", "PUT"]


async def test_a_refused_push_fails_at_once(world: World) -> None:
    async def readonly(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if request.method in ("POST", "PUT") else None

    world.registry.faults.append(readonly)
    with pytest.raises(EnvironmentProblem, match="can't push"):
        await push(build_image(MODULE), IMAGE, world.registry.address)
    assert [event.data["method"] for event in world.trace].count("POST") == 1


async def test_a_push_to_nowhere_fails_at_once(world: World, unused_tcp_port: int) -> None:
    with pytest.raises(EnvironmentProblem, match="can't push"):
        await push(build_image(MODULE), IMAGE, f"127.0.0.1:{unused_tcp_port}")

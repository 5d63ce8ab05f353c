"""Pull as the agent does: which images give a module, and why the others do not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from sim.oci import (
    Blob,
    FetchError,
    Image,
    ImageFormat,
    OciFetcher,
    build_image,
    push,
)
from sim.oci.digests import sha256_digest
from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
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


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
async def test_an_image_comes_back_as_its_module(world: World, fetcher: OciFetcher, image_format: ImageFormat) -> None:
    image = await pushed(world, build_image(MODULE, image_format))
    prepared = await fetcher.prepare(IMAGE)
    assert f"sha256:{prepared.digest}" == image.digest
    assert await prepared.fetch() == MODULE
    assert world.requests() == [
        ("/v2/", 200),
        ("/v2/team/block/manifests/1.0.0", 200),
        ("/v2/team/block/blobs/", 200),
    ]


async def test_the_guides_image_is_refused_and_the_refusal_tells_both_reasons(
    world: World, fetcher: OciFetcher
) -> None:
    await pushed(world, build_image(MODULE, "guide"))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as refused:
        await prepared.fetch()
    assert refused.value.reason == "invalid"
    assert "plugin.wasm is not in the archive, which holds main.wasm" in refused.value.message
    assert "an artifact has 2 layers, this has 3" in refused.value.message


async def test_the_guides_image_loads_once_its_member_is_called_plugin_wasm(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE, "guide", member="plugin.wasm"))
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE


async def test_a_pull_by_digest_asks_for_the_digest(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))
    prepared = await fetcher.prepare(f"oci://{HOST}/team/block@{image.digest}")
    assert await prepared.fetch() == MODULE
    assert world.requests()[1] == ("/v2/team/block/manifests/", 200)


async def test_a_large_module_comes_back_whole(world: World, fetcher: OciFetcher) -> None:
    module = MODULE + bytes(index * index % 253 for index in range(3_000_000))
    await pushed(world, build_image(module))
    sizes: list[int] = []
    assert await (await fetcher.prepare(IMAGE)).fetch(sizes.append) == module
    assert sizes == [len(build_image(module).layers[0].content)]


async def test_a_small_layer_that_swells_comes_back_whole(world: World, fetcher: OciFetcher) -> None:
    module = MODULE + bytes(5_000_000)
    assert len(build_image(module).layers[0].content) < 64 * 1024
    await pushed(world, build_image(module))
    assert await (await fetcher.prepare(IMAGE)).fetch() == module


async def test_a_bomb_is_refused(world: World) -> None:
    await pushed(world, build_image(MODULE + bytes(5_000_000)))
    async with OciFetcher(mirrors={HOST: world.registry.address}, limit_bytes=4_000_000) as fetcher:
        prepared = await fetcher.prepare(IMAGE)
        with pytest.raises(FetchError, match="more than 3 MB") as refused:
            await prepared.fetch()
    assert refused.value.reason == "invalid"


async def test_a_module_that_is_none_is_refused(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(b"this is text, no module"))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="not a Wasm module") as refused:
        await prepared.fetch()
    assert refused.value.reason == "invalid"


@pytest.mark.parametrize("size", [0, 200_000])
async def test_a_layer_with_another_content_is_refused(world: World, fetcher: OciFetcher, size: int) -> None:
    noise = bytes(index * index % 251 for index in range(size))
    image = await pushed(world, build_image(MODULE + noise))
    other = build_image(bytes(reversed(MODULE)) + noise)
    right, wrong = image.layers[0].content, other.layers[0].content

    async def swap(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        return web.Response(body=wrong[: len(right)].ljust(len(right), b"\x00"))

    world.registry.faults.append(swap)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as refused:
        await prepared.fetch()
    assert refused.value.reason == "checksum"


async def test_a_manifest_with_another_digest_than_asked_for_is_refused(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))

    async def swap(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=image.manifest + b"\n") if "/manifests/" in request.path else None

    world.registry.faults.append(swap)
    with pytest.raises(FetchError) as refused:
        await fetcher.prepare(f"oci://{HOST}/team/block@{image.digest}")
    assert refused.value.reason == "checksum"


async def test_a_layer_of_another_length_is_refused(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def shorten(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=b"short") if "/blobs/" in request.path else None

    world.registry.faults.append(shorten)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="5 bytes") as refused:
        await prepared.fetch()
    assert refused.value.reason == "checksum"


async def test_of_an_index_the_child_for_linux_amd64_is_taken(world: World, fetcher: OciFetcher) -> None:
    amd64, arm64 = build_image(MODULE, "oci"), build_image(MODULE + b"arm", "oci")
    for image in (amd64, arm64):
        await push(image, f"oci://{HOST}/team/block@{image.digest}", world.registry.address)
    children = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for image, architecture in ((arm64, "arm64"), (amd64, "amd64"))
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    await pushed(world, Image(OCI_INDEX, index, amd64.config, ()))
    prepared = await fetcher.prepare(IMAGE)
    assert f"sha256:{prepared.digest}" == amd64.digest
    assert await prepared.fetch() == MODULE
    assert [path for path, _ in world.requests()] == [
        "/v2/",
        "/v2/team/block/manifests/1.0.0",
        "/v2/team/block/manifests/",
        "/v2/team/block/blobs/",
    ]


async def test_an_index_that_holds_itself_ends(world: World, fetcher: OciFetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        depth = 0 if request.path.endswith("1.0.0") else depths[request.path.rpartition("/")[2]]
        child = indexes[depth + 1]
        return web.Response(body=indexes[depth], content_type=OCI_INDEX) if child else None

    indexes: list[bytes] = [b"{}"]
    depths: dict[str, int] = {}
    for _ in range(20):
        child = {"mediaType": OCI_INDEX, "digest": sha256_digest(indexes[0]), "size": len(indexes[0])}
        indexes.insert(0, json.dumps({"manifests": [child]}).encode())
    depths.update({sha256_digest(index): depth for depth, index in enumerate(indexes)})
    world.registry.faults.append(endless)
    with pytest.raises(FetchError, match="without an end"):
        await fetcher.prepare(IMAGE)


async def test_an_image_with_two_layers_is_tried_as_an_image_first(world: World, fetcher: OciFetcher) -> None:
    """The last layer is a broken archive, the first the module itself: the agent downloads both."""
    archive = Blob(OCI_LAYER, b"no archive")
    module = build_image(MODULE, "artifact").layers[1]
    config = Blob(OCI_CONFIG, b"{}")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": [module.descriptor(), archive.descriptor()],
        }
    ).encode()
    await pushed(world, Image(OCI_MANIFEST, manifest, config, (module, archive)))
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE
    assert [path for path, _ in world.requests()].count("/v2/team/block/blobs/") == 2


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
async def test_a_failed_download_is_told_from_a_wrong_form(
    world: World, fetcher: OciFetcher, image_format: ImageFormat
) -> None:
    await pushed(world, build_image(MODULE, image_format))
    await world.fail("blobs", 403, 99)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert (failed.value.reason, failed.value.status) == ("download", 403)

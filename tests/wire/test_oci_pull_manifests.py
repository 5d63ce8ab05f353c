"""What a manifest may say, and what the agent believes of it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sim.errors import InvalidInput
from sim.oci import (
    FetchError,
    NotWasmError,
    OciFetcher,
    build_image,
    compressed,
    push,
    tar_archive,
)
from sim.oci.digests import sha256_digest
from sim.oci.media_types import DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.wire.oci_world import (
    HOST,
    IMAGE,
    MODULE,
    World,
    a_world,
    described,
    elsewhere,
    manifest_of,
    pushed,
    sha512,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest.fixture
async def fetcher(world: World) -> AsyncIterator[OciFetcher]:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as made:
        yield made


LAYER = build_image(MODULE).layers[0].content


async def module_of(
    world: World, fetcher: OciFetcher, raw: bytes, *layers: bytes, media_type: str = OCI_MANIFEST
) -> bytes:
    """The module of the image whose manifest and blobs these are."""
    content = {"manifests/1.0.0": (media_type, raw)}
    content |= {f"blobs/{sha256_digest(layer)}": ("application/octet-stream", layer) for layer in layers}
    world.serve(content)
    return await (await fetcher.prepare(IMAGE)).fetch()


@pytest.mark.parametrize(
    "name", ["plugin.wasm", "./plugin.wasm", "dir/plugin.wasm", "../../plugin.wasm", "/plugin.wasm", "a//plugin.wasm"]
)
async def test_the_member_counts_by_its_base_name(world: World, fetcher: OciFetcher, name: str) -> None:
    layer = compressed(tar_archive({"other": b"x" * 700, name: MODULE}))
    assert await module_of(world, fetcher, manifest_of(described(OCI_LAYER, layer)), layer) == MODULE


async def test_a_layer_in_several_gzip_members_is_one(world: World, fetcher: OciFetcher) -> None:
    archive = tar_archive({"other": b"x" * 3000, "plugin.wasm": MODULE})
    layer = gzip.compress(archive[:700]) + gzip.compress(archive[700:])
    assert await module_of(world, fetcher, manifest_of(described(OCI_LAYER, layer)), layer) == MODULE


@pytest.mark.parametrize(
    ("media_type", "layer", "says"),
    [
        ("application/vnd.oci.image.layer.v1.tar+zstd", LAYER, r"not application/vnd\.oci\.image\.layer"),
        ("application/vnd.oci.image.layer.v1.tar", gzip.decompress(LAYER), r"not application/vnd\.oci\.image\.layer"),
        (OCI_LAYER, b"\x28\xb5\x2f\xfd" + bytes(60), "incorrect header check"),
        (OCI_LAYER, gzip.decompress(LAYER), "incorrect header check"),
        (OCI_LAYER, b"", "cut off"),
    ],
    ids=["zstd", "tar", "zstd as gzip", "tar as gzip", "empty"],
)
async def test_a_layer_in_another_form_is_refused(
    world: World, fetcher: OciFetcher, media_type: str, layer: bytes, says: str
) -> None:
    with pytest.raises(FetchError, match=says) as refused:
        await module_of(world, fetcher, manifest_of(described(media_type, layer)), layer)
    assert refused.value.reason == "invalid"


async def test_what_is_no_module_is_told_from_what_is_no_image(world: World, fetcher: OciFetcher) -> None:
    layer = compressed(tar_archive({"plugin.wasm": b"text"}))
    with pytest.raises(NotWasmError):
        await module_of(world, fetcher, manifest_of(described(OCI_LAYER, layer)), layer)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{broken",
        b"null",
        b"[]",
        b"[" * 100_000,
        manifest_of(described(OCI_LAYER, LAYER)).decode().encode("utf-16"),
        b'{"layers": {}}',
    ],
)
async def test_a_manifest_that_cannot_be_read_is_refused(world: World, fetcher: OciFetcher, raw: bytes) -> None:
    with pytest.raises(FetchError) as refused:
        await module_of(world, fetcher, raw, LAYER)
    assert refused.value.reason == "invalid"


async def test_a_manifest_without_an_end_is_not_read_to_it(world: World, fetcher: OciFetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            while True:
                await response.write(bytes(1 << 20))
        return response

    world.registry.faults.append(endless)
    with pytest.raises(FetchError, match="more than 16 MB"):
        await fetcher.prepare(IMAGE)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", f"{OCI_MANIFEST}; charset=utf-8"])
async def test_an_image_needs_no_content_type(world: World, fetcher: OciFetcher, content_type: str) -> None:
    raw = manifest_of(described(OCI_LAYER, LAYER))
    assert await module_of(world, fetcher, raw, LAYER, media_type=content_type) == MODULE


@pytest.mark.parametrize("content_type", [f"{OCI_INDEX}; charset=utf-8", "application/json"])
async def test_an_index_is_one_only_by_its_very_content_type(
    world: World, fetcher: OciFetcher, content_type: str
) -> None:
    """So the agent has it: whatever else it is called, it is an image without layers."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    with pytest.raises(FetchError, match="has no layers"):
        await module_of(world, fetcher, raw, media_type=content_type)


IMAGE_RAW = manifest_of(described(OCI_LAYER, LAYER))


def an_index(*children: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children, **more}).encode()


@pytest.mark.parametrize("index_type", [OCI_INDEX, DOCKER_MANIFEST_LIST])
@pytest.mark.parametrize("answered_as", [OCI_MANIFEST, OCI_INDEX, "text/plain"])
async def test_a_child_is_what_its_index_calls_it(
    world: World, fetcher: OciFetcher, index_type: str, answered_as: str
) -> None:
    world.serve(
        {
            "manifests/1.0.0": (index_type, an_index(described(OCI_MANIFEST, IMAGE_RAW))),
            f"manifests/{sha256_digest(IMAGE_RAW)}": (answered_as, IMAGE_RAW),
            f"blobs/{sha256_digest(LAYER)}": ("application/octet-stream", LAYER),
        }
    )
    prepared = await fetcher.prepare(IMAGE)
    assert f"sha256:{prepared.digest}" == sha256_digest(IMAGE_RAW)
    assert await prepared.fetch() == MODULE


async def test_a_child_with_another_digest_is_refused(world: World, fetcher: OciFetcher) -> None:
    child = described(OCI_MANIFEST, IMAGE_RAW)
    world.serve(
        {
            "manifests/1.0.0": (OCI_INDEX, an_index(child)),
            f"manifests/{child['digest']}": (OCI_MANIFEST, IMAGE_RAW + b" "),
        }
    )
    with pytest.raises(FetchError, match="another digest") as refused:
        await fetcher.prepare(IMAGE)
    assert refused.value.reason == "checksum"


def with_data(media_type: str, content: bytes, data: bytes) -> dict[str, Any]:
    return described(media_type, content, data=base64.b64encode(data).decode())


async def test_content_that_came_with_its_descriptor_is_not_asked_for(world: World, fetcher: OciFetcher) -> None:
    image = manifest_of(with_data(OCI_LAYER, LAYER, LAYER))
    world.serve({"manifests/1.0.0": (OCI_INDEX, an_index(with_data(OCI_MANIFEST, image, image)))})
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE
    assert [path for path, _ in world.requests()] == ["/v2/", "/v2/team/block/manifests/1.0.0"]


async def test_content_that_came_with_its_descriptor_is_not_believed(world: World, fetcher: OciFetcher) -> None:
    other = bytes(len(LAYER))
    with pytest.raises(FetchError) as refused:
        await module_of(world, fetcher, manifest_of(with_data(OCI_LAYER, LAYER, other)), LAYER)
    assert refused.value.reason == "checksum"
    world.serve({"manifests/1.0.0": (OCI_INDEX, an_index(with_data(OCI_MANIFEST, IMAGE_RAW, b"{}")))})
    with pytest.raises(FetchError, match="another digest"):
        await fetcher.prepare(IMAGE)


@pytest.mark.parametrize("size", [len(LAYER) - 1, len(LAYER) + 1, 0])
async def test_a_size_that_is_wrong_is_refused(world: World, fetcher: OciFetcher, size: int) -> None:
    layer = {**described(OCI_LAYER, LAYER), "size": size}
    with pytest.raises(FetchError, match=f"the manifest says {size}") as refused:
        await module_of(world, fetcher, manifest_of(layer), LAYER)
    assert refused.value.reason == "checksum"


async def test_a_size_beyond_the_limit_is_refused_unasked(world: World, fetcher: OciFetcher) -> None:
    layer = {**described(OCI_LAYER, LAYER), "size": 256 * 1024 * 1024 + 1}
    with pytest.raises(FetchError, match="more than 256 MB") as refused:
        await module_of(world, fetcher, manifest_of(layer), LAYER)
    assert refused.value.reason == "invalid"
    assert "/v2/team/block/blobs/" not in [path for path, _ in world.requests()]


async def test_other_addresses_of_a_layer_are_not_followed(world: World, fetcher: OciFetcher) -> None:
    async with elsewhere() as other:
        layer = described(OCI_LAYER, LAYER, urls=[f"http://{other.address}/layer"])
        with pytest.raises(FetchError) as refused:
            await module_of(world, fetcher, manifest_of(layer))
        assert (refused.value.reason, refused.value.status) == ("download", 404)
        assert other.asked == []


async def test_by_sha512_the_agent_pulls_nothing(world: World, fetcher: OciFetcher) -> None:
    image = build_image(MODULE, "oci")
    await push(image, f"{HOST}/team/block@{sha512(image.manifest)}", world.registry.address)
    world.requests()
    with pytest.raises(InvalidInput, match="can't pull by sha512"):
        await fetcher.prepare(f"oci://{HOST}/team/block@{sha512(image.manifest)}")
    assert world.requests() == []
    layer = {**described(OCI_LAYER, LAYER), "digest": sha512(LAYER)}
    with pytest.raises(FetchError, match="without a sha256 digest"):
        await module_of(world, fetcher, manifest_of(layer), LAYER)


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize(
    "url", ["oci://{}/team/block{}?from=console", "oci://u:p@{}/team/block{}", "oci://{}/team%2Fblock{}"]
)
async def test_of_a_url_only_host_and_path_count(world: World, fetcher: OciFetcher, url: str, digest: bool) -> None:
    image = await pushed(world, build_image(MODULE))
    # With both, the digest decides.
    prepared = await fetcher.prepare(url.format(HOST, f":nope@{image.digest}" if digest else ":1.0.0"))
    assert await prepared.fetch() == MODULE


async def test_a_server_that_compresses_unasked_is_understood(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def compressing(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        image = build_image(MODULE)
        headers = {"Content-Type": image.media_type, "Content-Encoding": "gzip"}
        return web.Response(body=gzip.compress(image.manifest), headers=headers)

    world.registry.faults.append(compressing)
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE


async def test_nothing_but_the_module_touches_the_disk(
    world: World, fetcher: OciFetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await pushed(world, build_image(MODULE + bytes(300_000)))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    assert await (await fetcher.prepare(f"oci://{HOST}/team/block@{image.digest}")).fetch() == MODULE + bytes(300_000)
    assert list(here.iterdir()) == []

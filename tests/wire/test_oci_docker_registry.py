"""The distribution project's registry as the other one: what we push and pull there, and where both answer alike."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sim.errors import EnvironmentProblem
from sim.oci import FetchError, ImageFormat, OciFetcher, Registry, build_image, push
from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.wire.interop import PASSWORD, USER, DockerRegistry, docker_registry, skopeo

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
LARGE = MODULE + bytes(index * index % 253 for index in range(500_000))
HOST = "hub.example.com"
IMAGE = f"{HOST}/team/block:1.0.0"


@pytest.fixture
async def theirs(tmp_path: Path) -> AsyncIterator[DockerRegistry]:
    async with docker_registry(tmp_path / "theirs") as made:
        yield made


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[DockerRegistry]:
    async with docker_registry(tmp_path / "guarded", guarded=True) as made:
        yield made


def secret(password: str, host: str = HOST) -> bytes:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": auth}}}).encode()


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact", "guide"])
async def test_what_we_push_there_we_pull_from_there(theirs: DockerRegistry, image_format: ImageFormat) -> None:
    image = build_image(LARGE, image_format, member=None if image_format == "artifact" else "plugin.wasm")
    assert await push(image, IMAGE, theirs.address) == image.digest
    async with OciFetcher() as fetcher:
        for reference in ("team/block:1.0.0", f"team/block@{image.digest}"):
            prepared = await fetcher.prepare(f"oci://{theirs.address}/{reference}")
            assert f"sha256:{prepared.digest}" == image.digest
            assert await prepared.fetch() == LARGE


async def test_a_tag_that_is_not_there_is_told_in_its_words(theirs: DockerRegistry) -> None:
    await push(build_image(MODULE), IMAGE, theirs.address)
    async with OciFetcher(mirrors={HOST: theirs.address}) as fetcher:
        with pytest.raises(FetchError, match="MANIFEST_UNKNOWN") as refused:
            await fetcher.prepare(f"oci://{HOST}/team/block:nope")
    assert (refused.value.reason, refused.value.status) == ("download", 404)


async def test_its_password_opens_it_for_push_and_pull(guarded: DockerRegistry) -> None:
    await push(build_image(MODULE), IMAGE, guarded.address, user=USER, password=PASSWORD)
    async with OciFetcher(mirrors={HOST: guarded.address}) as fetcher:
        prepared = await fetcher.prepare(f"oci://{IMAGE}", secret(PASSWORD))
        assert await prepared.fetch() == MODULE
    async with OciFetcher() as fetcher:
        prepared = await fetcher.prepare(f"oci://{guarded.address}/team/block:1.0.0", secret(PASSWORD, guarded.address))
        assert await prepared.fetch() == MODULE


@pytest.mark.parametrize("pull_secret", [None, secret("wrong"), secret(PASSWORD, "other.example.com")])
async def test_without_its_password_it_stays_closed(guarded: DockerRegistry, pull_secret: bytes | None) -> None:
    await push(build_image(MODULE), IMAGE, guarded.address, user=USER, password=PASSWORD)
    async with OciFetcher(mirrors={HOST: guarded.address}) as fetcher:
        with pytest.raises(FetchError) as refused:
            await fetcher.prepare(f"oci://{IMAGE}", pull_secret)
    assert (refused.value.reason, refused.value.status) == ("download", 401)


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_push_without_its_password_is_refused(guarded: DockerRegistry, password: str | None) -> None:
    user = None if password is None else USER
    with pytest.raises(EnvironmentProblem, match="authentication"):
        await push(build_image(MODULE), IMAGE, guarded.address, user=user, password=password or "")


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
async def test_an_image_is_copied_from_there_to_us_and_back(
    theirs: DockerRegistry, tmp_path: Path, image_format: ImageFormat
) -> None:
    tool = skopeo(tmp_path / "skopeo")
    image = build_image(LARGE, image_format)
    await push(image, IMAGE, theirs.address)
    async with Registry(tmp_path / "ours") as ours, OciFetcher() as fetcher:
        await tool.copy(f"docker://{theirs.address}/team/block:1.0.0", f"docker://{ours.address}/from/them:2.0.0")
        prepared = await fetcher.prepare(f"oci://{ours.address}/from/them:2.0.0")
        assert f"sha256:{prepared.digest}" == image.digest
        assert await prepared.fetch() == LARGE
        await tool.copy(f"docker://{ours.address}/from/them:2.0.0", f"docker://{theirs.address}/from/us:3.0.0")
        prepared = await fetcher.prepare(f"oci://{theirs.address}/from/us:3.0.0")
        assert f"sha256:{prepared.digest}" == image.digest


# What is refused, is refused alike.


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


NOWHERE = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, b"no such configuration"),
        "layers": [descriptor(OCI_LAYER, b"no such layer")],
    }
).encode()
CHILDLESS = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(OCI_MANIFEST, b"no such child"), descriptor(OCI_MANIFEST, b"nor this")],
    }
).encode()
ABSENT = "sha256:" + "0" * 64


#: Method, path, body, Content-Type: status and codes.
REFUSALS: dict[tuple[str, str, bytes, str], tuple[int, list[str]]] = {
    ("PUT", "manifests/2.0.0", NOWHERE, OCI_MANIFEST): (400, ["MANIFEST_BLOB_UNKNOWN"] * 2),
    ("PUT", "manifests/2.0.0", CHILDLESS, OCI_INDEX): (400, ["MANIFEST_BLOB_UNKNOWN"] * 2),
    ("PUT", f"manifests/{ABSENT}", NOWHERE, OCI_MANIFEST): (400, ["DIGEST_INVALID"]),
    ("PUT", "manifests/2.0.0", b"{broken", OCI_MANIFEST): (400, ["MANIFEST_INVALID"]),
    ("PUT", "manifests/2.0.0", b"[" * 100_000, OCI_MANIFEST): (400, ["MANIFEST_INVALID"]),
    ("PUT", "manifests/2.0.0", NOWHERE, OCI_INDEX): (400, ["MANIFEST_INVALID"]),
    ("GET", "manifests/2.0.0", b"", ""): (404, ["MANIFEST_UNKNOWN"]),
    ("GET", f"manifests/{ABSENT}", b"", ""): (404, ["MANIFEST_UNKNOWN"]),
    ("DELETE", f"manifests/{ABSENT}", b"", ""): (404, ["MANIFEST_UNKNOWN"]),
    ("GET", f"blobs/{ABSENT}", b"", ""): (404, ["BLOB_UNKNOWN"]),
    ("GET", "blobs/sha256:short", b"", ""): (400, ["DIGEST_INVALID"]),
    ("GET", f"blobs/md5:{'0' * 32}", b"", ""): (400, ["DIGEST_INVALID"]),
    ("DELETE", f"blobs/{ABSENT}", b"", ""): (404, ["BLOB_UNKNOWN"]),
}


async def test_both_registries_refuse_alike(theirs: DockerRegistry, tmp_path: Path) -> None:
    async with Registry(tmp_path / "ours") as ours, aiohttp.ClientSession() as session:
        for address in (theirs.address, ours.address):
            await push(build_image(MODULE), IMAGE, address)
            answers = {}
            for method, path, body, media_type in REFUSALS:
                url = f"http://{address}/v2/team/block/{path}"
                headers = {"Content-Type": media_type} if media_type else {}
                async with session.request(method, url, data=body or None, headers=headers) as answer:
                    codes = [error["code"] for error in json.loads(await answer.read())["errors"]]
                    answers[method, path, body, media_type] = (answer.status, codes)
                    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
            assert answers == REFUSALS, address

"""The registry, and our images, in the hands of skopeo."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sim.oci import BasicAuth, Image, ImageFormat, OciFetcher, Registry, TokenAuth, build_image, push
from sim.oci.media_types import OCI_INDEX
from sim.trace import Trace
from tests.wire.interop import PASSWORD, USER, Skopeo, skopeo

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
#: More than the registry answers from memory.
LARGE = MODULE + bytes(index * index % 253 for index in range(500_000))


@pytest.fixture
def tool(tmp_path: Path) -> Skopeo:
    return skopeo(tmp_path / "skopeo")


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture
async def registry(tmp_path: Path, trace: Trace) -> AsyncIterator[Registry]:
    async with Registry(tmp_path / "registry", trace) as made:
        yield made


async def pulled(reference: str) -> bytes:
    """The module that the agent takes out of an image."""
    async with OciFetcher() as fetcher:
        return await (await fetcher.prepare(f"oci://{reference}")).fetch()


def kept(registry: Registry, name: str, tag: str) -> str:
    """The digest that the tag points to."""
    known = registry.store.known(name)
    assert known is not None
    return known.tags[tag]


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact", "guide"])
async def test_an_image_is_copied_to_another_registry_as_it_is(
    registry: Registry, tool: Skopeo, tmp_path: Path, image_format: ImageFormat
) -> None:
    image = build_image(LARGE, image_format, member=None if image_format == "artifact" else "plugin.wasm")
    await push(image, "hub.example.com/team/block:1.0.0", registry.address)
    async with Registry(tmp_path / "other") as other:
        target = f"{other.address}/another/name:2.0.0"
        await tool.copy(f"docker://{registry.address}/team/block:1.0.0", f"docker://{target}")
        assert kept(other, "another/name", "2.0.0") == image.digest
        assert await pulled(target) == LARGE


async def test_within_a_registry_a_layer_is_mounted_and_not_sent_again(
    registry: Registry, trace: Trace, tool: Skopeo
) -> None:
    image = build_image(MODULE)
    await push(image, "hub.example.com/team/block:1.0.0", registry.address)
    source = f"docker://{registry.address}/team/block:1.0.0"
    # The first copy tells skopeo's cache where the layer is.
    await tool.copy(source, f"docker://{registry.address}/team/copy:1.0.0")
    trace.events.clear()
    await tool.copy(source, f"docker://{registry.address}/another/name:1.0.0")
    asked = [(event.data["method"], event.data["path"], event.data["status"]) for event in trace]
    assert ("POST", "/v2/another/name/blobs/uploads/", 201) in asked
    assert ("GET", f"/v2/team/block/blobs/{image.layers[0].digest}", 200) not in asked
    assert await pulled(f"{registry.address}/another/name:1.0.0") == MODULE


async def test_an_image_goes_to_an_oci_layout_and_back(registry: Registry, tool: Skopeo, tmp_path: Path) -> None:
    image = build_image(LARGE, "oci")
    await push(image, "hub.example.com/team/block:1.0.0", registry.address)
    layout = tmp_path / "layout"
    await tool.copy(f"docker://{registry.address}/team/block:1.0.0", f"oci:{layout}:1.0.0")
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["digest"] == image.digest
    await tool.copy(f"oci:{layout}:1.0.0", f"docker://{registry.address}/from/layout:2.0.0")
    assert kept(registry, "from/layout", "2.0.0") == image.digest
    assert await pulled(f"{registry.address}/from/layout:2.0.0") == LARGE


async def test_an_image_goes_to_a_docker_archive_and_back(registry: Registry, tool: Skopeo, tmp_path: Path) -> None:
    await push(build_image(LARGE, "docker"), "hub.example.com/team/block:1.0.0", registry.address)
    archive = tmp_path / "image.tar"
    await tool.copy(f"docker://{registry.address}/team/block:1.0.0", f"docker-archive:{archive}:block:1.0.0")
    # There layers lie uncompressed, so that what comes back is packed anew.
    await tool.copy(f"docker-archive:{archive}", f"docker://{registry.address}/from/archive:2.0.0")
    assert await pulled(f"{registry.address}/from/archive:2.0.0") == LARGE


async def test_an_index_is_copied_with_all_its_children(registry: Registry, tool: Skopeo, tmp_path: Path) -> None:
    images = {"arm64": build_image(MODULE + b"arm", "oci"), "amd64": build_image(MODULE, "oci")}
    for image in images.values():
        await push(image, f"hub.example.com/team/block@{image.digest}", registry.address)
    children: list[dict[str, Any]] = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, image in images.items()
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    index = Image(OCI_INDEX, content, images["amd64"].config, ())
    await push(index, "hub.example.com/team/block:1.0.0", registry.address)
    async with Registry(tmp_path / "other") as other:
        target = f"{other.address}/another/name:1.0.0"
        await tool.copy(f"docker://{registry.address}/team/block:1.0.0", f"docker://{target}", "--all")
        assert kept(other, "another/name", "1.0.0") == index.digest
        known = other.store.known("another/name")
        assert known is not None
        assert set(known.manifests) == {index.digest, *(image.digest for image in images.values())}
        assert await pulled(target) == MODULE


@pytest.mark.parametrize("image_format", ["docker", "oci"])
async def test_an_image_is_inspected(registry: Registry, tool: Skopeo, image_format: ImageFormat) -> None:
    image = build_image(MODULE, image_format)
    for tag in ("1.0.0", "2.0.0"):
        await push(image, f"hub.example.com/team/block:{tag}", registry.address)
    name = f"docker://{registry.address}/team/block"
    found = await tool.inspected(f"{name}:1.0.0")
    assert found["Digest"] == image.digest
    assert found["Layers"] == [layer.digest for layer in image.layers]
    assert found["RepoTags"] == ["1.0.0", "2.0.0"]
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    assert await tool.inspected(f"{name}:1.0.0", "--raw") == json.loads(image.manifest)
    assert (await tool.inspected(f"{name}@{image.digest}"))["Digest"] == image.digest


async def test_tags_are_listed(registry: Registry, tool: Skopeo) -> None:
    image = build_image(MODULE)
    for tag in ("b", "a", "1.0.0"):
        await push(image, f"hub.example.com/team/block:{tag}", registry.address)
    listed = json.loads(await tool("list-tags", "--tls-verify=false", f"docker://{registry.address}/team/block"))
    assert listed["Tags"] == ["1.0.0", "a", "b"]


async def test_an_image_is_deleted_with_its_tags(registry: Registry, tool: Skopeo) -> None:
    await push(build_image(MODULE), "hub.example.com/team/block:1.0.0", registry.address)
    await push(build_image(MODULE), "hub.example.com/team/block:same", registry.address)
    await push(build_image(LARGE), "hub.example.com/team/block:other", registry.address)
    name = f"docker://{registry.address}/team/block"
    await tool("delete", "--tls-verify=false", f"{name}:1.0.0")
    status, _, complaint = await tool.run("inspect", "--tls-verify=false", f"{name}:same")
    assert status != 0
    assert "manifest unknown" in complaint
    known = registry.store.known("team/block")
    assert known is not None
    assert list(known.tags) == ["other"]


@pytest.mark.parametrize("auth", [BasicAuth(USER, PASSWORD), TokenAuth(USER, PASSWORD)], ids=["basic", "token"])
async def test_a_guarded_registry_is_opened_by_name_and_password(
    registry: Registry, tool: Skopeo, tmp_path: Path, auth: BasicAuth | TokenAuth
) -> None:
    image = build_image(LARGE)
    await push(image, "hub.example.com/team/block:1.0.0", registry.address)
    source = f"docker://{registry.address}/team/block:1.0.0"
    async with Registry(tmp_path / "guarded", auth=auth) as guarded:
        inside = f"docker://{guarded.address}/team/block:1.0.0"
        status, _, _ = await tool.run(
            *("copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *("--dest-creds", f"{USER}:wrong", source, inside),
        )
        assert status != 0
        assert guarded.store.known("team/block") is None
        await tool.copy(source, inside, "--dest-creds", f"{USER}:{PASSWORD}")
        await tool.copy(
            inside,
            f"docker://{guarded.address}/another/name:1.0.0",
            *("--src-creds", f"{USER}:{PASSWORD}", "--dest-creds", f"{USER}:{PASSWORD}"),
        )
        assert kept(guarded, "another/name", "1.0.0") == image.digest
        await tool("delete", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", inside)
        known = guarded.store.known("team/block")
        assert known is not None
        assert known.manifests == {}

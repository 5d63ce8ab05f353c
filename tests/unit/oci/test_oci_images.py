"""Images: the bytes of the four forms in which users publish a plugin."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from sim.errors import InvalidInput
from sim.oci import Image, ImageFormat, build_image, plugin_member

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
FORMATS: list[ImageFormat] = ["docker", "oci", "artifact", "guide"]


def manifest_of(image: Image) -> dict[str, Any]:
    made = json.loads(image.manifest)
    assert isinstance(made, dict)
    return made


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_same_module_gives_the_same_image(image_format: ImageFormat) -> None:
    assert build_image(MODULE, image_format) == build_image(MODULE, image_format)
    assert build_image(MODULE, image_format).digest != build_image(MODULE + b"\x00", image_format).digest


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_manifest_describes_exactly_its_blobs(image_format: ImageFormat) -> None:
    image = build_image(MODULE, image_format)
    manifest = manifest_of(image)
    assert image.digest == "sha256:" + hashlib.sha256(image.manifest).hexdigest()
    assert manifest["mediaType"] == image.media_type
    described = [manifest["config"], *manifest["layers"]]
    for descriptor, blob in zip(described, image.blobs, strict=True):
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(blob.content).hexdigest()
        assert descriptor["size"] == len(blob.content)
        assert descriptor["mediaType"] == blob.media_type


@pytest.mark.parametrize("image_format", ["docker", "oci"])
def test_a_container_image_has_one_layer_with_plugin_wasm(image_format: ImageFormat) -> None:
    image = build_image(MODULE, image_format)
    (layer,) = image.layers
    assert plugin_member(layer.content) == MODULE
    archive = gzip.decompress(layer.content)
    assert json.loads(image.config.content)["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(archive).hexdigest()]
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        (member,) = members.getmembers()
    assert (member.name, member.mtime, member.uid, member.mode) == ("plugin.wasm", 0, 0, 0o644)


def test_the_two_container_forms_differ_in_their_media_types_only() -> None:
    docker, oci = build_image(MODULE, "docker"), build_image(MODULE, "oci")
    assert [blob.content for blob in docker.blobs] == [blob.content for blob in oci.blobs]
    assert docker.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert docker.layers[0].media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"
    assert oci.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert oci.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


def test_an_artifact_has_a_configuration_and_the_bare_module() -> None:
    config, module = build_image(MODULE, "artifact").layers
    assert config.media_type == "application/vnd.module.wasm.config.v1+json"
    assert json.loads(config.content)["type"] == "envoy_proxy"
    assert module.media_type == "application/vnd.module.wasm.content.layer.v1+wasm"
    assert module.content == MODULE


def test_the_guides_image_is_what_its_oras_push_makes() -> None:
    image = build_image(MODULE, "guide")
    assert [(layer.media_type, layer.annotations["org.opencontainers.image.title"]) for layer in image.layers] == [
        ("application/vnd.module.wasm.spec.v1+yaml", "spec.yaml"),
        ("application/vnd.module.wasm.doc.v1+markdown", "README.md"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "plugin.tar.gz"),
    ]
    with tarfile.open(fileobj=io.BytesIO(image.layers[2].content)) as members:
        assert members.getnames() == ["main.wasm"]


def test_the_member_can_be_named() -> None:
    image = build_image(MODULE, "guide", member="plugin.wasm")
    assert plugin_member(image.layers[2].content) == MODULE


def test_an_artifact_has_no_member_to_name() -> None:
    with pytest.raises(InvalidInput, match="no archive"):
        build_image(MODULE, "artifact", member="plugin.wasm")


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="docker, oci, artifact, guide"):
        build_image(MODULE, "zip")  # type: ignore[arg-type]  # what a scenario file may say

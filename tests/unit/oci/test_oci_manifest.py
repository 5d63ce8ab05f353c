"""Manifests: which layer holds the module, and why none does."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sim.oci import FetchError, build_image
from sim.oci.manifest import child_of_index, read_manifest
from sim.oci.media_types import DOCKER_LAYER, DOCKER_MANIFEST, OCI_LAYER, OCI_MANIFEST, WASM_CONFIG, WASM_LAYER

MODULE = b"\x00asm\x01\x00\x00\x00"


def layer(media_type: str, number: int = 0) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{number:064x}", "size": 10}


def manifest(*layers: dict[str, Any], media_type: str = OCI_MANIFEST) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "layers": layers}).encode()


def test_a_docker_image_gives_its_last_layer() -> None:
    read = read_manifest(manifest(layer(DOCKER_LAYER, 1), layer(DOCKER_LAYER, 2), media_type=DOCKER_MANIFEST))
    assert read.is_docker
    assert read.archive_layer().digest.endswith("2")


def test_an_oci_image_gives_its_last_layer() -> None:
    read = read_manifest(manifest(layer("text/plain", 1), layer(OCI_LAYER, 2)))
    assert not read.is_docker
    assert read.archive_layer().digest.endswith("2")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (manifest(), "no layers"),
        (manifest(media_type=DOCKER_MANIFEST), "no layers"),
        (manifest(layer(OCI_LAYER), media_type=DOCKER_MANIFEST), f"is {OCI_LAYER}, not {DOCKER_LAYER}"),
        (manifest(layer(DOCKER_LAYER)), f"is {DOCKER_LAYER}, not {OCI_LAYER}"),
        (manifest(layer(OCI_LAYER), layer("text/plain")), "is text/plain"),
    ],
)
def test_another_last_layer_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(FetchError) as refused:
        read_manifest(raw).archive_layer()
    assert says in refused.value.message


def test_an_artifact_gives_its_wasm_layer_wherever_it_stands() -> None:
    assert read_manifest(manifest(layer(WASM_LAYER, 1), layer(WASM_CONFIG, 2))).module_layer().digest.endswith("1")
    assert read_manifest(build_image(MODULE, "artifact").manifest).module_layer().media_type == WASM_LAYER


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (manifest(layer(WASM_LAYER)), "has 2 layers, this has 1"),
        (manifest(layer(WASM_LAYER), layer(WASM_CONFIG), layer("text/plain")), "has 2 layers, this has 3"),
        (manifest(layer(WASM_CONFIG), layer("text/plain")), "no layer is"),
    ],
)
def test_an_artifact_of_another_shape_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(FetchError) as refused:
        read_manifest(raw).module_layer()
    assert says in refused.value.message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'"text"',
        b"{broken",
        b'{"layers": {}}',
        b'{"layers": ["x"]}',
        b'{"layers": [{"mediaType": "x", "digest": "sha256:../../etc", "size": 1}]}',
        b'{"layers": [{"mediaType": "x", "digest": "sha256:%s", "size": -1}]}' % (b"0" * 64),
        b'{"layers": [{"mediaType": "x", "digest": "sha256:%s"}]}' % (b"0" * 64),
        b'{"layers": [{"mediaType": "x", "digest": "sha512:%s", "size": 1}]}' % (b"0" * 128),
        b'{"layers": [{"mediaType": "x", "digest": "sha256:%s", "size": 1, "data": "!"}]}' % (b"0" * 64),
        b'{"layers": [{"mediaType": "x", "digest": "sha256:%s", "size": 1, "data": 1}]}' % (b"0" * 64),
        b'{"layers": [], "config": {"digest": "sha512:%s"}}' % (b"0" * 128),
        b'{"layers": [], "config": {"digest": ""}}',
        b'{"layers": [], "config": "x"}',
        b'{"layers": [], "subject": {"digest": "sha512:%s"}}' % (b"0" * 128),
        b"[" * 100_000,
        b'{"layers": ' + b"[" * 100_000,
    ],
)
def test_a_broken_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(FetchError) as refused:
        read_manifest(raw)
    assert refused.value.reason == "invalid"


def test_a_descriptor_may_bring_its_content() -> None:
    raw = manifest({**layer(OCI_LAYER, 1), "data": base64.b64encode(b"content").decode()}, layer(OCI_LAYER, 2))
    assert [found.data for found in read_manifest(raw).layers] == [b"content", None]


@pytest.mark.parametrize("config", [None, {}, {"mediaType": "x"}])
def test_a_configuration_may_be_missing(config: dict[str, str] | None) -> None:
    raw = json.dumps({"schemaVersion": 2, "config": config, "layers": [layer(OCI_LAYER)]}).encode()
    assert read_manifest(raw).archive_layer().media_type == OCI_LAYER


def index(*platforms: dict[str, str] | None) -> bytes:
    children = []
    for number, platform in enumerate(platforms):
        child = layer(OCI_MANIFEST, number)
        if platform is not None:
            child["platform"] = platform
        children.append(child)
    return json.dumps({"schemaVersion": 2, "manifests": children}).encode()


AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


@pytest.mark.parametrize(
    ("raw", "chosen"), [(index(ARM64, AMD64), "1"), (index(None, AMD64), "0"), (index(AMD64, AMD64), "0")]
)
def test_an_index_gives_its_first_child_for_linux_amd64(raw: bytes, chosen: str) -> None:
    assert child_of_index(raw).digest.endswith(chosen)


@pytest.mark.parametrize(
    "platform", [{}, {"os": "linux"}, {"architecture": "amd64"}, {"os": "wasip1", "architecture": "wasm"}]
)
def test_a_platform_counts_as_it_is_written(platform: dict[str, str]) -> None:
    with pytest.raises(FetchError, match="no child for linux/amd64"):
        child_of_index(index(platform))


def test_one_child_with_another_digest_than_sha256_spoils_the_index() -> None:
    raw = index(AMD64, ARM64).replace(b"sha256:" + b"0" * 63 + b"1", b"sha512:" + b"0" * 128)
    with pytest.raises(FetchError, match="without a sha256 digest"):
        child_of_index(raw)


def test_an_index_without_such_a_child_is_refused() -> None:
    with pytest.raises(FetchError, match="no child for linux/amd64"):
        child_of_index(index(ARM64))

"""Images with layers of other kinds, or of another number, than their format has."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from sim.oci import build_image
from sim.oci.fetch_error import FetchError
from sim.oci.images import Blob
from sim.oci.manifest import read_manifest
from sim.oci.media_types import DOCKER_LAYER, DOCKER_MANIFEST, OCI_LAYER, WASM_CONFIG, WASM_DOC, WASM_LAYER

MODULE = b"\0asm\1\0\0\0"


def members(layer: Blob) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.content))) as archive:
        return {name: found.read() for name in archive.getnames() if (found := archive.extractfile(name))}


def test_the_layers_are_those_that_were_asked_for() -> None:
    image = build_image(MODULE, "oci", layers=[WASM_DOC, WASM_CONFIG, WASM_LAYER])
    assert [layer["mediaType"] for layer in json.loads(image.manifest)["layers"]] == [WASM_DOC, WASM_CONFIG, WASM_LAYER]
    assert image.layers[2].content == MODULE
    assert MODULE not in image.layers[0].content


def test_of_several_archives_the_last_one_holds_the_module() -> None:
    image = build_image(MODULE, "docker", member="main.wasm", layers=[DOCKER_LAYER, DOCKER_LAYER])
    assert image.media_type == DOCKER_MANIFEST
    assert [list(members(layer)) for layer in image.layers] == [["0.txt"], ["main.wasm"]]
    assert members(image.layers[1])["main.wasm"] == MODULE


def test_the_agent_refuses_three_layers_of_an_artifact_and_an_archive_of_the_other_family() -> None:
    three = read_manifest(build_image(MODULE, "artifact", layers=[WASM_DOC, WASM_CONFIG, WASM_LAYER]).manifest)
    with pytest.raises(FetchError, match="has 2 layers, this has 3"):
        three.module_layer()
    with pytest.raises(FetchError, match=r"its last layer is .*docker"):
        read_manifest(build_image(MODULE, "oci", layers=[DOCKER_LAYER]).manifest).archive_layer()


def test_a_format_s_own_layers_give_the_same_image() -> None:
    usual = build_image(MODULE, "oci")
    assert build_image(MODULE, "oci", layers=[OCI_LAYER]).manifest == usual.manifest

"""Images in the forms in which users publish a Wasm plugin. The same module always gives the same bytes.

| format | made by | what pilot-agent does with it |
| --- | --- | --- |
| `docker` | `FROM scratch`, `COPY main.wasm plugin.wasm`, `docker build` | takes `plugin.wasm` out of the last layer |
| `oci` | the same by buildah or BuildKit with OCI media types | the same |
| `artifact` | tools that follow the Wasm artifact image specification | takes the one Wasm layer of exactly two |
| `guide` | the Higress guide's `oras push` of spec.yaml, README.md and plugin.tar.gz | as `oci`, and so finds |
|         | | nothing when the archive's member is called `main.wasm`, as the guide has it |
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sim.errors import InvalidInput
from sim.oci.digests import sha256_digest
from sim.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_LAYER,
    OCI_MANIFEST,
    TITLE,
    WASM_CONFIG,
    WASM_DOC,
    WASM_LAYER,
    WASM_SPEC,
)

ImageFormat = Literal["docker", "oci", "artifact", "guide"]

#: The only file that pilot-agent looks for in a layer's archive.
PLUGIN_FILE = "plugin.wasm"

_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Blob:
    """Content that a manifest refers to."""

    media_type: str
    content: bytes = field(repr=False)
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return sha256_digest(self.content)

    def descriptor(self) -> dict[str, Any]:
        """The blob's OCI descriptor: mediaType, digest, size and, if there are any, annotations."""
        made: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.content),
        }
        if self.annotations:
            made["annotations"] = dict(self.annotations)
        return made


@dataclass(frozen=True, slots=True)
class Image:
    """An image, ready to be pushed: the manifest's exact bytes and every blob that it names."""

    media_type: str
    manifest: bytes = field(repr=False)
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        """The manifest's digest, by which the image is known."""
        return sha256_digest(self.manifest)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)


def build_image(
    module: bytes,
    image_format: ImageFormat = "docker",
    *,
    member: str | None = None,
    layers: Sequence[str] | None = None,
) -> Image:
    """An image of the Wasm module.

    `member` names the file in the layer's archive: `plugin.wasm`, for `guide` `main.wasm`, unless told otherwise.
    `layers` are the media types of the layers where they are to be others than the format's: an archive (`…gzip`) or a
    module (`…+wasm`) holds the module, everything else a few bytes; of several archives the last one does.
    Raises InvalidInput for an unknown format, and for a member where the format has no archive.
    """
    if layers is not None:
        usual = build_image(module, image_format)
        contents = _layer_contents(module, member or PLUGIN_FILE, layers)
        blobs = tuple(Blob(media_type, content) for media_type, content in zip(layers, contents, strict=True))
        return _image(usual.media_type, usual.config, blobs)
    match image_format:
        case "docker":
            return _container(module, member or PLUGIN_FILE, DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
        case "oci":
            return _container(module, member or PLUGIN_FILE, OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)
        case "artifact":
            if member is not None:
                raise InvalidInput("an image of the format artifact has no archive", hint="leave the member out")
            return _artifact(module)
        case "guide":
            return _guide(module, member or "main.wasm")
    raise InvalidInput(
        f"{image_format!r} is not an image format", hint=f"use one of {', '.join(get_args(ImageFormat))}"
    )


def tar_archive(members: dict[str, bytes]) -> bytes:
    """An uncompressed archive of regular files in the given order, owned by root, all from 1970."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def compressed(content: bytes) -> bytes:
    """gzip without a time stamp or a file name."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def _layer_contents(module: bytes, member: str, layers: Sequence[str]) -> Iterator[bytes]:
    archives = [number for number, media_type in enumerate(layers) if media_type.endswith("gzip")]
    for number, media_type in enumerate(layers):
        if number in archives:
            held = {member: module} if number == archives[-1] else {f"{number}.txt": b"something else\n"}
            yield compressed(tar_archive(held))
        else:
            yield module if media_type.endswith("+wasm") else f'{{"layer": {number}}}\n'.encode()


def _container(module: bytes, member: str, manifest_type: str, config_type: str, layer_type: str) -> Image:
    archive = tar_archive({member: module})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": _EPOCH,
        "config": {"WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [sha256_digest(archive)]},
        "history": [{"created": _EPOCH, "created_by": f"COPY main.wasm {member}"}],
    }
    return _image(manifest_type, Blob(config_type, _json(config)), (Blob(layer_type, compressed(archive)),))


def _artifact(module: bytes) -> Image:
    runtime = _json({"type": "envoy_proxy", "abiVersions": ["v0-0.2.1"], "config": {}})
    return _image(
        OCI_MANIFEST,
        Blob(WASM_CONFIG, runtime),
        (
            Blob(WASM_CONFIG, runtime, {TITLE: "runtime-config.json"}),
            Blob(WASM_LAYER, module, {TITLE: PLUGIN_FILE}),
        ),
    )


def _guide(module: bytes, member: str) -> Image:
    archive = compressed(tar_archive({member: module}))
    return _image(
        OCI_MANIFEST,
        Blob(OCI_EMPTY, b"{}"),
        (
            Blob(WASM_SPEC, b"apiVersion: 1.0.0\n", {TITLE: "spec.yaml"}),
            Blob(WASM_DOC, b"# A Wasm plugin\n", {TITLE: "README.md"}),
            Blob(OCI_LAYER, archive, {TITLE: "plugin.tar.gz"}),
        ),
        artifactType="application/vnd.unknown.artifact.v1",
    )


def _image(media_type: str, config: Blob, layers: tuple[Blob, ...], **more: str) -> Image:
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        **more,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return Image(media_type, _json(manifest), config, layers)


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()

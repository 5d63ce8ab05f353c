"""Reading a manifest, and deciding which layer holds the module; no I/O.

The decisions are those of istio `pkg/wasm/imagefetcher.go`; each refusal means the same.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from sim.oci.fetch_error import FetchError
from sim.oci.json_object import json_object
from sim.oci.media_types import DOCKER_LAYER, DOCKER_MANIFEST, OCI_LAYER, WASM_LAYER
from sim.oci.references import is_sha256

#: What a child without a platform is taken for, and what is looked for on every machine, arm64 ones included.
PLATFORM = ("linux", "amd64")

#: What the artifact form consists of: a configuration and a module.
ARTIFACT_LAYERS = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of one blob or child. `data` is its content where the manifest holds that too."""

    media_type: str
    digest: str
    size_bytes: int
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image's manifest. `media_type` is what it says of itself, the empty string where it says nothing."""

    media_type: str
    layers: tuple[Descriptor, ...]

    def archive_layer(self) -> Descriptor:
        """The last layer, which must be a tar+gzip of the manifest's own family. Raises FetchError `invalid`."""
        expected = DOCKER_LAYER if self.is_docker else OCI_LAYER
        if not self.layers:
            raise _invalid("it has no layers")
        last = self.layers[-1]
        if last.media_type != expected:
            raise _invalid(f"its last layer is {last.media_type}, not {expected}")
        return last

    def module_layer(self) -> Descriptor:
        """The layer of an artifact that is the module itself. Raises FetchError `invalid`."""
        if len(self.layers) != ARTIFACT_LAYERS:
            raise _invalid(f"an artifact has {ARTIFACT_LAYERS} layers, this has {len(self.layers)}")
        for layer in self.layers:
            if layer.media_type == WASM_LAYER:
                return layer
        raise _invalid(f"no layer is {WASM_LAYER}")

    @property
    def is_docker(self) -> bool:
        return self.media_type == DOCKER_MANIFEST


#: Stands for a digest that a descriptor does not give.
_NO_DIGEST = "sha256:" + "0" * 64


def read_manifest(raw: bytes) -> Manifest:
    """Parse an image's manifest. Raises FetchError `invalid`, also for a digest of another kind than sha256."""
    data = _object(raw)
    for key in ("config", "subject"):
        other = data.get(key) or {}
        if not isinstance(other, dict) or not is_sha256(other.get("digest", _NO_DIGEST)):
            raise _invalid(f"{key} in its manifest is no descriptor with a sha256 digest")
    return Manifest(str(data.get("mediaType") or ""), tuple(_descriptors(data, "layers")))


def child_of_index(raw: bytes) -> Descriptor:
    """The child that an index or a manifest list has for linux/amd64. Raises FetchError `invalid`."""
    data = _object(raw)
    children = _descriptors(data, "manifests")
    for child, item in zip(children, data.get("manifests") or [], strict=True):
        platform = item.get("platform")
        if platform is None:
            return child
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == PLATFORM:
            return child
    raise _invalid(f"the index has no child for {'/'.join(PLATFORM)}")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return json_object(raw)
    except ValueError as error:
        raise _invalid(f"its manifest can't be read: {error}") from error


def _descriptors(data: dict[str, Any], key: str) -> list[Descriptor]:
    listed = data.get(key)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise _invalid(f"{key} in its manifest is not a list")
    made = []
    for item in listed:
        if not isinstance(item, dict):
            raise _invalid(f"{key} in its manifest holds something else than descriptors")
        digest, size = item.get("digest"), item.get("size")
        if not is_sha256(digest) or not isinstance(size, int) or size < 0:
            raise _invalid(f"{key} in its manifest holds a descriptor without a sha256 digest or a size")
        made.append(Descriptor(str(item.get("mediaType") or ""), digest, size, _content(item.get("data"))))
    return made


def _content(text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise _invalid(f"the data of a descriptor is not base64: {error}") from error


def _invalid(what: str) -> FetchError:
    return FetchError(
        "invalid",
        f"this is no image of a Wasm plugin: {what}",
        hint="push it as a docker or oci image with plugin.wasm, or as an artifact of a configuration and the module",
    )

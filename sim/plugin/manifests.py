"""An image's layout for its reader: which of the known forms it has, and its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.oci.json_object import json_object
from sim.oci.media_types import (
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_LAYER,
    TITLE,
    WASM_DOC,
    WASM_LAYER,
    WASM_SPEC,
)

_DIGEST_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the manifest tells of it; `title` is the file's name that oras kept."""

    media_type: str
    digest: str
    size_bytes: int
    title: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "media_type": self.media_type,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "title": self.title,
        }


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """`format` is `docker`, `oci`, `artifact` or `guide` (sim.oci.images), or `unknown`; `digest` the manifest's."""

    format: str
    media_type: str
    digest: str
    layers: tuple[Layer, ...]

    @property
    def size_bytes(self) -> int:
        """What the layers weigh together."""
        return sum(layer.size_bytes for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "media_type": self.media_type,
            "digest": self.digest,
            "layers": [layer.as_dict() for layer in self.layers],
        }


def read_layout(manifest: bytes, sha256: str) -> ImageLayout:
    """Read a manifest without judging it: what is missing or odd is left out."""
    try:
        data = json_object(manifest)
    except ValueError:
        return ImageLayout("unknown", "", _DIGEST_PREFIX + sha256, ())
    listed = data.get("layers")
    layers = tuple(_layer(item) for item in listed if isinstance(item, dict)) if isinstance(listed, list) else ()
    media_type = str(data.get("mediaType") or "")
    return ImageLayout(_format(media_type, layers), media_type, _DIGEST_PREFIX + sha256, layers)


def _layer(item: dict[str, Any]) -> Layer:
    annotations = item.get("annotations")
    title = annotations.get(TITLE) if isinstance(annotations, dict) else None
    size = item.get("size")
    return Layer(
        str(item.get("mediaType") or ""),
        str(item.get("digest") or ""),
        size if isinstance(size, int) else 0,
        title if isinstance(title, str) else None,
    )


def _format(media_type: str, layers: tuple[Layer, ...]) -> str:
    types = [layer.media_type for layer in layers]
    if media_type == DOCKER_MANIFEST:
        return "docker" if types and types[-1] == DOCKER_LAYER else "unknown"
    if WASM_LAYER in types:
        return "artifact"
    if WASM_SPEC in types or WASM_DOC in types:
        return "guide"
    return "oci" if types and types[-1] == OCI_LAYER else "unknown"

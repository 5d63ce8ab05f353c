"""What a registry reads in a manifest that is pushed (OCI image specification 1.1, manifest.md and image-index.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.oci.json_object import json_object
from sim.oci.media_types import FOREIGN_LAYERS, INDEXES
from sim.oci.references import is_digest
from sim.oci.registry.errors import ErrorCode, RegistryError


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index. `references` are the digests of what it needs to be there; its subject is not of them.

    `artifact_type` is what it is listed under among its subject's referrers, None where it has none.
    """

    media_type: str
    references: tuple[str, ...]
    subject: str | None
    artifact_type: str | None
    annotations: Mapping[str, str]


def read_document(raw: bytes, content_type: str) -> Document:
    """The document in the bytes that came with this Content-Type (the empty string where there was none).

    Raises RegistryError: MANIFEST_INVALID, and DIGEST_INVALID for a digest of an algorithm that is not served.
    """
    try:
        data = json_object(raw)
    except ValueError as error:
        raise _invalid(str(error)) from error
    if data.get("schemaVersion") != 2:
        raise _invalid("schemaVersion is not 2")
    media_type = _media_type(content_type, data.get("mediaType"))
    config = None if data.get("config") is None else _descriptor(data["config"])
    if media_type in INDEXES:
        if config is not None or data.get("layers") is not None:
            raise _invalid("an index has no config and no layers")
        references = [child["digest"] for child in _descriptors(data, "manifests")]
    else:
        if data.get("manifests") is not None:
            raise _invalid("only an index has manifests")
        blobs = ([] if config is None else [config]) + _descriptors(data, "layers")
        # Clients get foreign layers elsewhere.
        references = [blob["digest"] for blob in blobs if blob["mediaType"] not in FOREIGN_LAYERS]
    subject = None if data.get("subject") is None else str(_descriptor(data["subject"])["digest"])
    artifact_type = data.get("artifactType") or None
    if artifact_type is not None and not isinstance(artifact_type, str):
        raise _invalid("artifactType is not a string")
    if artifact_type is None and config is not None:
        artifact_type = config["mediaType"]
    return Document(media_type, tuple(references), subject, artifact_type, _annotations(data))


def _media_type(content_type: str, inside: Any) -> str:
    header = content_type.partition(";")[0].strip()
    if inside is not None and header and inside != header:
        raise _invalid(f"Content-Type is {header}, mediaType is {inside}")
    media_type = header or inside
    if not isinstance(media_type, str) or not media_type:
        raise _invalid("neither Content-Type nor mediaType is given")
    return media_type


def _annotations(data: dict[str, Any]) -> dict[str, str]:
    annotations = data.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise _invalid("annotations is not an object of strings")
    return annotations


def _descriptors(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    # Go writes an empty list as null.
    listed = data.get(key)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise _invalid(f"{key} is not a list")
    return [_descriptor(item) for item in listed]


def _descriptor(item: Any) -> dict[str, Any]:
    if (
        not isinstance(item, dict)
        or not isinstance(item.get("mediaType"), str)
        or not isinstance(item.get("size"), int)
        or item["size"] < 0
        or not isinstance(item.get("digest"), str)
    ):
        raise _invalid("a descriptor needs mediaType, digest and size")
    if not is_digest(item["digest"]):
        raise RegistryError(ErrorCode.DIGEST_INVALID, item["digest"])
    return item


def _invalid(detail: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, detail)

"""Manifests, tags and referrers (OCI distribution specification 1.1, spec.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from sim.oci.digests import digest_like, sha256_digest
from sim.oci.media_types import DOCKER_FOREIGN_LAYER, INDEXES, OCI_INDEX
from sim.oci.references import is_digest, is_tag
from sim.oci.registry.errors import ErrorCode, RegistryError
from sim.oci.registry.store import Repository, Store

#: The largest manifest that is taken; the specification asks for at least 4 MiB.
MAX_MANIFEST_BYTES = 4 * 1024 * 1024


class Manifests:
    """The endpoints below `/v2/<name>/manifests/`, `tags/` and `referrers/`, and `/v2/_catalog`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def manifest(self, request: web.Request, name: str, reference: str) -> web.StreamResponse:
        """GET and HEAD (end-3), PUT (end-7), DELETE (end-9) of a manifest by tag or digest."""
        if not is_digest(reference) and not is_tag(reference):
            code = ErrorCode.DIGEST_INVALID if ":" in reference else ErrorCode.MANIFEST_INVALID
            raise RegistryError(code, reference)
        match request.method:
            case "GET" | "HEAD":
                return self._get(name, reference)
            case "PUT":
                return await self._put(request, name, reference)
            case "DELETE":
                return self._delete(name, reference)
        raise RegistryError(ErrorCode.UNSUPPORTED)

    async def tags(self, request: web.Request, name: str) -> web.StreamResponse:
        """GET (end-8a, end-8b): the tags in lexical order, `n` of them after `last`."""
        _only_get(request)
        known = self._store.known(name)
        if known is None:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, name)
        page, headers = _page(request, sorted(known.tags, key=_lexical), f"/v2/{name}/tags/list")
        return _json({"name": name, "tags": page}, headers)

    async def catalog(self, request: web.Request) -> web.StreamResponse:
        """GET: the repositories, as the Docker registry API lists them."""
        _only_get(request)
        names = sorted(name for name, known in self._store.repositories.items() if known.manifests)
        page, headers = _page(request, sorted(names, key=_lexical), "/v2/_catalog")
        return _json({"repositories": page}, headers)

    async def referrers(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        """GET (end-12a, end-12b): an index of the manifests whose subject is `digest`; unknown ones have none."""
        _only_get(request)
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        found = list(self._referrers(self._store.known(name) or Repository(), digest))
        headers = {}
        wanted = request.query.get("artifactType")
        if wanted:
            found = [descriptor for descriptor in found if descriptor.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return _json(index, headers, content_type=OCI_INDEX)

    def _referrers(self, known: Repository, digest: str) -> Iterator[dict[str, Any]]:
        for referrer, media_type in sorted(known.manifests.items()):
            content = self._store.content_path(referrer).read_bytes()
            manifest = json.loads(content)
            subject = manifest.get("subject")
            if not isinstance(subject, dict) or subject.get("digest") != digest:
                continue
            descriptor: dict[str, Any] = {"mediaType": media_type, "digest": referrer, "size": len(content)}
            config = manifest.get("config")
            fallback = config.get("mediaType") if isinstance(config, dict) else None
            artifact_type = manifest.get("artifactType") or fallback
            if artifact_type:
                descriptor["artifactType"] = artifact_type
            if manifest.get("annotations"):
                descriptor["annotations"] = manifest["annotations"]
            yield descriptor

    def _resolve(self, name: str, reference: str) -> tuple[Repository, str]:
        known = self._store.known(name)
        if known is None:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, name)
        digest = reference if is_digest(reference) else known.tags.get(reference)
        if digest is None or digest not in known.manifests:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, reference)
        return known, digest

    def _get(self, name: str, reference: str) -> web.Response:
        known, digest = self._resolve(name, reference)
        return web.Response(
            body=self._store.content_path(digest).read_bytes(),
            headers={
                "Content-Type": known.manifests[digest],
                "Docker-Content-Digest": digest,
                "ETag": f'"{digest}"',
            },
        )

    async def _put(self, request: web.Request, name: str, reference: str) -> web.Response:
        content = bytearray()
        async for chunk in request.content.iter_any():
            content += chunk
            if len(content) > MAX_MANIFEST_BYTES:
                raise RegistryError(
                    ErrorCode.SIZE_INVALID, f"a manifest has at most {MAX_MANIFEST_BYTES} bytes", status=413
                )
        raw = bytes(content)
        digest = digest_like(reference, raw) if is_digest(reference) else sha256_digest(raw)
        if is_digest(reference) and digest != reference:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"the content is {digest}")
        manifest = _parsed(raw)
        media_type = _media_type(request, manifest)
        self._check_references(name, manifest, media_type)
        self._store.put_manifest(name, digest, media_type, raw)
        if not is_digest(reference):
            self._store.put_tag(name, reference, digest)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        subject = manifest.get("subject")
        if isinstance(subject, dict):
            headers["OCI-Subject"] = str(subject["digest"])
        return web.Response(status=201, headers=headers)

    def _check_references(self, name: str, manifest: dict[str, Any], media_type: str) -> None:
        known = self._store.known(name) or Repository()
        if media_type in INDEXES:
            for child in _descriptors(manifest, "manifests"):
                if child["digest"] not in known.manifests:
                    raise RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, child["digest"])
        else:
            blobs = _descriptors(manifest, "layers")
            if "config" in manifest:
                blobs.append(_descriptor(manifest["config"]))
            for blob in blobs:
                foreign = blob["mediaType"] == DOCKER_FOREIGN_LAYER or bool(blob.get("urls"))
                if not foreign and blob["digest"] not in known.blobs:
                    raise RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, blob["digest"])
        if manifest.get("subject") is not None:
            # The subject itself may come later, or never.
            _descriptor(manifest["subject"])

    def _delete(self, name: str, reference: str) -> web.Response:
        self._resolve(name, reference)
        if is_digest(reference):
            self._store.delete_manifest(name, reference)
        else:
            self._store.delete_tag(name, reference)
        return web.Response(status=202)


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
    except ValueError as error:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise RegistryError(ErrorCode.MANIFEST_INVALID, "not a JSON object")
    if manifest.get("schemaVersion") != 2:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, "schemaVersion is not 2")
    return manifest


def _media_type(request: web.Request, manifest: dict[str, Any]) -> str:
    header = request.headers.get("Content-Type", "").partition(";")[0].strip()
    inside = manifest.get("mediaType")
    if inside is not None and header and inside != header:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"Content-Type is {header}, mediaType is {inside}")
    media_type = header or inside
    if not isinstance(media_type, str) or not media_type:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, "neither Content-Type nor mediaType is given")
    return media_type


def _descriptors(manifest: dict[str, Any], key: str) -> list[dict[str, Any]]:
    listed = manifest.get(key, [])
    if not isinstance(listed, list):
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"{key} is not a list")
    return [_descriptor(item) for item in listed]


def _descriptor(item: Any) -> dict[str, Any]:
    if (
        not isinstance(item, dict)
        or not isinstance(item.get("mediaType"), str)
        or not isinstance(item.get("size"), int)
        or not isinstance(item.get("digest"), str)
    ):
        raise RegistryError(ErrorCode.MANIFEST_INVALID, "a descriptor needs mediaType, digest and size")
    if not is_digest(item["digest"]):
        raise RegistryError(ErrorCode.DIGEST_INVALID, item["digest"])
    return item


def _page(request: web.Request, names: list[str], path: str) -> tuple[list[str], dict[str, str]]:
    last = request.query.get("last")
    if last is not None:
        names = [name for name in names if _lexical(name) > _lexical(last)]
    text = request.query.get("n")
    if text is None:
        return names, {}
    if not text.isascii() or not text.isdigit():
        raise RegistryError(ErrorCode.PAGINATION_NUMBER_INVALID, text)
    count = int(text)
    page = names[:count]
    if not page or len(page) == len(names):
        return page, {}
    return page, {"Link": f'<{path}?n={count}&last={page[-1]}>; rel="next"'}


def _lexical(name: str) -> tuple[str, str]:
    return name.lower(), name


def _only_get(request: web.Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise RegistryError(ErrorCode.UNSUPPORTED)


def _json(data: Any, headers: dict[str, str], content_type: str = "application/json") -> web.Response:
    return web.Response(body=json.dumps(data).encode(), headers=headers, content_type=content_type)

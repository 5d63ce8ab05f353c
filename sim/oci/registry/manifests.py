"""Manifests and tags: pull, push and deletion (OCI distribution specification 1.1, spec.md)."""

from __future__ import annotations

from aiohttp import web

from sim.oci.digests import digest_like, sha256_digest
from sim.oci.references import is_digest, is_tag
from sim.oci.registry.conditions import entity_tag, unmet
from sim.oci.registry.documents import read_document
from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed
from sim.oci.registry.store import Repository, Store

#: The largest manifest that is taken; the specification asks for at least 4 MiB.
MAX_MANIFEST_BYTES = 4 * 1024 * 1024


class Manifests:
    """The endpoint `/v2/<name>/manifests/<reference>`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def manifest(self, request: web.Request, name: str, reference: str) -> web.StreamResponse:
        """GET and HEAD (end-3), PUT (end-7), DELETE (end-9) of a manifest by tag or digest."""
        if ":" in reference and not is_digest(reference):
            raise RegistryError(ErrorCode.DIGEST_INVALID, reference)
        match request.method:
            case "GET" | "HEAD":
                return self._get(request, name, reference)
            case "PUT":
                return await self._put(request, name, reference)
            case "DELETE":
                return self._delete(request, name, reference)
        raise not_allowed("GET", "HEAD", "PUT", "DELETE")

    def _resolve(self, name: str, reference: str) -> tuple[Repository, str]:
        known = self._store.known(name)
        if known is None:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, name)
        digest = known.digest_of(reference)
        if digest is None:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, reference)
        return known, digest

    def _get(self, request: web.Request, name: str, reference: str) -> web.Response:
        known, digest = self._resolve(name, reference)
        return unmet(request, digest) or web.Response(
            body=self._store.content_path(digest).read_bytes(),
            headers={
                "Content-Type": known.manifests[digest],
                "Docker-Content-Digest": digest,
                "ETag": entity_tag(digest),
            },
        )

    async def _put(self, request: web.Request, name: str, reference: str) -> web.Response:
        # A push by digest may name its tags beside it.
        tags = request.query.getall("tag", []) if is_digest(reference) else [reference]
        for tag in tags:
            if not is_tag(tag):
                raise RegistryError(ErrorCode.MANIFEST_INVALID, f"{tag!r} is not a tag")
        raw = await _body(request)
        digest = digest_like(reference, raw) if is_digest(reference) else sha256_digest(raw)
        if is_digest(reference) and digest != reference:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"the content is {digest}")
        document = read_document(raw, request.headers.get("Content-Type", ""))
        known = self._store.known(name) or Repository()
        missing = [wanted for wanted in dict.fromkeys(document.references) if not known.has(wanted)]
        if missing:
            raise RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, *missing)
        answered = unmet(request, known.digest_of(reference))
        if answered is not None:
            return answered
        self._store.put_manifest(name, digest, document.media_type, raw)
        for tag in tags:
            self._store.put_tag(name, tag, digest)
        response = web.Response(
            status=201,
            headers={"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest},
        )
        if document.subject is not None:
            response.headers["OCI-Subject"] = document.subject
        if is_digest(reference):
            for tag in tags:
                response.headers.add("OCI-Tag", tag)
        return response

    def _delete(self, request: web.Request, name: str, reference: str) -> web.Response:
        _, digest = self._resolve(name, reference)
        answered = unmet(request, digest)
        if answered is not None:
            return answered
        if is_digest(reference):
            self._store.delete_manifest(name, reference)
        else:
            self._store.delete_tag(name, reference)
        return web.Response(status=202)


async def _body(request: web.Request) -> bytes:
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > MAX_MANIFEST_BYTES:
            raise RegistryError(
                ErrorCode.SIZE_INVALID, f"a manifest has at most {MAX_MANIFEST_BYTES} bytes", status=413
            )
    return bytes(content)

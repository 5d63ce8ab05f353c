"""What there is: tags, referrers and repositories (OCI distribution specification 1.1, spec.md, Content Discovery)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from aiohttp import web

from sim.oci.media_types import OCI_INDEX
from sim.oci.references import is_digest
from sim.oci.registry.documents import read_document
from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed
from sim.oci.registry.manifests import MAX_MANIFEST_BYTES
from sim.oci.registry.store import Repository, Store


class Discovery:
    """The endpoints `/v2/<name>/tags/list` and `/v2/<name>/referrers/<digest>`, and `/v2/_catalog`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tags(self, request: web.Request, name: str) -> web.StreamResponse:
        """GET (end-8a, end-8b): the tags in lexical order, `n` of them after `last`."""
        _only_get(request)
        known = self._store.known(name)
        if known is None:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, name)
        page, headers = _page(request, list(known.tags), f"/v2/{name}/tags/list")
        return _json({"name": name, "tags": page}, headers)

    async def catalog(self, request: web.Request) -> web.StreamResponse:
        """GET: the repositories, as the Docker registry API lists them."""
        _only_get(request)
        names = [name for name, known in self._store.repositories.items() if known.manifests]
        page, headers = _page(request, names, "/v2/_catalog")
        return _json({"repositories": page}, headers)

    async def referrers(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        """GET (end-12a, end-12b): an index of the manifests whose subject is `digest`; unknown ones have none.

        An index never exceeds what a manifest may have; the Link header then leads to the next one.
        """
        _only_get(request)
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        artifact_type = request.query.get("artifactType")
        found: list[dict[str, Any]] = []
        size_bytes, link = 0, ""
        for descriptor in self._referrers(self._store.known(name) or Repository(), digest):
            if artifact_type and descriptor.get("artifactType") != artifact_type:
                continue
            if descriptor["digest"] <= request.query.get("last", ""):
                continue
            size_bytes += len(json.dumps(descriptor)) + len(", ")
            if found and size_bytes > MAX_MANIFEST_BYTES - 1024:
                link = f"/v2/{name}/referrers/{digest}?last={found[-1]['digest']}"
                break
            found.append(descriptor)
        headers = {}
        if artifact_type:
            headers["OCI-Filters-Applied"] = "artifactType"
            link = link and f"{link}&artifactType={quote(artifact_type, safe='')}"
        if link:
            headers["Link"] = f'<{link}>; rel="next"'
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return _json(index, headers, content_type=OCI_INDEX)

    def _referrers(self, known: Repository, digest: str) -> Iterator[dict[str, Any]]:
        """Read anew each time, so that nothing can get out of step with what is pushed and deleted."""
        for referrer, media_type in sorted(known.manifests.items()):
            content = self._store.content_path(referrer).read_bytes()
            document = read_document(content, media_type)
            if document.subject != digest:
                continue
            descriptor: dict[str, Any] = {"mediaType": media_type, "digest": referrer, "size": len(content)}
            if document.artifact_type is not None:
                descriptor["artifactType"] = document.artifact_type
            if document.annotations:
                descriptor["annotations"] = document.annotations
            yield descriptor


def _page(request: web.Request, names: list[str], path: str) -> tuple[list[str], dict[str, str]]:
    names.sort(key=_lexical)
    last = request.query.get("last")
    if last is not None:
        names = [name for name in names if _lexical(name) > _lexical(last)]
    text = request.query.get("n")
    if text is None:
        return names, {}
    if not text.isascii() or not text.isdigit():
        raise RegistryError(ErrorCode.UNSUPPORTED, f"n is {text}, which is no number", status=400)
    # So many digits are more than there can be tags, and int() takes no end of them.
    count = int(text) if len(text) < 10 else len(names)
    page = names[:count]
    if not page or len(page) == len(names):
        return page, {}
    return page, {"Link": f'<{path}?n={count}&last={page[-1]}>; rel="next"'}


def _lexical(name: str) -> tuple[str, str]:
    return name.lower(), name


def _only_get(request: web.Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise not_allowed("GET", "HEAD")


def _json(data: Any, headers: dict[str, str], content_type: str = "application/json") -> web.Response:
    return web.Response(body=json.dumps(data).encode(), headers=headers, content_type=content_type)

"""Pushing blobs: uploads at once, in chunks and resumed, and mounts (OCI distribution specification 1.1, spec.md)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from sim.clock import Clock
from sim.oci.digests import file_digest_like
from sim.oci.references import DIGEST_ALGORITHMS, is_digest, is_repository
from sim.oci.registry.blobs import SMALL_BYTES
from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed
from sim.oci.registry.store import Store

#: An upload that nothing was heard of for so long is dropped.
ABANDONED_S = 24 * 3600.0

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(?P<first>\d{1,18})-(?P<last>\d{1,18})(?:/(?:\d+|\*))?", re.ASCII)


@dataclass(slots=True)
class Upload:
    """An unfinished upload. `lock` keeps two requests for the same upload apart."""

    repository: str
    path: Path
    heard_of_ns: int
    size_bytes: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """The endpoints below `/v2/<name>/blobs/uploads/`.

    With `automatic_mount` a mount that names no source is served from whichever repository has the blob.
    """

    def __init__(self, store: Store, clock: Clock, *, automatic_mount: bool = True) -> None:
        self._store = store
        self._clock = clock
        self._automatic_mount = automatic_mount
        self._uploads: dict[str, Upload] = {}

    async def start(
        self, request: web.Request, name: str, may_pull: Callable[[str], bool] = lambda _: True
    ) -> web.StreamResponse:
        """POST (end-4a, end-4b, end-11): a new upload, a whole blob at once, or a mount.

        `may_pull` tells from which repositories this client may mount. A mount that can't be is a new upload.
        """
        if request.method != "POST":
            raise not_allowed("POST")
        digest, algorithm = request.query.get("digest"), request.query.get("digest-algorithm")
        if digest is not None and not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        if algorithm is not None and algorithm not in DIGEST_ALGORITHMS:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"{algorithm} is not one of {', '.join(DIGEST_ALGORITHMS)}")
        mount = request.query.get("mount")
        if mount is not None and self._mountable(mount, request.query.get("from"), may_pull):
            self._store.link_blob(name, mount)
            return _created(name, mount)
        self._drop_abandoned()
        upload_id, path = self._store.new_upload()
        upload = Upload(name, path, self._clock.monotonic_ns())
        if digest is None:
            self._uploads[upload_id] = upload
            return _accepted(upload_id, upload)
        try:
            await _receive(request, upload)
            return await self._finish(upload, digest)
        finally:
            path.unlink(missing_ok=True)

    async def upload(self, request: web.Request, name: str, upload_id: str) -> web.StreamResponse:
        """PATCH (end-5), PUT (end-6), GET and HEAD (end-13) and DELETE of an upload that was started."""
        if request.method not in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
            raise not_allowed("GET", "HEAD", "PATCH", "PUT", "DELETE")
        upload = self._uploads.get(upload_id)
        if upload is None or upload.repository != name:
            raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, upload_id)
        async with upload.lock:
            if upload_id not in self._uploads:
                raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, upload_id)
            upload.heard_of_ns = self._clock.monotonic_ns()
            match request.method:
                case "PATCH":
                    await self._receive_in_order(request, upload_id, upload)
                    return _accepted(upload_id, upload)
                case "PUT":
                    return await self._close(request, upload_id, upload)
                case "DELETE":
                    self._forget(upload_id)
                    return web.Response(status=204)
            return _accepted(upload_id, upload, status=204)

    def _mountable(self, digest: str, source: str | None, may_pull: Callable[[str], bool]) -> bool:
        if not is_digest(digest):
            return False
        if source is not None:
            known = self._store.known(source) if is_repository(source) else None
            return known is not None and digest in known.blobs and may_pull(source)
        return self._automatic_mount and any(
            digest in known.blobs and may_pull(name) for name, known in self._store.repositories.items()
        )

    async def _close(self, request: web.Request, upload_id: str, upload: Upload) -> web.Response:
        digest = request.query.get("digest", "")
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        await self._receive_in_order(request, upload_id, upload)
        try:
            return await self._finish(upload, digest)
        finally:
            self._forget(upload_id)

    async def _receive_in_order(self, request: web.Request, upload_id: str, upload: Upload) -> None:
        text = request.headers.get("Content-Range")
        if text is None:
            await _receive(request, upload)
            return
        match = _CONTENT_RANGE.fullmatch(text.strip())
        if match is None or int(match["first"]) != upload.size_bytes or int(match["last"]) < int(match["first"]):
            raise RegistryError(
                ErrorCode.BLOB_UPLOAD_INVALID,
                f"the range is {text}, but the next byte is {upload.size_bytes}",
                status=416,
                headers=_progress(upload_id, upload),
            )
        before = upload.size_bytes
        await _receive(request, upload)
        received = upload.size_bytes - before
        if received != int(match["last"]) - int(match["first"]) + 1:
            with upload.path.open("r+b") as file:
                file.truncate(before)
            upload.size_bytes = before
            raise RegistryError(ErrorCode.SIZE_INVALID, f"the range is {text}, but {received} bytes came")

    async def _finish(self, upload: Upload, digest: str) -> web.Response:
        if upload.size_bytes > SMALL_BYTES:
            actual = await asyncio.to_thread(_digest_of, upload.path, digest)
        else:
            actual = _digest_of(upload.path, digest)
        if actual != digest:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"the content is {actual}")
        self._store.adopt(upload.path, digest)
        self._store.link_blob(upload.repository, digest)
        return _created(upload.repository, digest)

    def _drop_abandoned(self) -> None:
        oldest_ns = self._clock.monotonic_ns() - round(ABANDONED_S * 1e9)
        for upload_id, upload in list(self._uploads.items()):
            if upload.heard_of_ns < oldest_ns and not upload.lock.locked():
                self._forget(upload_id)

    def _forget(self, upload_id: str) -> None:
        self._uploads.pop(upload_id).path.unlink(missing_ok=True)


def _digest_of(path: Path, digest: str) -> str:
    with path.open("rb") as file:
        return file_digest_like(digest, file)


async def _receive(request: web.Request, upload: Upload) -> None:
    """Append the request's body; what came before a broken connection stays, to be resumed from."""
    with upload.path.open("ab", buffering=0) as file:
        async for chunk in request.content.iter_any():
            file.write(chunk)
            upload.size_bytes += len(chunk)


def _progress(upload_id: str, upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload_id}",
        "Range": f"0-{max(upload.size_bytes - 1, 0)}",
        "Docker-Upload-UUID": upload_id,
    }


def _accepted(upload_id: str, upload: Upload, status: int = 202) -> web.Response:
    return web.Response(status=status, headers=_progress(upload_id, upload))


def _created(name: str, digest: str) -> web.Response:
    return web.Response(
        status=201,
        headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest},
    )

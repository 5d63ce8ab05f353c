"""Blobs: pull, the upload protocol, mounts and deletion (OCI distribution specification 1.1, spec.md)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from sim.oci.digests import file_digest_like
from sim.oci.references import is_digest, is_repository
from sim.oci.registry.errors import ErrorCode, RegistryError
from sim.oci.registry.store import Store

#: Blobs up to this size are answered from memory: one write, no thread.
SMALL_BYTES = 128 * 1024

_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(?P<first>\d{1,18})-(?P<last>\d{1,18})(?:/(?:\d+|\*))?")


@dataclass(slots=True)
class Upload:
    """An unfinished upload. `lock` keeps two requests for the same upload apart."""

    repository: str
    path: Path
    size_bytes: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Blobs:
    """The endpoints below `/v2/<name>/blobs/`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: dict[str, Upload] = {}

    async def blob(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        """GET and HEAD (end-2), with a Range; DELETE (end-10)."""
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        known = self._store.known(name)
        if known is None or (digest not in known.blobs and digest not in known.manifests):
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, digest)
        if request.method == "DELETE":
            if digest not in known.blobs:
                raise RegistryError(ErrorCode.BLOB_UNKNOWN, digest)
            self._store.unlink_blob(name, digest)
            return web.Response(status=202)
        if request.method not in ("GET", "HEAD"):
            raise RegistryError(ErrorCode.UNSUPPORTED)
        path = self._store.content_path(digest)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "Accept-Ranges": "bytes",
        }
        size_bytes = path.stat().st_size
        status, (first, end) = 200, (0, size_bytes)
        wanted = byte_range(request.headers.get("Range", ""), size_bytes)
        if wanted is not None:
            status, (first, end) = 206, wanted
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size_bytes}"
        if end - first > SMALL_BYTES and request.method == "GET":
            return await _send_file(request, path, first, end, status, headers)
        return web.Response(status=status, headers=headers, body=_read(path, first, end))

    async def start(self, request: web.Request, name: str) -> web.StreamResponse:
        """POST (end-4a, end-4b, end-11): a new upload, a whole blob at once, or a mount."""
        if request.method != "POST":
            raise RegistryError(ErrorCode.UNSUPPORTED)
        mount = request.query.get("mount")
        if mount is not None and self._mountable(mount, request.query.get("from")):
            self._store.link_blob(name, mount)
            return _created(name, mount)
        upload_id, path = self._store.new_upload()
        upload = Upload(name, path)
        digest = request.query.get("digest")
        if digest is None:
            self._uploads[upload_id] = upload
            return self._accepted(upload_id, upload)
        try:
            await _receive(request, upload)
            return await self._finish(upload, digest)
        finally:
            path.unlink(missing_ok=True)

    async def upload(self, request: web.Request, name: str, upload_id: str) -> web.StreamResponse:
        """PATCH (end-5), PUT (end-6), GET (end-13) and DELETE of an upload that was started."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.repository != name:
            raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, upload_id)
        async with upload.lock:
            if upload_id not in self._uploads:
                raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, upload_id)
            match request.method:
                case "GET":
                    return self._accepted(upload_id, upload, status=204)
                case "DELETE":
                    self._forget(upload_id)
                    return web.Response(status=204)
                case "PATCH":
                    await self._receive_in_order(request, upload_id, upload)
                    return self._accepted(upload_id, upload)
                case "PUT":
                    digest = request.query.get("digest", "")
                    if not is_digest(digest):
                        raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
                    await self._receive_in_order(request, upload_id, upload)
                    try:
                        return await self._finish(upload, digest)
                    finally:
                        self._forget(upload_id)
        raise RegistryError(ErrorCode.UNSUPPORTED)

    def _mountable(self, digest: str, source: str | None) -> bool:
        if not is_digest(digest):
            return False
        if source is not None:
            known = self._store.known(source) if is_repository(source) else None
            return known is not None and digest in known.blobs
        return any(digest in known.blobs for known in self._store.repositories.values())

    async def _receive_in_order(self, request: web.Request, upload_id: str, upload: Upload) -> None:
        text = request.headers.get("Content-Range")
        if text is None:
            await _receive(request, upload)
            return
        match = _CONTENT_RANGE.fullmatch(text.strip())
        if match is None or int(match["first"]) != upload.size_bytes or int(match["last"]) < int(match["first"]):
            raise RegistryError(
                ErrorCode.RANGE_INVALID,
                f"{text}, but the next byte is {upload.size_bytes}",
                headers=self._progress(upload_id, upload),
            )
        before = upload.size_bytes
        await _receive(request, upload)
        if upload.size_bytes - before != int(match["last"]) - int(match["first"]) + 1:
            received = upload.size_bytes - before
            with upload.path.open("r+b") as file:
                file.truncate(before)
            upload.size_bytes = before
            raise RegistryError(ErrorCode.SIZE_INVALID, f"{text}, but {received} bytes came")

    async def _finish(self, upload: Upload, digest: str) -> web.Response:
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        if upload.size_bytes > SMALL_BYTES:
            actual = await asyncio.to_thread(_digest_of, upload.path, digest)
        else:
            actual = _digest_of(upload.path, digest)
        if actual != digest:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"the content is {actual}")
        self._store.adopt(upload.path, digest)
        self._store.link_blob(upload.repository, digest)
        return _created(upload.repository, digest)

    def _forget(self, upload_id: str) -> None:
        self._uploads.pop(upload_id).path.unlink(missing_ok=True)

    def _progress(self, upload_id: str, upload: Upload) -> dict[str, str]:
        return {
            "Location": f"/v2/{upload.repository}/blobs/uploads/{upload_id}",
            "Range": f"0-{max(upload.size_bytes - 1, 0)}",
            "Docker-Upload-UUID": upload_id,
        }

    def _accepted(self, upload_id: str, upload: Upload, status: int = 202) -> web.Response:
        return web.Response(status=status, headers=self._progress(upload_id, upload))


def byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a Range header asks for.

    None for what is not a single range of bytes: everything is meant then (RFC 9110, 14.2). Raises RegistryError
    RANGE_INVALID where there are no such bytes.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first = int(match["first"]) if match["first"] else None
    last = int(match["last"]) if match["last"] else None
    if first is None and last is None:
        return None
    if first is None:
        first, last = max(size_bytes - (last or 0), 0), size_bytes - 1
    elif last is not None and last < first:
        return None
    if first >= size_bytes:
        raise RegistryError(ErrorCode.RANGE_INVALID, header, headers={"Content-Range": f"bytes */{size_bytes}"})
    return first, size_bytes if last is None else min(last + 1, size_bytes)


async def _send_file(
    request: web.Request, path: Path, first: int, end: int, status: int, headers: dict[str, str]
) -> web.StreamResponse:
    """Send a part of a file without copying it through this process, where there is no TLS."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = end - first
    await response.prepare(request)
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    with path.open("rb") as file:
        await asyncio.get_running_loop().sendfile(request.transport, file, first, end - first)
    await response.write_eof()
    return response


def _read(path: Path, first: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(end - first)


def _digest_of(path: Path, digest: str) -> str:
    with path.open("rb") as file:
        return file_digest_like(digest, file)


async def _receive(request: web.Request, upload: Upload) -> None:
    """Append the request's body; what came before a broken connection stays, to be resumed from."""
    with upload.path.open("ab", buffering=0) as file:
        async for chunk in request.content.iter_any():
            file.write(chunk)
            upload.size_bytes += len(chunk)


def _created(name: str, digest: str) -> web.Response:
    return web.Response(
        status=201,
        headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest},
    )

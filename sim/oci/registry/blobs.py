"""Blobs: pull and deletion (OCI distribution specification 1.1, spec.md)."""

from __future__ import annotations

import asyncio
import re
from io import BufferedReader
from pathlib import Path

from aiohttp import web

from sim.oci.references import is_digest
from sim.oci.registry.conditions import entity_tag, range_applies, unmet
from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed
from sim.oci.registry.store import Store

#: Blobs up to this size are answered from memory: one write, no thread.
SMALL_BYTES = 128 * 1024

_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})", re.IGNORECASE | re.ASCII)


class Blobs:
    """The endpoint `/v2/<name>/blobs/<digest>`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def blob(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        """GET and HEAD (end-2), GET with a Range; DELETE (end-10)."""
        if not is_digest(digest):
            raise RegistryError(ErrorCode.DIGEST_INVALID, digest)
        match request.method:
            case "GET" | "HEAD":
                return await self._pull(request, name, digest)
            case "DELETE":
                known = self._store.known(name)
                if known is None or digest not in known.blobs:
                    raise RegistryError(ErrorCode.BLOB_UNKNOWN, digest)
                self._store.unlink_blob(name, digest)
                return web.Response(status=202)
        raise not_allowed("GET", "HEAD", "DELETE")

    async def _pull(self, request: web.Request, name: str, digest: str) -> web.StreamResponse:
        known = self._store.known(name)
        # A manifest is content like any other, and clients may take it for a blob.
        if known is None or not known.has(digest):
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, digest)
        answered = unmet(request, digest)
        if answered is not None:
            return answered
        path = self._store.content_path(digest)
        size_bytes = path.stat().st_size
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "ETag": entity_tag(digest),
            "Accept-Ranges": "bytes",
        }
        status, first, end = 200, 0, size_bytes
        wanted = byte_range(request.headers.get("Range", ""), size_bytes) if range_applies(request, digest) else None
        if wanted is not None:
            status, (first, end) = 206, wanted
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size_bytes}"
        # Given here, because the answer to HEAD has no body to count.
        headers["Content-Length"] = str(end - first)
        if request.method == "HEAD":
            return web.Response(status=status, headers=headers)
        if end - first > SMALL_BYTES:
            return await _send_file(request, path, first, end, status, headers)
        return web.Response(status=status, headers=headers, body=_read(path, first, end))


def byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a Range header asks for (RFC 9110, 14.1.2).

    None for what is not a single range of bytes: everything is meant then. Raises RegistryError with status 416 where
    there are no such bytes, or the range is turned round.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or (not match["first"] and not match["last"]):
        return None
    last = int(match["last"]) if match["last"] else None
    if match["first"]:
        first = int(match["first"])
    else:
        first, last = max(size_bytes - (last or 0), 0), None
    if first >= size_bytes or (last is not None and last < first):
        # The specification has no code for this; the header says what there is.
        raise RegistryError(
            ErrorCode.SIZE_INVALID, header, status=416, headers={"Content-Range": f"bytes */{size_bytes}"}
        )
    return first, size_bytes if last is None else min(last + 1, size_bytes)


async def _send_file(
    request: web.Request, path: Path, first: int, end: int, status: int, headers: dict[str, str]
) -> web.StreamResponse:
    """Send a part of a file without copying it through this process, where there is no TLS."""
    # Opened before anything is promised: it may be deleted meanwhile.
    with path.open("rb") as file:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await _send_open_file(request, file, first, end - first)
        await response.write_eof()
        return response


async def _send_open_file(request: web.Request, file: BufferedReader, offset: int, count: int) -> None:
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    await asyncio.get_running_loop().sendfile(request.transport, file, offset, count)


def _read(path: Path, first: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(end - first)

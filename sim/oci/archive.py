"""Taking one file out of an archive that nobody vouches for: nothing is written to disk, nothing is believed.

`plugin_member` does what pilot-agent does with a layer (istio `pkg/wasm/imagefetcher.go`), `unboxed` what it does
with a file from an HTTP server (istio `pkg/wasm/httpfetcher.go`).
"""

from __future__ import annotations

import io
import tarfile
import zlib
from posixpath import basename
from typing import IO, cast

from sim.oci.fetch_error import MAX_BYTES, FetchError, TooLargeError
from sim.oci.images import PLUGIN_FILE

#: The most files that are looked at in one archive.
MAX_MEMBERS = 65_536

_WASM_MAGIC = b"\x00asm"
_GZIP_MAGIC = b"\x1f\x8b"
_USTAR_AT, _USTAR = 257, b"ustar"
_INPUT_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 16
_GZIP_WBITS = 31


def is_wasm(content: bytes) -> bool:
    """Whether the content starts as a Wasm module does, by the agent's own test: magic number and length."""
    return len(content) >= 8 and content[:4] == _WASM_MAGIC


def plugin_member(layer: bytes, limit_bytes: int = MAX_BYTES) -> bytes:
    """The content of the first file of a tar+gzip layer whose base name is `plugin.wasm`.

    The archive is unpacked only as far as that file, and at most `limit_bytes` of it. Raises FetchError: `invalid`
    when there is none, when it is no regular file, when the archive is broken, or (TooLargeError) when it is too large.
    """
    reader = GunzipReader(layer, limit_bytes)
    names: list[str] = []
    try:
        with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r:") as archive:
            while (member := archive.next()) is not None:
                if basename(member.name.rstrip("/")) == PLUGIN_FILE:
                    return _content(reader, member, limit_bytes)
                if len(names) == MAX_MEMBERS:
                    raise _invalid(f"more than {MAX_MEMBERS} files are in the archive")
                names.append(member.name)
    except zlib.error as error:
        raise _invalid(f"the gzip data is broken: {error}") from error
    except EOFError as error:
        raise _invalid(f"the archive is cut off: {error}") from error
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise _invalid(f"the layer is no tar archive: {error}") from error
    found = ", ".join(names[:5]) or "nothing"
    raise FetchError(
        "invalid",
        f"{PLUGIN_FILE} is not in the archive, which holds {found}",
        hint=f"the agent takes only a file called {PLUGIN_FILE}: rename it before it is packed",
    )


def unboxed(content: bytes, limit_bytes: int = MAX_BYTES) -> bytes:
    """The Wasm module in what an HTTP server sent: itself, or out of gzip, tar or both, however nested.

    Of a tar archive its first file counts, whatever its name. What can't be opened, or opens into something
    that is no module, is returned as it came, for the caller to refuse. Raises TooLargeError.
    """
    boxed = content
    while not is_wasm(boxed):
        inner = _opened(boxed, limit_bytes)
        if inner is None:
            return content
        boxed = inner
    return boxed


def _opened(boxed: bytes, limit_bytes: int) -> bytes | None:
    try:
        if boxed[:2] == _GZIP_MAGIC:
            return GunzipReader(boxed, limit_bytes).read_all()
        if boxed[_USTAR_AT : _USTAR_AT + len(_USTAR)] == _USTAR:
            with tarfile.open(fileobj=io.BytesIO(boxed), mode="r:") as archive:
                member = archive.next()
                if member is None or member.issparse() or member.offset_data + member.size > len(boxed):
                    return None
                return boxed[member.offset_data : member.offset_data + member.size]
    except (zlib.error, EOFError, tarfile.TarError, ValueError, OverflowError):
        return None
    return None


def _content(reader: GunzipReader, member: tarfile.TarInfo, limit_bytes: int) -> bytes:
    if not member.isreg() or member.issparse():
        raise _invalid(f"{member.name} is not a regular file")
    if member.size > limit_bytes:
        raise TooLargeError(limit_bytes)
    reader.seek(member.offset_data)
    content = reader.read(member.size)
    if len(content) < member.size:
        raise _invalid(f"{member.name} is cut off after {len(content)} of {member.size} bytes")
    return content


def _invalid(message: str) -> FetchError:
    return FetchError("invalid", message, hint="build and push the image again")


class GunzipReader:
    """Reads gzip data forwards, inflating only what is asked for, as a file that `tarfile` can walk.

    Raises TooLargeError when more than `limit_bytes` would come out, zlib.error for what is no gzip data, EOFError
    where the data ends within a stream.
    """

    def __init__(self, data: bytes, limit_bytes: int = MAX_BYTES) -> None:
        self._input = memoryview(data)
        self._input_at = 0
        self._pending: bytes = b""
        self._inflate = zlib.decompressobj(_GZIP_WBITS)
        self._limit_bytes = limit_bytes
        self._inflated_bytes = 0
        self._buffer = b""
        self._buffer_at = 0

    def tell(self) -> int:
        return self._inflated_bytes - len(self._buffer) + self._buffer_at

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Go forwards to a position; what lies between is inflated and dropped."""
        behind = position - self.tell()
        if whence != io.SEEK_SET or behind < 0:
            raise ValueError("gzip data is read forwards only")
        while behind > 0:
            skipped = len(self.read(min(behind, _INPUT_BYTES)))
            if skipped == 0:
                break
            behind -= skipped
        return self.tell()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end only."""
        end = self._buffer_at + size
        taken = self._buffer[self._buffer_at : end]
        self._buffer_at += len(taken)
        wanted = size - len(taken)
        if wanted <= 0:
            return taken
        parts = [taken] if taken else []
        while wanted > 0:
            # A large piece goes straight through; small ones are cut from a buffer.
            piece = self._inflated(max(wanted, _BUFFER_BYTES) if wanted < _BUFFER_BYTES else wanted)
            if not piece:
                break
            if len(piece) > wanted:
                self._buffer, self._buffer_at = piece, wanted
                piece = piece[:wanted]
            else:
                self._buffer, self._buffer_at = b"", 0
            parts.append(piece)
            wanted -= len(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_all(self) -> bytes:
        """Everything that is left."""
        parts = [self._buffer[self._buffer_at :]]
        self._buffer, self._buffer_at = b"", 0
        while piece := self._inflated(_INPUT_BYTES):
            parts.append(piece)
        return b"".join(parts)

    def _inflated(self, most: int) -> bytes:
        """Between 1 and `most` bytes, none at the end of the last stream."""
        while True:
            if self._inflate.eof and not self._next_stream():
                return b""
            if not self._pending and self._input_at < len(self._input):
                piece = self._input[self._input_at : self._input_at + _INPUT_BYTES]
                self._input_at += len(piece)
                out = self._inflate.decompress(piece, most)
            else:
                had_input = bool(self._pending)
                out = self._inflate.decompress(self._pending, most)
                if not out and not had_input and not self._inflate.eof:
                    raise EOFError("the gzip stream has no end")
            self._pending = self._inflate.unconsumed_tail
            if out:
                self._inflated_bytes += len(out)
                if self._inflated_bytes > self._limit_bytes:
                    raise TooLargeError(self._limit_bytes)
                return out

    def _next_stream(self) -> bool:
        """gzip data may be several streams in a row; whatever else follows one is ignored."""
        unused = self._inflate.unused_data
        rest = unused + bytes(self._input[self._input_at : self._input_at + 2 - min(len(unused), 2)])
        if rest[:2] != _GZIP_MAGIC:
            return False
        self._inflate = zlib.decompressobj(_GZIP_WBITS)
        self._pending = unused
        return True

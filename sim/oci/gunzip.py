"""gzip, inflated forwards and only as far as is asked for: nobody vouches for what is inside."""

from __future__ import annotations

import io
import zlib

from sim.oci.fetch_error import MAX_BYTES, TooLargeError

GZIP_MAGIC = b"\x1f\x8b"

_INPUT_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 16
_GZIP_WBITS = 31


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
        """gzip data may be several streams in a row, and nothing else may follow one."""
        unused = self._inflate.unused_data
        rest = unused + bytes(self._input[self._input_at : self._input_at + 2 - min(len(unused), 2)])
        if not rest:
            return False
        if rest[:2] != GZIP_MAGIC:
            raise zlib.error("something else follows the gzip data")
        self._inflate = zlib.decompressobj(_GZIP_WBITS)
        self._pending = unused
        return True

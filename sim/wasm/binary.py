"""Bytes of the WebAssembly binary format (core specification, section 5): a bounded reader, LEB128, names."""

from __future__ import annotations

from sim.errors import SimError

MAX_MODULE_BYTES = 256 * 1024 * 1024


class MalformedModule(SimError):
    """Bytes that are no well-formed Wasm module. `offset` counts from the start of the file."""

    exit_code = 2

    def __init__(self, what: str, *, offset: int, hint: str | None = None) -> None:
        super().__init__(f"malformed Wasm module at offset {offset} (0x{offset:x}): {what}", hint=hint)
        self.what = what
        self.offset = offset


class Reader:
    """Reads forward through `data[offset:end]` and never past it; every shortfall is a MalformedModule.

    Offsets are the file's, whatever part of it is read.
    """

    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        self._data = data
        self.offset = offset
        self.end = len(data) if end is None else end

    @property
    def remaining_bytes(self) -> int:
        return self.end - self.offset

    def fail(self, what: str) -> MalformedModule:
        return MalformedModule(what, offset=self.offset)

    def byte(self, what: str) -> int:
        if self.offset >= self.end:
            raise self.fail(f"ends before {what}")
        value = self._data[self.offset]
        self.offset += 1
        return value

    def take(self, size_bytes: int, what: str) -> bytes:
        if size_bytes > self.remaining_bytes:
            raise self.fail(f"{what} takes {size_bytes} bytes where {self.remaining_bytes} are left")
        start = self.offset
        self.offset += size_bytes
        return self._data[start : self.offset]

    def skip(self, size_bytes: int, what: str) -> None:
        if size_bytes > self.remaining_bytes:
            raise self.fail(f"{what} takes {size_bytes} bytes where {self.remaining_bytes} are left")
        self.offset += size_bytes

    def u32(self, what: str) -> int:
        """An unsigned LEB128 of at most 32 bits; padded encodings are allowed, as in the specification."""
        return self.unsigned(what, 32)

    def unsigned(self, what: str, bits: int) -> int:
        """The same of `bits` bits."""
        start, value = self.offset, 0
        for index in range(-(-bits // 7)):
            piece = self.byte(what)
            value |= (piece & 0x7F) << (7 * index)
            if not piece & 0x80:
                if value >> bits:
                    break
                return value
        self.offset = start
        raise self.fail(f"{what} is no {bits}-bit number")

    def skip_leb(self, max_bytes: int, what: str) -> None:
        """Passes over a LEB128 of either sign whose value doesn't matter."""
        for _ in range(max_bytes):
            if not self.byte(what) & 0x80:
                return
        raise self.fail(f"{what} is longer than {max_bytes} bytes")

    def count(self, what: str, smallest_item_bytes: int = 1) -> int:
        """A vector's length, refused where that many items can't fit into what is left."""
        start = self.offset
        count = self.u32(f"the number of {what}")
        if count * smallest_item_bytes > self.remaining_bytes:
            self.offset = start
            raise self.fail(f"{count} {what} don't fit into the section")
        return count

    def name(self, what: str) -> str:
        size_bytes = self.u32(f"the length of {what}")
        start = self.offset
        try:
            return self.take(size_bytes, what).decode("utf-8")
        except UnicodeDecodeError as error:
            self.offset = start
            raise self.fail(f"{what} is not UTF-8") from error

    def finish(self, what: str) -> None:
        """Refuses bytes behind the end of what has been read."""
        if self.remaining_bytes:
            raise self.fail(f"{self.remaining_bytes} bytes too many in {what}")


def encode_u32(value: int) -> bytes:
    """The shortest unsigned LEB128 of `value`, which fits into 32 bits."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_name(text: str) -> bytes:
    raw = text.encode("utf-8")
    return encode_u32(len(raw)) + raw

"""Small modules, put together by hand, for tests: what they export and import is all there is to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HEADER = b"\0asm\x01\0\0\0"
ABI_0_2_1 = "proxy_abi_version_0_2_1"
ABI_HIGRESS = "proxy_abi_version_0_2_100"

CUSTOM, TYPE, IMPORT, FUNCTION, MEMORY, EXPORT, CODE, DATA = 0, 1, 2, 3, 5, 7, 10, 11
FUNC, TABLE_KIND, MEMORY_KIND, GLOBAL_KIND = 0, 1, 2, 3


def leb(value: int) -> bytes:
    """An unsigned LEB128, as short as it can be."""
    out = b""
    while value > 0x7F:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def name(text: str) -> bytes:
    raw = text.encode()
    return leb(len(raw)) + raw


def section(number: int, payload: bytes) -> bytes:
    return bytes((number,)) + leb(len(payload)) + payload


def custom(title: str, payload: bytes = b"") -> bytes:
    return section(CUSTOM, name(title) + payload)


def export_section(exports: Iterable[tuple[str, int, int]]) -> bytes:
    """Of name, kind and index."""
    entries = [name(text) + bytes((kind,)) + leb(index) for text, kind, index in exports]
    return section(EXPORT, leb(len(entries)) + b"".join(entries))


#: Types 0 to 3: () → (), and one to three i32 → i32.
_TYPES = b"\x04" + b"\x60\0\0" + b"".join(b"\x60" + leb(n) + b"\x7f" * n + b"\x01\x7f" for n in (1, 2, 3))
_OF_A_MESSAGE = (
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_request_body",
    "proxy_on_response_body",
)
#: Their bodies: nothing, and 1 for "yes", which a pointer may be too.
_NOTHING, _ONE = b"\x02\x00\x0b", b"\x04\x00\x41\x01\x0b"


def plugin(
    *,
    abis: Sequence[str] = (ABI_0_2_1,),
    imports: Sequence[tuple[str, str]] = (),
    allocator: str | None = "proxy_on_memory_allocate",
    callbacks: Sequence[str] = ("proxy_on_vm_start", "proxy_on_configure"),
    data: Sequence[bytes] = (),
    more: bytes = b"",
) -> bytes:
    """A plugin that Envoy loads and whose callbacks all return 1: yes, or, for a message's headers, wait for ever.

    Each import is a function of type () → (), so Envoy names those that it has, too: as a type mismatch. `data` are
    data segments, `more` sections behind everything.
    """
    count = len(imports)
    exports = [(abi, FUNC, count) for abi in abis]
    exports += [(allocator, FUNC, count + 1)] if allocator else []
    exports += [(callback, FUNC, count + (3 if callback in _OF_A_MESSAGE else 2)) for callback in callbacks]
    exports.append(("memory", MEMORY_KIND, 0))
    segments = b"".join(b"\x01" + leb(len(segment)) + segment for segment in data)
    return (
        HEADER
        + section(TYPE, _TYPES)
        + (section(IMPORT, leb(count) + b"".join(name(m) + name(n) + b"\0\0" for m, n in imports)) if count else b"")
        + section(FUNCTION, b"\x04\x00\x01\x02\x03")
        + section(MEMORY, b"\x01\x00\x01")
        + export_section(exports)
        + section(CODE, b"\x04" + _NOTHING + _ONE * 3)
        + (section(DATA, leb(len(data)) + segments) if data else b"")
        + more
    )

"""Modules that are well formed section by section, and that Envoy refuses because their parts do not fit together."""

from __future__ import annotations

from tests.wasm_modules import (
    CODE,
    DATA,
    EXPORT,
    FUNC,
    FUNCTION,
    HEADER,
    MEMORY,
    MEMORY_KIND,
    TYPE,
    custom,
    export_section,
    leb,
    plugin,
    section,
)

TABLE, GLOBAL, START = 4, 6, 8

SOUND = plugin(callbacks=["proxy_on_vm_start", "proxy_on_configure", "proxy_on_response_trailers"])
_TYPES_AT = SOUND.index(b"\x60\0\0") - 1


def _changed(number: int, payload: bytes | None) -> bytes:
    """SOUND with a section in place of its own, at the place where it belongs; None: without it."""
    order = (TYPE, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, CODE, DATA)
    sections, offset = {}, len(HEADER)
    while offset < len(SOUND):
        # Every section of it is longer than a byte can tell at most once: its exports.
        size = SOUND[offset + 1] & 0x7F | (SOUND[offset + 2] << 7 if SOUND[offset + 1] & 0x80 else 0)
        start = offset + (3 if SOUND[offset + 1] & 0x80 else 2)
        sections[SOUND[offset]] = SOUND[start : start + size]
        offset = start + size
    if payload is None:
        del sections[number]
    else:
        sections[number] = payload
    return HEADER + b"".join(section(id, sections[id]) for id in order if id in sections)


def _exporting(name: str, kind: int, index: int) -> bytes:
    more = [(name, kind, index), ("proxy_abi_version_0_2_1", FUNC, 0), ("proxy_on_memory_allocate", FUNC, 1)]
    made = export_section([*more, ("proxy_on_vm_start", FUNC, 2), ("proxy_on_configure", FUNC, 2)])
    return _changed(EXPORT, made[2:])


_AT_A_MEGABYTE = b"\x01\x00\x41\x80\x80\xc0\x00\x0b\x01x"

#: What is wrong, the module, and what is told of it.
BROKEN = [
    ("more types than fit", _changed(TYPE, b"\xff\xff\xff\xff\x0f\x60\0\0"), "4294967295 types don't fit"),
    ("an unknown form of type", _changed(TYPE, b"\x01\x40\0\0"), "0x40 is no form of a type"),
    ("an unknown value type", _changed(TYPE, b"\x01\x60\x01\x11\0"), "0x11 is no value type"),
    ("a type that is not there", _changed(FUNCTION, b"\x04\x00\x01\x02\x7f"), "type 127 is used, and there are 4"),
    ("bytes behind the functions", _changed(FUNCTION, b"\x04\x00\x01\x02\x03\x00"), "too many in the function section"),
    ("data without memory", HEADER + section(DATA, b"\x01\x00\x41\x00\x0b\x01x"), "for memory 0, and there is none"),
    ("no memory that it exports", _changed(MEMORY, None), "'memory' is memory 0, and there is none"),
    ("a memory of 65537 pages", _changed(MEMORY, b"\x01\x00" + leb(65537)), "65537 pages is more than the 65536"),
    ("a memory of 4 GiB", _changed(MEMORY, b"\x01\x00" + leb(65536)), "65536 pages, 4 GiB"),
    ("a memory of a page over a GiB", _changed(MEMORY, b"\x01\x00" + leb(16385)), "Envoy gives 16384 at most"),
    ("a memory above its maximum", _changed(MEMORY, b"\x01\x01\x05\x02"), "begins with 5 and may have 2 at most"),
    ("a maximum of 65537 pages", _changed(MEMORY, b"\x01\x01\x01" + leb(65537)), "65537 pages"),
    ("a shared memory without maximum", _changed(MEMORY, b"\x01\x02\x02"), "can't be shared"),
    ("unknown limits", _changed(MEMORY, b"\x01\x08\x02"), "no flags 8"),
    ("data behind the memory", _changed(DATA, _AT_A_MEGABYTE), "data segment 0 ends at byte 1048577"),
    ("data below address 0", _changed(DATA, b"\x01\x00\x41\x7f\x0b\x01x"), "data segment 0 ends at byte 4294967296"),
    ("data in a memory that is not there", _changed(DATA, b"\x01\x02\x03\x41\x00\x0b\x01x"), "for memory 3"),
    ("a table of a number", _changed(TABLE, b"\x01\x7f\x00\x01"), "a table holds references only"),
    ("a huge table", _changed(TABLE, b"\x01\x70\x00" + leb(10_000_001)), "begins with 10000001 elements"),
    ("a shared table", _changed(TABLE, b"\x01\x70\x03\x01\x02"), "a table can't be shared"),
    ("a global of no type", _changed(GLOBAL, b"\x01\x11\x00\x41\x00\x0b"), "0x11 is no value type"),
    ("a global of no mutability", _changed(GLOBAL, b"\x01\x7f\x02\x41\x00\x0b"), "0x02 is no mutability"),
    ("an exported function that is not there", _exporting("x", FUNC, 99), "'x' is func 99, and there are 4"),
    ("an exported memory that is not there", _exporting("x", MEMORY_KIND, 1), "'x' is memory 1, and there are 1"),
    ("a callback of a wrong type", _exporting("proxy_on_request_headers", FUNC, 2), "(i32, i32) → (i32), and the host"),
    ("an allocator of a wrong type", _exporting("malloc", FUNC, 3), "malloc is of type (i32, i32, i32) → (i32)"),
    ("a start function that is not there", _changed(START, b"\x63"), "function 99 is to start it"),
    ("a start function with parameters", _changed(START, b"\x01"), "the start function is of type (i32) → (i32)"),
    ("a body of a wrong length", _changed(CODE, b"\x04\x7f\x00\x0b" + b"\x04\x00\x41\x01\x0b" * 3), "a function body"),
    ("a name section of garbage", SOUND + custom("name", b"\xff" * 30), "a subsection's size"),
    ("names that end elsewhere", SOUND + custom("name", b"\x01\x02\x00\x00"), "do not end where they should"),
]
#: What looks as odd, and Envoy takes.
ODD = [
    ("two memories", _changed(MEMORY, b"\x02\x00\x01\x00\x01")),
    ("a memory of 64 bits", _changed(MEMORY, b"\x01\x04\x01")),
    ("a shared memory", _changed(MEMORY, b"\x01\x03\x01\x02")),
    ("a maximum of 65536 pages", _changed(MEMORY, b"\x01\x01\x01" + leb(65536))),
    ("a memory of a GiB", _changed(MEMORY, b"\x01\x00" + leb(16384))),
    ("a table of 64 bits", _changed(TABLE, b"\x01\x70\x04\x01")),
    ("data up to the memory's end", _changed(DATA, b"\x01\x00\x41\xff\xff\x03\x0b\x01x")),
    ("a start function", _changed(START, b"\x00")),
    ("a global of a vector", _changed(GLOBAL, b"\x01\x7b\x00\xfd\x0c" + bytes(16) + b"\x0b")),
    ("a group of types", _changed(TYPE, b"\x01\x4e\x04" + SOUND[_TYPES_AT + 1 : SOUND.index(b"\x03\x05\x04\x00")])),
    ("other names", SOUND + custom("name", b"\x00\x02\x01x" + b"\x01\x04\x01\x00\x01f")),
]

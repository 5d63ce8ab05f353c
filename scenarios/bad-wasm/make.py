"""Makes the modules of this scenario: `python make.py` writes them beside this file, always the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sim.wasm.binary import encode_name, encode_u32

HEADER = b"\0asm\x01\0\0\0"
TYPE, IMPORT, FUNCTION, MEMORY, EXPORT, CODE = 1, 2, 3, 5, 7, 10
FUNC_KIND, MEMORY_KIND = 0, 2
#: () → (), (i32) → i32, (i32, i32) → i32
TYPES = b"\x60\x00\x00", b"\x60\x01\x7f\x01\x7f", b"\x60\x02\x7f\x7f\x01\x7f"
NOTHING, ONE, TRAP = b"\x00\x0b", b"\x00\x41\x01\x0b", b"\x00\x00\x0b"


def section(number: int, items: Iterable[bytes]) -> bytes:
    listed = list(items)
    content = encode_u32(len(listed)) + b"".join(listed)
    return bytes((number,)) + encode_u32(len(content)) + content


def module(*, imported: tuple[str, str] | None = None, start: bytes = NOTHING) -> bytes:
    """A plugin that does nothing. `imported` is a function that it wants, `start` the body of its `_start`."""
    functions = {
        "proxy_abi_version_0_2_1": (0, NOTHING),
        "_start": (0, start),
        "proxy_on_memory_allocate": (1, ONE),
        "proxy_on_vm_start": (2, ONE),
        "proxy_on_configure": (2, ONE),
    }
    first = 0 if imported is None else 1
    exports = [
        encode_name(name) + bytes((FUNC_KIND,)) + encode_u32(first + number) for number, name in enumerate(functions)
    ]
    bodies = [body for _, body in functions.values()]
    imports = [] if imported is None else [encode_name(imported[0]) + encode_name(imported[1]) + b"\x00\x00"]
    return (
        HEADER
        + section(TYPE, TYPES)
        + (section(IMPORT, imports) if imports else b"")
        + section(FUNCTION, (encode_u32(kind) for kind, _ in functions.values()))
        + section(MEMORY, [b"\x00\x01"])
        + section(EXPORT, [*exports, encode_name("memory") + bytes((MEMORY_KIND,)) + b"\x00"])
        + section(CODE, (encode_u32(len(body)) + body for body in bodies))
    )


def modules() -> dict[str, bytes]:
    """By file name."""
    return {
        "cut-off.wasm": module()[:-20],
        "unknown-import.wasm": module(imported=("env", "proxy_redis_init")),
        "trap-at-start.wasm": module(start=TRAP),
    }


if __name__ == "__main__":
    for name, content in modules().items():
        (Path(__file__).parent / name).write_bytes(content)

"""Ballast: functions that nobody calls and Envoy compiles, so that a small plugin loads as slowly as a large one."""

from __future__ import annotations

import random
from dataclasses import replace

from sim.errors import InvalidInput
from sim.wasm.binary import Reader, encode_u32
from sim.wasm.module import Section, SectionId, parse

#: So many fit into the registry's and the agent's limits with room to spare.
MAX_FUNCTIONS = 200_000

#: (i32) → i32
_TYPE = b"\x60\x01\x7f\x01\x7f"
_ROUNDS = 4
_PIECES = 64
_PIECES_EACH = 3
_END = b"\x0b"
_LOCAL_GET, _LOCAL_SET, _I32_CONST, _IF = b"\x20\x00", b"\x21\x00", b"\x41", b"\x04\x40"
_I32_AND, _I32_MUL, _I32_XOR, _I32_SHR_U = b"\x71", b"\x6c", b"\x73", b"\x76"


def with_ballast(module: bytes, functions: int) -> bytes:
    """The module with so many more functions, each of some 330 bytes and hardly one like another.

    The same number gives the same bytes. What the module does stays as it is: the functions come behind its own, and
    nothing refers to them. Raises InvalidInput for a number that is out of range, and for a module without code;
    MalformedModule for bytes that are no module.
    """
    if not 1 <= functions <= MAX_FUNCTIONS:
        raise InvalidInput(
            f"{functions} functions of ballast are out of range", hint=f"write a number from 1 to {MAX_FUNCTIONS}"
        )
    parsed = parse(module)
    if any(parsed.section(id) is None for id in (SectionId.TYPE, SectionId.FUNCTION, SectionId.CODE)):
        raise InvalidInput("the module has no code, so nothing can be added to it", hint="take one with functions")
    types = parsed.section(SectionId.TYPE)
    assert types is not None
    type_index = Reader(types.payload).u32("the number of types")
    lots = random.Random(functions)
    pieces = [_piece(lots) for _ in range(_PIECES)]
    added = {
        SectionId.TYPE: (1, _TYPE),
        SectionId.FUNCTION: (functions, encode_u32(type_index) * functions),
        SectionId.CODE: (functions, b"".join(_function(lots, pieces) for _ in range(functions))),
    }
    sections = [_longer(section, *added[section.id]) if section.id in added else section for section in parsed.sections]
    return replace(parsed, sections=tuple(sections)).serialize()


def _longer(section: Section, count: int, items: bytes) -> Section:
    """The section, which is a vector, with so many more items at its end."""
    reader = Reader(section.payload)
    payload = encode_u32(reader.u32("a count") + count) + section.payload[reader.offset :] + items
    return replace(section, payload=payload, size_encoding=encode_u32(len(payload)))


def _piece(lots: random.Random) -> bytes:
    """Arithmetic with branches in it, which an optimising compiler can't fold."""
    return b"".join(
        _LOCAL_GET + _I32_CONST + _signed(1 << lots.randrange(31)) + _I32_AND + _IF
        + _LOCAL_GET + _I32_CONST + _signed(lots.getrandbits(30) | 1) + _I32_MUL
        + _LOCAL_GET + _I32_CONST + _signed(lots.randrange(1, 31)) + _I32_SHR_U + _I32_XOR + _LOCAL_SET + _END
        for _ in range(_ROUNDS)
    )  # fmt: skip


def _function(lots: random.Random, pieces: list[bytes]) -> bytes:
    content = b"\x00" + b"".join(lots.choices(pieces, k=_PIECES_EACH)) + _LOCAL_GET + _END
    return encode_u32(len(content)) + content


def _signed(value: int) -> bytes:
    """The LEB128 of a number that is not negative, as a signed one."""
    encoded = bytearray()
    while value > 0x3F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

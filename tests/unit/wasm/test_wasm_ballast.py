"""Ballast: more functions, and otherwise the same module. That an engine takes it shows scenarios/slow-compile."""

from __future__ import annotations

import pytest

from sim.errors import InvalidInput
from sim.wasm import MalformedModule, SectionId, bundled, parse, stamp, stamped_version
from sim.wasm.ballast import MAX_FUNCTIONS, with_ballast
from sim.wasm.binary import Reader

MARKER = stamp(bundled("marker").module, "1.2.3")


def bodies(module: bytes) -> list[bytes]:
    """The function bodies, read item by item."""
    code = parse(module).section(SectionId.CODE)
    assert code is not None
    reader = Reader(code.payload)
    found = [reader.take(reader.u32("a size"), "a body") for _ in range(reader.count("bodies"))]
    reader.finish("the code section")
    return found


@pytest.mark.parametrize("count", [1, 200, 20_000])
def test_so_many_functions_come_behind_the_modules_own(count: int) -> None:
    heavy = with_ballast(MARKER, count)
    before, after = bodies(MARKER), bodies(heavy)
    assert after[: len(before)] == before
    assert len(after) == len(before) + count
    assert parse(heavy).function_count == len(after)


def test_everything_else_stays_as_it_is() -> None:
    light, heavy = parse(MARKER), parse(with_ballast(MARKER, 100))
    touched = {SectionId.TYPE, SectionId.FUNCTION, SectionId.CODE}
    assert [section.id for section in heavy.sections] == [section.id for section in light.sections]
    for old, new in zip(light.sections, heavy.sections, strict=True):
        assert (new.payload == old.payload) is (old.id not in touched), old.id
    assert heavy.exports == light.exports
    assert stamped_version(heavy.serialize()) == "1.2.3"


def test_the_added_functions_have_the_added_type() -> None:
    heavy = parse(with_ballast(MARKER, 3))
    types, functions = heavy.section(SectionId.TYPE), heavy.section(SectionId.FUNCTION)
    assert types is not None and functions is not None
    count = Reader(types.payload).u32("types")
    assert types.payload.endswith(b"\x60\x01\x7f\x01\x7f")
    assert functions.payload[-3:] == bytes((count - 1,)) * 3


def test_the_same_number_gives_the_same_bytes_and_functions_differ() -> None:
    assert with_ballast(MARKER, 500) == with_ballast(MARKER, 500)
    added = bodies(with_ballast(MARKER, 500))[-500:]
    assert len(set(added)) > 490
    assert 250 < sum(map(len, added)) / 500 < 400


@pytest.mark.parametrize("count", [0, -1, MAX_FUNCTIONS + 1])
def test_a_number_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"from 1 to {MAX_FUNCTIONS}"):
        with_ballast(MARKER, count)


def test_what_has_no_code_and_what_is_no_module_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no code"):
        with_ballast(b"\0asm\x01\0\0\0", 1)
    with pytest.raises(MalformedModule):
        with_ballast(b"not wasm", 1)

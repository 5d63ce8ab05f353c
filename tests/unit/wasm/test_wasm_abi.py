"""The ABI shim: one export renamed, everything else byte for byte as it was."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim.wasm import MalformedModule, abi_versions, bundled, bundled_names, parse
from sim.wasm.abi import HIGRESS_ABI, SHIM_ABI, STOCK_ABIS, abi_number, needs_shim, shimmed, stock_abi
from tests.wasm_modules import (
    ABI_HIGRESS,
    CUSTOM,
    EXPORT,
    FUNC,
    HEADER,
    MEMORY_KIND,
    custom,
    export_section,
    leb,
    name,
    plugin,
    section,
)

NAMES = st.text(max_size=40)
#: Sections whose inside the shim does not look at.
OTHERS = st.lists(st.tuples(st.sampled_from([CUSTOM, 1, 3, 10, 11]), st.binary(max_size=200)), max_size=5)


def read(module: bytes) -> list[tuple[int, bytes]]:
    """Number and payload of each section, by a reader that is not the one under test."""
    at, found = len(HEADER), []
    while at < len(module):
        number, at = module[at], at + 1
        size, shift = 0, 0
        while True:
            piece, at = module[at], at + 1
            size |= (piece & 0x7F) << shift
            shift += 7
            if piece < 0x80:
                break
        found.append((number, module[at : at + size]))
        at += size
    return found


def sections(others: list[tuple[int, bytes]]) -> bytes:
    return b"".join(section(number, payload) for number, payload in others)


@given(
    before=OTHERS,
    after=OTHERS,
    others=st.lists(NAMES, unique=True, max_size=30),
    place=st.integers(0, 30),
    index=st.integers(0, 2**32 - 1),
)
@settings(max_examples=300, deadline=None)
def test_only_the_name_and_the_two_lengths_around_it_change(
    before: list[tuple[int, bytes]],
    after: list[tuple[int, bytes]],
    others: list[str],
    place: int,
    index: int,
) -> None:
    assume(not {HIGRESS_ABI, *STOCK_ABIS} & set(others))
    exports = [(text, FUNC, number) for number, text in enumerate(others)]
    place = min(place, len(exports))

    def built(abi: str) -> bytes:
        made = [*exports[:place], (abi, FUNC, index), *exports[place:]]
        return HEADER + sections(before) + export_section(made) + sections(after)

    original = built(HIGRESS_ABI)
    changed = shimmed(original)
    assert changed == built(SHIM_ABI)
    assert [(number, payload) for number, payload in read(changed) if number != EXPORT] == [*before, *after]
    assert shimmed(changed) is changed


@pytest.mark.parametrize(("filler", "lost"), [(90, 2), (95, 2), (96, 3), (97, 3), (98, 2), (16_349, 2), (16_351, 3)])
def test_the_length_of_the_section_may_lose_a_byte_of_its_own(filler: int, lost: int) -> None:
    """The name is two bytes shorter, so just above 128 and 16,384 bytes the length's own encoding is shorter too."""
    original = HEADER + export_section([("x" * filler, FUNC, 0), (HIGRESS_ABI, FUNC, 0)])
    changed = shimmed(original)
    assert changed == HEADER + export_section([("x" * filler, FUNC, 0), (SHIM_ABI, FUNC, 0)])
    assert len(original) - len(changed) == lost


def test_a_padded_length_of_the_section_becomes_a_short_one() -> None:
    """Go's linker writes five bytes for every section."""
    short = export_section([(HIGRESS_ABI, FUNC, 0)])
    padded = short[:1] + bytes((short[1] | 0x80, 0x80, 0x80, 0x80, 0x00)) + short[2:]
    assert shimmed(HEADER + padded) == HEADER + export_section([(SHIM_ABI, FUNC, 0)])


def test_the_name_is_not_looked_for_anywhere_else() -> None:
    text = name(HIGRESS_ABI)
    original = plugin(abis=[ABI_HIGRESS], data=[text * 3], more=custom("note", text))
    changed = shimmed(original)
    assert changed.count(HIGRESS_ABI.encode()) == original.count(HIGRESS_ABI.encode()) - 1
    assert parse(changed).data_segments[0].contents == text * 3
    assert abi_versions(changed) == (SHIM_ABI,)


def test_a_padded_length_elsewhere_stays_as_it_was_written() -> None:
    padded = bytes((CUSTOM,)) + b"\x85\x80\x80\x00" + b"\x04note"
    original = HEADER + padded + export_section([(HIGRESS_ABI, FUNC, 0)]) + padded
    assert shimmed(original) == HEADER + padded + export_section([(SHIM_ABI, FUNC, 0)]) + padded


@pytest.mark.parametrize("plugin_name", bundled_names())
def test_a_module_that_needs_no_shim_is_left_alone(plugin_name: str) -> None:
    module = bundled(plugin_name).module
    assert shimmed(module) is module
    assert stock_abi(parse(module).exports) == SHIM_ABI


@pytest.mark.parametrize(
    "exports",
    [
        [],
        [("memory", MEMORY_KIND, 0)],
        [(HIGRESS_ABI, MEMORY_KIND, 0)],
        [(HIGRESS_ABI, FUNC, 0), (SHIM_ABI, FUNC, 0)],
        [("proxy_abi_version_0_1_0", FUNC, 0), (HIGRESS_ABI, FUNC, 0)],
        [(HIGRESS_ABI, FUNC, 0), (SHIM_ABI, MEMORY_KIND, 0)],
        [("proxy_abi_version_0_3_0", FUNC, 0)],
    ],
)
def test_what_the_shim_can_not_or_need_not_mend_is_left_alone(exports: list[tuple[str, int, int]]) -> None:
    module = HEADER + export_section(exports)
    assert shimmed(module) is module
    assert not needs_shim(parse(module).exports)


def test_the_abi_is_the_first_function_that_envoy_knows_by_name() -> None:
    exports = [
        ("proxy_abi_version_0_2_1", MEMORY_KIND, 0),
        (HIGRESS_ABI, FUNC, 0),
        ("proxy_abi_version_0_2_0", FUNC, 0),
    ]
    assert stock_abi(parse(HEADER + export_section(exports)).exports) == "proxy_abi_version_0_2_0"
    assert stock_abi(parse(HEADER).exports) is None
    assert abi_number(HIGRESS_ABI) == "0.2.100"


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (b"", "does not begin as a module"),
        (b"\0asm\x02\0\0\0", "does not begin as a module"),
        (HEADER + b"\x07", "ends before a section's size"),
        (HEADER + b"\x07\x05\x01", "takes 5 bytes where 1 are left"),
        (HEADER + b"\x0e\x00", "14 is no section's id"),
        (HEADER + b"\x07\xff\xff\xff\xff\x1f", "no 32-bit number"),
        (HEADER + section(EXPORT, leb(1000)), "1000 exports don't fit"),
        (HEADER + section(EXPORT, b"\x01\x7fabc"), "takes 127 bytes where 3 are left"),
        (HEADER + section(EXPORT, b"\x01\x02\xff\xfe\x00\x00"), "not UTF-8"),
        (HEADER + section(EXPORT, b"\x01\x01a\x05\x00"), "5 is no kind of export"),
        (HEADER + section(EXPORT, b"\x01\x01a\x00\x00rest"), "4 bytes too many"),
        (HEADER + export_section([("a", FUNC, 0), ("a", FUNC, 0)]), "'a' is exported twice"),
        (HEADER + export_section([]) + export_section([]), "more than one export section"),
    ],
)
def test_a_malformed_module_is_refused_with_its_place(module: bytes, told: str) -> None:
    with pytest.raises(MalformedModule) as refused:
        shimmed(module)
    assert told in str(refused.value)
    assert 0 <= refused.value.offset <= len(module)


@given(
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 400),
)
@settings(max_examples=300)
def test_bytes_that_were_tampered_with_are_shimmed_soundly_or_refused(
    edits: list[tuple[int, int]], length: int
) -> None:
    module = bytearray(plugin(abis=[ABI_HIGRESS], more=custom("note", b"x" * 40)))
    for offset, value in edits:
        module[offset % len(module)] = value
    candidate = bytes(module[:length]) if length < len(module) else bytes(module)
    with contextlib.suppress(MalformedModule):
        changed = shimmed(candidate)
        if changed is not candidate:
            assert [payload for number, payload in read(changed) if number != EXPORT] == [
                payload for number, payload in read(candidate) if number != EXPORT
            ]

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.wasm import MalformedModule, SectionId, abi_versions, bundled, parse, rename_export
from sim.wasm.binary import MAX_MODULE_BYTES, encode_name, encode_u32

HEADER = b"\0asm\x01\0\0\0"
MODULE = bundled("request-block").module


def section(number: int, payload: bytes, size: bytes | None = None) -> bytes:
    return bytes((number,)) + (encode_u32(len(payload)) if size is None else size) + payload


def export_section(*names: str) -> bytes:
    entries = b"".join(encode_name(name) + b"\x00\x00" for name in names)
    return section(SectionId.EXPORT, encode_u32(len(names)) + entries)


def refusal(module: bytes) -> MalformedModule:
    with pytest.raises(MalformedModule) as caught:
        parse(module)
    return caught.value


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_parsed_or_refused_as_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedModule):
        parse(data)


@given(st.lists(st.tuples(st.integers(0, 15), st.binary(max_size=60)), max_size=6))
@settings(max_examples=300)
def test_arbitrary_sections_are_parsed_or_refused_and_what_is_parsed_serializes_to_itself(
    sections: list[tuple[int, bytes]],
) -> None:
    data = HEADER + b"".join(section(number, payload) for number, payload in sections)
    try:
        parsed = parse(data)
    except MalformedModule as refused:
        assert 0 <= refused.offset <= len(data)
    else:
        assert parsed.serialize() == data


@given(
    edits=st.lists(st.tuples(st.integers(0, len(MODULE) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    length=st.integers(0, len(MODULE)),
)
@settings(deadline=None)
def test_a_real_module_with_flipped_bytes_and_a_lost_tail_is_parsed_or_refused(
    edits: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(MODULE)
    for offset, value in edits:
        data[offset] = value
    for candidate in (bytes(data), bytes(data[:length])):
        with contextlib.suppress(MalformedModule):
            assert parse(candidate).serialize() == candidate


def test_an_unmodified_module_serializes_to_the_same_bytes() -> None:
    assert parse(MODULE).serialize() == MODULE


def test_a_padded_section_size_survives_serializing() -> None:
    padded = HEADER + section(SectionId.CUSTOM, encode_name("note") + b"x", size=b"\x86\x80\x80\x00")
    parsed = parse(padded)
    assert parsed.custom_sections == ("note",)
    assert parsed.serialize() == padded


def test_an_empty_module_is_a_module() -> None:
    parsed = parse(HEADER)
    assert (parsed.sections, parsed.imports, parsed.exports, parsed.function_count) == ((), (), (), 0)


def test_imports_of_every_kind_are_read() -> None:
    entries = [
        encode_name("env") + encode_name("f") + b"\x00\x05",
        encode_name("env") + encode_name("t") + b"\x01\x70\x01\x01\x10",
        encode_name("env") + encode_name("t2") + b"\x01\x63\x00\x00\x01",
        encode_name("env") + encode_name("m") + b"\x02\x00\x11",
        encode_name("env") + encode_name("g") + b"\x03\x7f\x00",
        encode_name("env") + encode_name("e") + b"\x04\x00\x03",
    ]
    parsed = parse(HEADER + section(SectionId.IMPORT, encode_u32(len(entries)) + b"".join(entries)))
    assert [(item.name, item.kind) for item in parsed.imports] == [
        *(("f", "func"), ("t", "table"), ("t2", "table")),
        *(("m", "memory"), ("g", "global"), ("e", "tag")),
    ]


def test_data_segments_of_every_mode_are_read_with_their_place_in_the_file() -> None:
    payload = (
        b"\x03"
        + b"\x00\x41\x80\x08\x0b\x03abc"  # active: i32.const 1024
        + b"\x01\x02de"  # passive
        + b"\x02\x00\x23\x00\x41\x08\x6a\x0b\x01f"  # active in memory 0: global.get 0 + 8
    )
    module = HEADER + section(SectionId.DATA, payload)
    segments = parse(module).data_segments
    assert [segment.contents for segment in segments] == [b"abc", b"de", b"f"]
    assert all(module[s.offset : s.offset + len(s.contents)] == s.contents for s in segments)


@pytest.mark.parametrize(
    ("module", "offset", "what"),
    [
        (b"", 0, "nothing"),
        (b"\x1f\x8b\x08\x00", 0, "1f 8b 08 00"),
        (b"\0asm", 4, "missing"),
        (b"\0asm\x0d\0\x01\0", 4, "0d 00 01 00"),
        (HEADER + b"\x0e\x00", 8, "14 is no section's id"),
        (HEADER + b"\x01\x05", 10, "5 bytes where 0 are left"),
        (HEADER + b"\x01\xff\xff\xff\xff\x7f", 9, "no 32-bit number"),
        (HEADER + b"\x01\x80\x80\x80\x80\x80\x00", 9, "no 32-bit number"),
        (HEADER + b"\x07\x01\x00\x02\x01\x00", 11, "out of order"),
        (HEADER + b"\x01\x01\x00\x01\x01\x00", 11, "repeated"),
        (HEADER + b"\x07\x02\x00\x00", 11, "1 bytes too many in the export section"),
        (HEADER + b"\x07\x05\xff\xff\xff\xff\x0f", 10, "4294967295 exports don't fit"),
        (HEADER + b"\x07\x05\x01\x01\xff\x00\x00", 12, "not UTF-8"),
        (HEADER + export_section("a", "a"), 15, "'a' is exported twice"),
        (HEADER + b"\x07\x05\x01\x01a\x09\x00", 13, "9 is no kind"),
        (HEADER + b"\x03\x02\x01\x00", 12, "1 functions are declared, 0 have a body"),
        (HEADER + b"\x0c\x01\x02", 11, "2 data segments are announced, 0 are there"),
        (HEADER + b"\x0b\x03\x01\x03\x00", 11, "no mode 3"),
        (HEADER + b"\x0b\x06\x01\x00\x10\x00\x0b\x00", 12, "instruction 0x10"),
        (HEADER + b"\x0b\x05\x01\x00\x41\x00\x41", 15, "ends before a constant"),
    ],
)
def test_a_malformed_module_is_refused_with_the_offset_and_what_is_wrong(module: bytes, offset: int, what: str) -> None:
    refused = refusal(module)
    assert what in refused.what
    assert refused.offset == offset
    assert str(offset) in str(refused)


def test_more_than_256_mb_are_refused_unread() -> None:
    assert "more than" in refusal(HEADER + bytes(MAX_MODULE_BYTES)).what


def test_a_hundred_thousand_nested_looking_instructions_end_without_recursion() -> None:
    payload = b"\x01\x00" + b"\x6a" * 100_000 + b"\x0b\x00"
    assert parse(HEADER + section(SectionId.DATA, payload)).data_segments[0].contents == b""


def test_abi_versions_are_the_exported_markers() -> None:
    module = HEADER + export_section("malloc", "proxy_abi_version_0_2_100", "proxy_abi_version_0_2_1")
    assert abi_versions(module) == ("proxy_abi_version_0_2_100", "proxy_abi_version_0_2_1")
    assert abi_versions(parse(HEADER)) == ()


@pytest.mark.parametrize("new", ["x", "proxy_abi_version_0_2_1", "n" * 300])
def test_renaming_an_export_changes_that_name_and_nothing_else(new: str) -> None:
    old = "proxy_abi_version_0_2_100"
    tail = section(SectionId.CUSTOM, encode_name("note") + old.encode())
    module = HEADER + export_section("a", old, "z") + tail
    renamed = rename_export(module, old, new)
    assert renamed == HEADER + export_section("a", new, "z") + tail
    assert rename_export(renamed, new, old) == module


def test_renaming_an_export_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="it exports a, b"):
        rename_export(HEADER + export_section("a", "b"), "c", "d")
    with pytest.raises(InvalidInput, match="it exports nothing"):
        rename_export(HEADER, "c", "d")


def test_renaming_an_export_to_a_taken_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="already exports 'b'"):
        rename_export(HEADER + export_section("a", "b"), "a", "b")


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6, unique=True), st.text(max_size=200))
def test_a_renamed_module_parses_with_the_new_name_in_the_old_place(names: list[str], new: str) -> None:
    if new in names[1:]:
        return
    renamed = parse(rename_export(HEADER + export_section(*names), names[0], new))
    assert [export.name for export in renamed.exports] == [new, *names[1:]]

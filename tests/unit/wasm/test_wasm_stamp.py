from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.wasm import MalformedModule, SectionId, bundled, parse, stamp, stamped_version
from sim.wasm.binary import encode_name, encode_u32

HEADER = b"\0asm\x01\0\0\0"
MODULE = bundled("request-block").module
PLACEHOLDER = b"<ecdsim:version:" + bytes(64) + b":ecdsim:version>"

versions = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=63)


def module_with_data(*segments: bytes, custom: bytes = b"") -> bytes:
    data = encode_u32(len(segments)) + b"".join(b"\x01" + encode_u32(len(s)) + s for s in segments)
    note = encode_name("note") + custom
    return (
        HEADER
        + bytes((SectionId.CUSTOM,))
        + encode_u32(len(note))
        + note
        + bytes((SectionId.DATA,))
        + encode_u32(len(data))
        + data
    )


@given(first=versions, second=versions)
@settings(deadline=None, max_examples=30)
def test_a_stamped_version_is_read_back_and_the_last_stamp_wins(first: str, second: str) -> None:
    once = stamp(MODULE, first)
    assert stamped_version(once) == first
    assert stamp(once, second) == stamp(MODULE, second)


def test_a_stamp_changes_only_the_version_field() -> None:
    stamped = stamp(MODULE, "2.0.0")
    assert len(stamped) == len(MODULE)
    changed = [offset for offset in range(len(MODULE)) if stamped[offset] != MODULE[offset]]
    assert len(changed) == len("2.0.0") and changed[-1] - changed[0] == 4
    assert parse(stamped).exports == parse(MODULE).exports


def test_the_bundled_module_is_not_stamped() -> None:
    assert stamped_version(MODULE) is None


@pytest.mark.parametrize("version", ["", "x" * 64, "1.0\n", "1.0\0", "版本", "\x7f"])
def test_a_version_that_does_not_fit_or_print_is_refused(version: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 63 printable ASCII"):
        stamp(MODULE, version)


def test_the_marks_outside_the_data_section_are_no_placeholder() -> None:
    module = module_with_data(b"nothing", custom=PLACEHOLDER)
    assert stamped_version(module) is None
    with pytest.raises(InvalidInput, match="no place for a version"):
        stamp(module, "1")


def test_a_placeholder_split_between_segments_or_without_its_end_is_none() -> None:
    assert stamped_version(module_with_data(PLACEHOLDER[:40], PLACEHOLDER[40:])) is None
    assert stamped_version(module_with_data(PLACEHOLDER[:-1])) is None


@pytest.mark.parametrize("segments", [(PLACEHOLDER, PLACEHOLDER), (PLACEHOLDER + b"." + PLACEHOLDER,)])
def test_two_placeholders_are_refused(segments: tuple[bytes, ...]) -> None:
    module = module_with_data(*segments)
    with pytest.raises(InvalidInput, match="2 places for a version"):
        stamp(module, "1")
    with pytest.raises(InvalidInput, match="2 places for a version"):
        stamped_version(module)


@pytest.mark.parametrize("field", [b"x" * 64, b"1.0\0leftover", b"\xff"])
def test_a_damaged_version_field_is_refused(field: bytes) -> None:
    damaged = PLACEHOLDER[:16] + field.ljust(64, b"\0") + PLACEHOLDER[-16:]
    with pytest.raises(InvalidInput, match="damaged"):
        stamped_version(module_with_data(damaged))


def test_bytes_that_are_no_module_are_refused_as_malformed() -> None:
    with pytest.raises(MalformedModule):
        stamp(PLACEHOLDER, "1")

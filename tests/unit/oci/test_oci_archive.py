"""Unpacking: one wanted file out of archives that nobody vouches for."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.oci import FetchError, TooLargeError, compressed, is_wasm, plugin_member, tar_archive, unboxed
from sim.oci.archive import MAX_BOXES
from sim.oci.gunzip import GunzipReader

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256)) * 4
MIB = 1024 * 1024


def layer(members: dict[str, bytes]) -> bytes:
    return compressed(tar_archive(members))


def special(make: Callable[[tarfile.TarInfo], None], name: str = "plugin.wasm") -> bytes:
    """A layer with one member that is not a regular file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        make(member)
        archive.addfile(member)
    return compressed(made.getvalue())


@pytest.mark.parametrize(
    "name", ["plugin.wasm", "./plugin.wasm", "a/b/plugin.wasm", "../../plugin.wasm", "/plugin.wasm"]
)
def test_a_member_counts_by_its_base_name_and_is_written_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert plugin_member(layer({"other": b"x", name: MODULE})) == MODULE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["main.wasm", "plugin.wasm.bak", "xplugin.wasm", "plugin.wasm/other"])
def test_another_name_is_not_found_and_the_refusal_lists_what_is_there(name: str) -> None:
    with pytest.raises(FetchError, match=r"plugin\.wasm is not in the archive") as refused:
        plugin_member(layer({name: MODULE}))
    assert refused.value.reason == "invalid"
    assert name in refused.value.message


def test_the_first_of_several_counts() -> None:
    assert plugin_member(layer({"a/plugin.wasm": MODULE, "b/plugin.wasm": b"other"})) == MODULE


def test_a_long_name_is_read() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("long/" * 60 + "plugin.wasm")
        member.size = len(MODULE)
        archive.addfile(member, io.BytesIO(MODULE))
    assert plugin_member(compressed(made.getvalue())) == MODULE


def test_several_gzip_streams_in_a_row_are_one_archive() -> None:
    archive = tar_archive({"other": b"y" * 5000, "plugin.wasm": MODULE})
    assert plugin_member(gzip.compress(archive[:700]) + gzip.compress(archive[700:])) == MODULE


def test_garbage_behind_the_gzip_data_is_met_only_by_who_reads_so_far() -> None:
    assert plugin_member(layer({"plugin.wasm": MODULE, "after": bytes(MIB)}) + b"garbage") == MODULE
    with pytest.raises(FetchError, match="something else follows"):
        plugin_member(gzip.compress(tar_archive({"other": b"x"})[:700]) + b"garbage")


def test_what_lies_behind_the_wanted_member_is_not_unpacked() -> None:
    whole = layer({"plugin.wasm": MODULE, "after": bytes(8 * MIB)})
    assert plugin_member(whole, limit_bytes=MIB) == MODULE


def _symlink(member: tarfile.TarInfo) -> None:
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"


def _hardlink(member: tarfile.TarInfo) -> None:
    member.type, member.linkname = tarfile.LNKTYPE, "/etc/passwd"


def _device(member: tarfile.TarInfo) -> None:
    member.type = tarfile.CHRTYPE


def _directory(member: tarfile.TarInfo) -> None:
    member.type = tarfile.DIRTYPE


def _fifo(member: tarfile.TarInfo) -> None:
    member.type = tarfile.FIFOTYPE


@pytest.mark.parametrize("make", [_symlink, _hardlink, _device, _directory, _fifo])
def test_a_member_that_is_no_regular_file_is_refused(make: Callable[[tarfile.TarInfo], None]) -> None:
    with pytest.raises(FetchError, match="not a regular file"):
        plugin_member(special(make))


def test_a_link_that_claims_a_size_has_no_content_all_the_same() -> None:
    def claim(member: tarfile.TarInfo) -> None:
        _symlink(member)
        member.size = 512

    with pytest.raises(FetchError, match="not a regular file"):
        plugin_member(special(claim))


def test_a_contiguous_file_is_a_file() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("plugin.wasm")
        member.type, member.size = tarfile.CONTTYPE, len(MODULE)
        archive.addfile(member, io.BytesIO(MODULE))
    assert plugin_member(compressed(made.getvalue())) == MODULE


def test_a_sparse_member_is_refused_whatever_size_it_claims() -> None:
    member = tarfile.TarInfo("plugin.wasm")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(format=tarfile.GNU_FORMAT))
    header[386:398] = header[398:410] = b"00000000000\x00"
    header[483:495] = b"77777777777\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    with pytest.raises(FetchError, match="not a regular file"):
        plugin_member(compressed(bytes(header) + bytes(1024)))


def test_a_member_that_claims_more_than_the_limit_is_refused_unread() -> None:
    def claim(member: tarfile.TarInfo) -> None:
        member.size = 300 * MIB

    with pytest.raises(TooLargeError, match="more than 256 MB"):
        plugin_member(special(claim))


def test_a_bomb_ends_at_the_limit() -> None:
    bomb = layer({"padding": bytes(32 * MIB), "plugin.wasm": MODULE})
    assert len(bomb) < 64 * 1024
    with pytest.raises(TooLargeError):
        plugin_member(bomb, limit_bytes=4 * MIB)


def test_a_header_that_claims_a_huge_name_ends_at_the_limit() -> None:
    def claim(member: tarfile.TarInfo) -> None:
        member.type, member.size = tarfile.GNUTYPE_LONGNAME, 8 * 1024 * MIB

    filler = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = filler.compress(gzip.decompress(special(claim)) + bytes(16 * MIB)) + filler.flush()
    with pytest.raises(TooLargeError):
        plugin_member(bomb, limit_bytes=8 * MIB)


@pytest.mark.parametrize("kept", [0, 5, 17, 200, 2500])
def test_a_truncated_layer_is_refused(kept: int) -> None:
    # Noise does not compress, so the module really ends with the data.
    whole = layer({"plugin.wasm": MODULE + random.Random(7).randbytes(4000)})
    with pytest.raises(FetchError) as refused:
        plugin_member(whole[:kept])
    assert refused.value.reason == "invalid"


def test_a_member_that_is_cut_off_is_refused() -> None:
    archive = tar_archive({"plugin.wasm": MODULE})
    with pytest.raises(FetchError, match="cut off"):
        plugin_member(compressed(archive[:900]))


@pytest.mark.parametrize("content", [b"", b"not gzip at all", compressed(b""), compressed(b"not a tar archive" * 100)])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(FetchError) as refused:
        plugin_member(content)
    assert refused.value.reason == "invalid"


@given(st.binary(max_size=3000), st.integers(0, 3000), st.booleans())
def test_random_damage_is_refused_or_harmless(noise: bytes, at: int, inside: bool) -> None:
    archive = tar_archive({"a": b"x" * 700, "plugin.wasm": MODULE})
    if inside:
        broken = compressed(archive[:at] + noise + archive[at + len(noise) :])
    else:
        whole = compressed(archive)
        broken = whole[:at] + noise + whole[at + len(noise) :]
    try:
        plugin_member(broken, limit_bytes=4 * MIB)
    except FetchError as refused:
        assert refused.reason == "invalid"


@given(
    st.binary(min_size=1, max_size=200_000).map(lambda content: content * 3),
    st.lists(st.integers(1, 150_000), max_size=12),
)
def test_the_reader_gives_what_gzip_holds_whatever_is_asked_for(content: bytes, sizes: list[int]) -> None:
    reader = GunzipReader(compressed(content))
    at = 0
    for size in sizes:
        assert reader.read(size) == content[at : at + size]
        at = min(at + size, len(content))
        assert reader.tell() == at
    assert reader.read_all() == content[at:]


def test_the_reader_only_goes_forwards() -> None:
    reader = GunzipReader(compressed(b"0123456789"))
    assert reader.seek(4) == 4
    assert reader.read(2) == b"45"
    with pytest.raises(ValueError, match="forwards"):
        reader.seek(0)


@pytest.mark.parametrize(
    "box",
    [
        lambda module: module,
        compressed,
        lambda module: tar_archive({"any-name.bin": module, "second": b"x"}),
        lambda module: compressed(tar_archive({"any-name.bin": module})),
        lambda module: compressed(compressed(module)),
        lambda module: tar_archive({"inner.tar.gz": compressed(tar_archive({"m": module}))}),
    ],
    ids=["plain", "gzip", "tar", "tar.gz", "gzip twice", "tar of tar.gz"],
)
def test_a_served_file_is_unboxed_down_to_the_module(box: Callable[[bytes], bytes]) -> None:
    assert unboxed(box(MODULE)) == MODULE


def special_tar(kind: bytes) -> bytes:
    """A ustar header without content."""
    member = tarfile.TarInfo("first")
    member.type = kind
    return member.tobuf(format=tarfile.USTAR_FORMAT)


def boxed(times: int) -> bytes:
    """A module in so many boxes."""
    content = MODULE
    for _ in range(times):
        content = compressed(content)
    return content


def test_boxes_are_opened_up_to_a_limit() -> None:
    """gzip data can hold itself, and then there is no end to it."""
    assert unboxed(boxed(MAX_BOXES)) == MODULE
    assert unboxed(boxed(MAX_BOXES + 1)) == boxed(MAX_BOXES + 1)


@pytest.mark.parametrize(
    "served",
    [
        b"",
        b"just text",
        compressed(b"just text"),
        tar_archive({"text": b"x", "plugin.wasm": MODULE}),
        compressed(MODULE)[:-30],
        tar_archive({"m": MODULE})[:700],
        compressed(MODULE) + b"garbage",
        compressed(MODULE)[:-8] + bytes(8),
        special_tar(tarfile.XGLTYPE) + tar_archive({"m": MODULE}),
        special_tar(tarfile.DIRTYPE) + tar_archive({"m": MODULE}),
        special_tar(tarfile.SYMTYPE) + tar_archive({"m": MODULE}),
    ],
    ids=[
        *("nothing", "text", "text in gzip", "text first", "cut gzip", "cut tar", "garbage behind gzip", "wrong sum"),
        *("global settings first", "folder first", "link first"),
    ],
)
def test_what_holds_no_module_is_returned_as_it_came(served: bytes) -> None:
    assert unboxed(served) is served
    assert not is_wasm(served)


def test_unboxing_ends_at_the_limit() -> None:
    with pytest.raises(TooLargeError):
        unboxed(compressed(bytes(16 * MIB)), limit_bytes=MIB)

"""Taking one file out of an archive that nobody vouches for: nothing is written to disk, nothing is believed.

`plugin_member` does what pilot-agent does with a layer (istio `pkg/wasm/imagefetcher.go`), `unboxed` what it does
with a file from an HTTP server (istio `pkg/wasm/httpfetcher.go`).
"""

from __future__ import annotations

import io
import tarfile
import zlib
from posixpath import basename
from typing import IO, cast

from sim.oci.fetch_error import MAX_BYTES, FetchError, TooLargeError
from sim.oci.gunzip import GZIP_MAGIC, GunzipReader
from sim.oci.images import PLUGIN_FILE

#: The most files that are looked at in one archive.
MAX_MEMBERS = 65_536

#: The most boxes that are opened one inside the other; gzip data can hold itself.
MAX_BOXES = 16

_WASM_MAGIC = b"\x00asm"
_USTAR_AT, _USTAR = 257, b"ustar"
_TYPE_AT = 156
#: What has no content, whatever size its header claims.
_WITHOUT_CONTENT = frozenset(
    (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
)


def is_wasm(content: bytes) -> bool:
    """Whether the content starts as a Wasm module does, by the agent's own test: magic number and length."""
    return len(content) >= 8 and content[:4] == _WASM_MAGIC


def plugin_member(layer: bytes, limit_bytes: int = MAX_BYTES) -> bytes:
    """The content of the first file of a tar+gzip layer whose base name is `plugin.wasm`.

    The archive is unpacked only as far as that file, and at most `limit_bytes` of it. Raises FetchError: `invalid`
    when there is none, when it is no regular file, when the archive is broken, or (TooLargeError) when it is too large.
    """
    reader = GunzipReader(layer, limit_bytes)
    names: list[str] = []
    try:
        with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r:") as archive:
            while (member := archive.next()) is not None:
                if basename(member.name.rstrip("/")) == PLUGIN_FILE:
                    return _content(reader, member, limit_bytes)
                if len(names) == MAX_MEMBERS:
                    raise _invalid(f"more than {MAX_MEMBERS} files are in the archive")
                names.append(member.name)
    except zlib.error as error:
        raise _invalid(f"the gzip data is broken: {error}") from error
    except EOFError as error:
        raise _invalid(f"the archive is cut off: {error}") from error
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise _invalid(f"the layer is no tar archive: {error}") from error
    found = ", ".join(names[:5]) or "nothing"
    raise FetchError(
        "invalid",
        f"{PLUGIN_FILE} is not in the archive, which holds {found}",
        hint=f"the agent takes only a file called {PLUGIN_FILE}: rename it before it is packed",
    )


def unboxed(content: bytes, limit_bytes: int = MAX_BYTES) -> bytes:
    """The Wasm module in what an HTTP server sent: itself, or out of gzip, tar or both, nested up to MAX_BOXES deep.

    Of a tar archive its first entry counts, whatever its name. What can't be opened, or opens into something
    that is no module, is returned as it came, for the caller to refuse. Raises TooLargeError.
    """
    boxed = content
    for _ in range(MAX_BOXES):
        if is_wasm(boxed):
            return boxed
        inner = _opened(boxed, limit_bytes)
        if inner is None:
            return content
        boxed = inner
    return boxed if is_wasm(boxed) else content


def _opened(boxed: bytes, limit_bytes: int) -> bytes | None:
    try:
        if boxed[:2] == GZIP_MAGIC:
            return GunzipReader(boxed, limit_bytes).read_all()
        if boxed[_USTAR_AT : _USTAR_AT + len(_USTAR)] == _USTAR:
            if boxed[_TYPE_AT : _TYPE_AT + 1] == tarfile.XGLTYPE:
                # To the agent these global settings, as git archive writes them, are the first entry.
                return None
            with tarfile.open(fileobj=io.BytesIO(boxed), mode="r:") as archive:
                member = archive.next()
                if member is None or member.issparse() or member.offset_data + member.size > len(boxed):
                    return None
                return boxed[member.offset_data : member.offset_data + member.size]
    except (zlib.error, EOFError, tarfile.TarError, ValueError, OverflowError):
        return None
    return None


def _content(reader: GunzipReader, member: tarfile.TarInfo, limit_bytes: int) -> bytes:
    # The agent would fill a sparse file's holes; whoever packs a module leaves none.
    if member.type in _WITHOUT_CONTENT or member.issparse():
        raise _invalid(f"{member.name} is not a regular file")
    if member.size > limit_bytes:
        raise TooLargeError(limit_bytes)
    reader.seek(member.offset_data)
    content = reader.read(member.size)
    if len(content) < member.size:
        raise _invalid(f"{member.name} is cut off after {len(content)} of {member.size} bytes")
    return content


def _invalid(message: str) -> FetchError:
    return FetchError("invalid", message, hint="build and push the image again")

"""The version inside a bundled plugin's module: written after the build, so that no compiler is needed for a new one.

The plugin's sources (`plugins/shared/version_stamp.zig`) put a placeholder into the module's data: a begin mark, 64
bytes for the version, an end mark. All zeros in between mean: never stamped.
"""

from __future__ import annotations

from sim.errors import InvalidInput
from sim.wasm.module import parse

MAX_VERSION_BYTES = 63

_BEGIN = b"<ecdsim:version:"
_END = b":ecdsim:version>"
_FIELD_BYTES = 64


def stamp(module: bytes, version: str) -> bytes:
    """The module with `version` in its placeholder, over whatever was there; the length stays the same.

    Raises InvalidInput for a version that isn't 1 to 63 printable ASCII characters and for a module without a
    placeholder or with several, MalformedModule for bytes that are no module.
    """
    if not 1 <= len(version) <= MAX_VERSION_BYTES or not _printable(version):
        raise InvalidInput(
            f"{version!r} can't be stamped into a module",
            hint=f"a version is 1 to {MAX_VERSION_BYTES} printable ASCII characters, such as 2.0.0",
        )
    fields = _field_offsets(module)
    if not fields:
        raise InvalidInput(
            "the module has no place for a version",
            hint="only the bundled plugins can be stamped; build other modules with the version in them",
        )
    start = _only(fields)
    return module[:start] + version.encode("ascii").ljust(_FIELD_BYTES, b"\0") + module[start + _FIELD_BYTES :]


def stamped_version(module: bytes) -> str | None:
    """The version that was stamped; None for a module that never was, or that has no placeholder.

    Raises InvalidInput for a damaged or repeated placeholder, MalformedModule for bytes that are no module.
    """
    fields = _field_offsets(module)
    if not fields:
        return None
    start = _only(fields)
    raw, _, rest = module[start : start + _FIELD_BYTES].partition(b"\0")
    version = raw.decode("latin-1")
    if len(raw) == _FIELD_BYTES or rest.strip(b"\0") or not _printable(version):
        raise InvalidInput(
            f"the module's version field at offset {start} is damaged", hint="stamp the original module again"
        )
    return version or None


def _printable(text: str) -> bool:
    return all(" " <= character <= "~" for character in text)


def _only(fields: list[int]) -> int:
    if len(fields) > 1:
        raise InvalidInput(
            f"the module has {len(fields)} places for a version, at offsets {', '.join(map(str, fields))}",
            hint="a plugin links version_stamp.zig once; rebuild it",
        )
    return fields[0]


def _field_offsets(module: bytes) -> list[int]:
    """Where version fields lie in the file: inside one data segment, between both marks."""
    offsets = []
    for segment in parse(module).data_segments:
        at = segment.contents.find(_BEGIN)
        while at >= 0:
            field = at + len(_BEGIN)
            if segment.contents[field + _FIELD_BYTES :].startswith(_END):
                offsets.append(segment.offset + field)
            at = segment.contents.find(_BEGIN, field)
    return offsets

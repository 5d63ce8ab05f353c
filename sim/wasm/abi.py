"""Which Proxy-Wasm ABI a module speaks, and the shim that lets stock Envoy load what Higress' Go SDK builds.

Envoy chooses the ABI by the first exported *function* that it knows by name (proxy-wasm-cpp-host, `bytecode_util.cc`)
and refuses a module without one: `Missing or unknown Proxy-Wasm ABI version`. Higress' SDK exports
`proxy_abi_version_0_2_100`, which only Higress' own Envoy knows. It is 0.2.1 with additions, so under the name of
0.2.1 such a module loads wherever it does not need the additions (`sim.wasm.host_calls` tells).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sim.wasm.binary import MAX_MODULE_BYTES, MalformedModule, Reader, encode_name, encode_u32
from sim.wasm.module import ABI_VERSION_PREFIX, Export, SectionId

#: What stock Envoy knows, by the names of the exports.
STOCK_ABIS = ("proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1")
HIGRESS_ABI = "proxy_abi_version_0_2_100"
#: What the shim makes of HIGRESS_ABI.
SHIM_ABI = "proxy_abi_version_0_2_1"

_HEADER = b"\0asm\x01\0\0\0"
_KINDS = ("func", "table", "memory", "global", "tag")


def stock_abi(exports: Iterable[Export]) -> str | None:
    """The export by which stock Envoy chooses the ABI; None where it knows none and refuses the module."""
    return next((export.name for export in exports if export.kind == "func" and export.name in STOCK_ABIS), None)


def needs_shim(exports: Iterable[Export]) -> bool:
    """Whether stock Envoy refuses the module for its ABI, and the shim mends that."""
    named = {export.name: export.kind for export in exports}
    # A name that something else than a function has can't be given to one as well.
    return named.get(HIGRESS_ABI) == "func" and not any(abi in named for abi in STOCK_ABIS)


def shimmed(module: bytes) -> bytes:
    """The module with HIGRESS_ABI exported as SHIM_ABI, every other byte as it was; itself where it needs no shim.

    Written anew are the export's name with its length, and the length of the export section: nothing is looked for
    outside of that section. Only the frame of the other sections is read, so that a module of many megabytes costs
    next to nothing. Raises MalformedModule where the frame or the export section is not well formed.
    """
    section = _export_section(module)
    if section is None:
        return module
    entries = _entries(module, section)
    if not needs_shim(entry.export for entry in entries):
        return module
    renamed = next(entry for entry in entries if entry.export.name == HIGRESS_ABI)
    before, after = module[section.offset : renamed.start], module[renamed.end : section.end]
    payload = before + encode_name(SHIM_ABI) + after
    return module[: section.size_at] + encode_u32(len(payload)) + payload + module[section.end :]


def abi_number(export: str) -> str:
    """`0.2.1` of `proxy_abi_version_0_2_1`."""
    return export.removeprefix(ABI_VERSION_PREFIX).replace("_", ".")


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a section lies: its size is written at `size_at`, its payload from `offset` to `end`."""

    size_at: int
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """An export whose name, with its length, is written from `start` to `end`."""

    export: Export
    start: int
    end: int


def _export_section(module: bytes) -> _Span | None:
    if len(module) > MAX_MODULE_BYTES:
        raise MalformedModule(f"{len(module)} bytes are too many for a module", offset=MAX_MODULE_BYTES)
    if module[: len(_HEADER)] != _HEADER:
        raise MalformedModule("it does not begin as a module of version 1 does", offset=0)
    reader = Reader(module, len(_HEADER))
    found: _Span | None = None
    while reader.remaining_bytes:
        number = reader.byte("a section's id")
        if number > max(SectionId):
            raise MalformedModule(f"{number} is no section's id", offset=reader.offset - 1)
        size_at = reader.offset
        size_bytes = reader.u32("a section's size")
        offset = reader.offset
        reader.skip(size_bytes, f"section {SectionId(number).name.lower()}")
        if number == SectionId.EXPORT:
            if found is not None:
                raise MalformedModule("there is more than one export section", offset=size_at - 1)
            found = _Span(size_at, offset, reader.offset)
    return found


def _entries(module: bytes, section: _Span) -> list[_Entry]:
    reader = Reader(module, section.offset, section.end)
    entries: dict[str, _Entry] = {}
    for _ in range(reader.count("exports", smallest_item_bytes=3)):
        start = reader.offset
        name = reader.name("an export's name")
        end = reader.offset
        if name in entries:
            raise MalformedModule(f"{name!r} is exported twice", offset=start)
        kind = reader.byte("an export's kind")
        if kind >= len(_KINDS):
            raise MalformedModule(f"{kind} is no kind of export", offset=end)
        entries[name] = _Entry(Export(name, _KINDS[kind], reader.u32("an export's index")), start, end)
    reader.finish("the export section")
    return list(entries.values())

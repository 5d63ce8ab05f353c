"""The structure of a Wasm module, read strictly and rewritten without touching what is not meant.

Follows the WebAssembly core specification, section 5.5 (modules). Function bodies, types and element segments are
carried as bytes and not looked into: whether they validate is the engine's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sim.errors import InvalidInput
from sim.wasm.binary import MAX_MODULE_BYTES, MalformedModule, Reader, encode_name, encode_u32

ABI_VERSION_PREFIX = "proxy_abi_version_"

_MAGIC = b"\0asm"
_VERSION = b"\x01\0\0\0"
_HEADER_BYTES = len(_MAGIC) + len(_VERSION)


class SectionId(IntEnum):
    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


# Sections come in this order, each at most once; custom ones anywhere.
_ORDER = (
    *(SectionId.TYPE, SectionId.IMPORT, SectionId.FUNCTION, SectionId.TABLE, SectionId.MEMORY, SectionId.TAG),
    *(SectionId.GLOBAL, SectionId.EXPORT, SectionId.START, SectionId.ELEMENT, SectionId.DATA_COUNT),
    *(SectionId.CODE, SectionId.DATA),
)

#: What is imported and exported, by the number of each.
KINDS = ("func", "table", "memory", "global", "tag")


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    name: str
    kind: str
    """`func`, `table`, `memory`, `global` or `tag`."""


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: str
    index: int


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Bytes that the module starts with. `offset` is where they lie in the file, not in its memory."""

    offset: int
    contents: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """`offset` is that of the payload in the file; `size_encoding` the payload's length as it was written."""

    id: SectionId
    offset: int
    size_encoding: bytes
    payload: bytes
    name: str | None = None
    """A custom section's name."""


@dataclass(frozen=True, slots=True)
class Module:
    sections: tuple[Section, ...]
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    data_segments: tuple[DataSegment, ...]
    function_count: int
    """Functions that the module defines itself, imported ones not counted."""

    @property
    def custom_sections(self) -> tuple[str, ...]:
        """The names of the custom sections, in order; one name may come twice."""
        return tuple(section.name for section in self.sections if section.name is not None)

    def section(self, id: SectionId) -> Section | None:
        """The first section with that id."""
        return next((section for section in self.sections if section.id is id), None)

    def serialize(self) -> bytes:
        """The module's bytes; for an unchanged module, those that it was parsed from."""
        pieces = [_MAGIC, _VERSION]
        for section in self.sections:
            pieces += (bytes((section.id,)), section.size_encoding, section.payload)
        return b"".join(pieces)


def parse(module: bytes) -> Module:
    """Reads a binary module of at most 256 MB.

    Raises MalformedModule, and nothing else, for bytes that are not one.
    """
    if len(module) > MAX_MODULE_BYTES:
        raise MalformedModule(
            f"{len(module)} bytes are more than the {MAX_MODULE_BYTES} that are read", offset=MAX_MODULE_BYTES
        )
    _check_header(module)
    sections = _sections(module)
    found = {section.id: section for section in sections if section.id is not SectionId.CUSTOM}
    function_count = _leading_count(module, found.get(SectionId.FUNCTION), "functions")
    body_count = _leading_count(module, found.get(SectionId.CODE), "function bodies")
    if function_count != body_count:
        raise MalformedModule(
            f"{function_count} functions are declared, {body_count} have a body",
            offset=found[SectionId.CODE].offset if SectionId.CODE in found else len(module),
        )
    return Module(
        sections=sections,
        imports=_imports(module, found.get(SectionId.IMPORT)),
        exports=_exports(module, found.get(SectionId.EXPORT)),
        data_segments=_data_segments(module, found.get(SectionId.DATA), found.get(SectionId.DATA_COUNT)),
        function_count=function_count,
    )


def abi_versions(module: bytes | Module) -> tuple[str, ...]:
    """The exported `proxy_abi_version_*` names, by which a Proxy-Wasm host chooses how to talk to the module.

    Raises MalformedModule.
    """
    parsed = module if isinstance(module, Module) else parse(module)
    return tuple(export.name for export in parsed.exports if export.name.startswith(ABI_VERSION_PREFIX))


def rename_export(module: bytes, old: str, new: str) -> bytes:
    """The module with one export under another name; every other byte stays.

    Raises MalformedModule, and InvalidInput where `old` isn't exported or `new` already is.
    """
    parsed = parse(module)
    names = [export.name for export in parsed.exports]
    section = parsed.section(SectionId.EXPORT)
    if section is None or old not in names:
        raise InvalidInput(f"the module does not export {old!r}", hint=f"it exports {', '.join(names) or 'nothing'}")
    if old == new:
        return module
    if new in names:
        raise InvalidInput(f"the module already exports {new!r}", hint="names of exports are unique; choose another")
    start, end = _export_name_span(module, section, old)
    before, after = module[section.offset : start], module[end : section.offset + len(section.payload)]
    payload = before + encode_name(new) + after
    size_at = section.offset - len(section.size_encoding)
    return module[:size_at] + encode_u32(len(payload)) + payload + module[section.offset + len(section.payload) :]


def _check_header(module: bytes) -> None:
    if module[: len(_MAGIC)] != _MAGIC:
        raise MalformedModule(
            f"it starts with {module[:4].hex(' ') or 'nothing'}, not with 00 61 73 6d",
            offset=0,
            hint="this is no Wasm file; an archive or an image layer has to be unpacked first",
        )
    version = module[len(_MAGIC) : _HEADER_BYTES]
    if version != _VERSION:
        raise MalformedModule(
            f"its version is {version.hex(' ') or 'missing'}, not 01 00 00 00",
            offset=len(_MAGIC),
            hint="0d 00 01 00 is a component; Proxy-Wasm hosts load core modules only",
        )


def _sections(module: bytes) -> tuple[Section, ...]:
    reader = Reader(module, _HEADER_BYTES)
    sections: list[Section] = []
    last = -1
    while reader.remaining_bytes:
        start = reader.offset
        number = reader.byte("a section's id")
        try:
            id = SectionId(number)
        except ValueError as error:
            raise MalformedModule(f"{number} is no section's id", offset=start) from error
        if id is not SectionId.CUSTOM:
            rank = _ORDER.index(id)
            if rank <= last:
                raise MalformedModule(f"section {id.name.lower()} is out of order or repeated", offset=start)
            last = rank
        size_at = reader.offset
        size_bytes = reader.u32("a section's size")
        offset = reader.offset
        payload = reader.take(size_bytes, f"section {id.name.lower()}")
        name = None
        if id is SectionId.CUSTOM:
            name = Reader(module, offset, offset + size_bytes).name("a custom section's name")
        sections.append(Section(id, offset, module[size_at:offset], payload, name))
    return tuple(sections)


def _reader(module: bytes, section: Section) -> Reader:
    return Reader(module, section.offset, section.offset + len(section.payload))


def _leading_count(module: bytes, section: Section | None, what: str) -> int:
    return 0 if section is None else _reader(module, section).count(what)


def _imports(module: bytes, section: Section | None) -> tuple[Import, ...]:
    if section is None:
        return ()
    reader = _reader(module, section)
    imports = []
    for _ in range(reader.count("imports", smallest_item_bytes=4)):
        from_module, name = reader.name("an import's module"), reader.name("an import's name")
        kind = _kind(reader)
        _skip_import_type(reader, kind)
        imports.append(Import(from_module, name, kind))
    reader.finish("the import section")
    return tuple(imports)


def _kind(reader: Reader) -> str:
    number = reader.byte("a kind")
    if number >= len(KINDS):
        reader.offset -= 1
        raise reader.fail(f"{number} is no kind of import or export")
    return KINDS[number]


def _skip_import_type(reader: Reader, kind: str) -> None:
    if kind == "func":
        reader.u32("a type index")
    elif kind == "table":
        _skip_value_type(reader)
        _skip_limits(reader)
    elif kind == "memory":
        _skip_limits(reader)
    elif kind == "global":
        _skip_value_type(reader)
        reader.byte("a global's mutability")
    else:
        reader.byte("a tag's attribute")
        reader.u32("a type index")


def _skip_value_type(reader: Reader) -> None:
    # 0x63 and 0x64 are (ref null? heap type), the only value types of more than one byte.
    if reader.byte("a value type") in (0x63, 0x64):
        reader.skip_leb(5, "a heap type")


def _skip_limits(reader: Reader) -> None:
    flags = reader.byte("limits")
    if flags > 0x07:
        reader.offset -= 1
        raise reader.fail(f"limits have no flags {flags}")
    reader.skip_leb(10, "a minimum")
    if flags & 0x01:
        reader.skip_leb(10, "a maximum")


def _exports(module: bytes, section: Section | None) -> tuple[Export, ...]:
    if section is None:
        return ()
    reader = _reader(module, section)
    exports: dict[str, Export] = {}
    for _ in range(reader.count("exports", smallest_item_bytes=3)):
        start = reader.offset
        name = reader.name("an export's name")
        if name in exports:
            raise MalformedModule(f"{name!r} is exported twice", offset=start)
        exports[name] = Export(name, _kind(reader), reader.u32("an export's index"))
    reader.finish("the export section")
    return tuple(exports.values())


def _export_name_span(module: bytes, section: Section, name: str) -> tuple[int, int]:
    """Where the name, its length included, lies in the file. The section has been parsed and holds it."""
    reader = _reader(module, section)
    reader.count("exports")
    while True:
        start = reader.offset
        if reader.name("an export's name") == name:
            return start, reader.offset
        reader.byte("a kind")
        reader.u32("an export's index")


def _data_segments(module: bytes, section: Section | None, count_section: Section | None) -> tuple[DataSegment, ...]:
    declared = None
    if count_section is not None:
        count_reader = _reader(module, count_section)
        declared = count_reader.u32("the number of data segments")
        count_reader.finish("the data count section")
    segments = []
    if section is not None:
        reader = _reader(module, section)
        for _ in range(reader.count("data segments", smallest_item_bytes=2)):
            _skip_data_mode(reader)
            size_bytes = reader.u32("a data segment's size")
            start = reader.offset
            segments.append(DataSegment(start, reader.take(size_bytes, "a data segment")))
        reader.finish("the data section")
    if declared is not None and declared != len(segments):
        raise MalformedModule(
            f"{declared} data segments are announced, {len(segments)} are there",
            offset=section.offset if section is not None else len(module),
        )
    return tuple(segments)


def _skip_data_mode(reader: Reader) -> None:
    start = reader.offset
    mode = reader.u32("a data segment's mode")
    if mode > 2:
        reader.offset = start
        raise reader.fail(f"a data segment has no mode {mode}")
    if mode == 2:
        reader.u32("a memory index")
    if mode != 1:
        skip_constant_expression(reader)


# Bytes of LEB128 that follow an instruction of a constant expression: at most so many.
_LEB_OPERANDS = {0x41: 5, 0x42: 10, 0x23: 5, 0xD0: 5, 0xD2: 5}
_FIXED_OPERANDS = {0x43: 4, 0x44: 8}
# i32 and i64 add, sub, mul.
_ARITHMETIC = frozenset({0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E})
_END = 0x0B
_VECTOR, _VECTOR_CONSTANT = 0xFD, 12
#: struct.new, array.new and their like, by how many indices and counts follow.
_AGGREGATE = 0xFB
_AGGREGATE_OPERANDS = {0: 1, 1: 1, 6: 1, 7: 1, 8: 2, 26: 0, 27: 0, 28: 0}


def skip_constant_expression(reader: Reader) -> None:
    """Pass over a constant expression and its end. Raises MalformedModule for an instruction that is not constant."""
    while (opcode := reader.byte("the end of a constant expression")) != _END:
        if opcode in _LEB_OPERANDS:
            reader.skip_leb(_LEB_OPERANDS[opcode], "a constant")
        elif opcode in _FIXED_OPERANDS:
            reader.skip(_FIXED_OPERANDS[opcode], "a constant")
        elif opcode == _VECTOR and reader.u32("an instruction") == _VECTOR_CONSTANT:
            reader.skip(16, "a constant")
        elif opcode == _AGGREGATE and (kind := reader.u32("an instruction")) in _AGGREGATE_OPERANDS:
            for _ in range(_AGGREGATE_OPERANDS[kind]):
                reader.u32("an operand")
        elif opcode not in _ARITHMETIC:
            reader.offset -= 1
            raise reader.fail(f"instruction 0x{opcode:02x} in a constant expression")

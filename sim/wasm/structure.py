"""Whether the parts of a module fit together: what an engine checks of it besides function bodies and import types.

Follows the WebAssembly core specification 3.0, sections 3.4 (validation of modules), 4.5.4 (instantiation) and 5.5, and
the limits of V8 as Envoy has it. That each defect is refused was tried on Envoy 1.40, and that it takes what looks
odd and is none: several memories, a shared one, one of 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.wasm.binary import MalformedModule, Reader
from sim.wasm.callbacks import signature
from sim.wasm.module import KINDS, Module, Section, SectionId, skip_constant_expression

PAGE_BYTES = 1 << 16
MAX_PAGES = 65536
#: With more, Envoy fails to make an instance: a GiB.
MOST_FIRST_PAGES = 16384
MAX_TABLE_ELEMENTS = 10_000_000

_FUNC, _STRUCT, _ARRAY = 0x60, 0x5F, 0x5E
_REC, _SUB, _SUB_FINAL = 0x4E, 0x50, 0x4F
_REF, _REF_NULL = 0x64, 0x63
_NUMBERS = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}
_HEAP_TYPES = frozenset(range(0x68, 0x75))
_PACKED = (0x78, 0x77)
_HAS_MAX, _SHARED, _WIDE = 0x01, 0x02, 0x04
_I32_CONST, _END = 0x41, 0x0B
_FUNCTION_NAMES = 1
_SMALLER = "let it begin with a few pages, and grow"
_WITH_INITIALIZER = 0x40

Signature = tuple[tuple[str, ...], tuple[str, ...]]


def structure_defect(module: Module) -> MalformedModule | None:
    """The first defect, None for a sound module. A module without a code section is one without functions."""
    try:
        _Structure(module).check()
    except MalformedModule as defect:
        return defect
    return None


@dataclass(frozen=True, slots=True)
class _Memory:
    """`pages` is what it begins with, None where that is for the host to say; `wide`: its addresses have 64 bits."""

    pages: int | None
    wide: bool


@dataclass(slots=True)
class _Structure:
    """What has been read of a module so far. `types` holds None for a type that is no function's."""

    module: Module
    types: list[Signature | None] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    #: The memories, imported ones first.
    memories: list[_Memory] = field(default_factory=list)

    def check(self) -> None:
        """Raises MalformedModule for the first defect."""
        for id, read in (
            (SectionId.TYPE, self._types),
            (SectionId.IMPORT, self._imports),
            (SectionId.FUNCTION, self._functions),
            (SectionId.TABLE, self._tables),
            (SectionId.MEMORY, self._memories),
            (SectionId.TAG, self._tags),
            (SectionId.GLOBAL, self._globals),
            (SectionId.EXPORT, self._exports),
            (SectionId.START, self._start),
            (SectionId.CODE, self._code),
            (SectionId.DATA, self._data),
        ):
            section = self.module.section(id)
            if section is not None:
                _read(section, read)
        for section in self.module.sections:
            if section.name == "name":
                _read(section, _names)

    def _types(self, reader: Reader) -> None:
        for _ in range(reader.count("types")):
            if _next(reader) == _REC:
                reader.byte("a group of types")
                for _ in range(reader.count("types of a group")):
                    self.types.append(_sub_type(reader))
            else:
                self.types.append(_sub_type(reader))

    def _imports(self, reader: Reader) -> None:
        for _ in range(reader.count("imports")):
            reader.name("an import's module")
            reader.name("an import's name")
            kind = KINDS[reader.byte("a kind")]
            if kind == "func":
                self.functions.append(self._function_type(reader))
            elif kind == "table":
                _table_type(reader)
            elif kind == "memory":
                self.memories.append(_Memory(None, _memory(reader).wide))
            elif kind == "global":
                _global_type(reader)
            else:
                reader.byte("a tag's attribute")
                self._function_type(reader)
            self.counts[kind] += 1

    def _function_type(self, reader: Reader) -> int:
        start = reader.offset
        index = reader.u32("a type index")
        if index >= len(self.types):
            raise MalformedModule(f"type {index} is used, and there are {len(self.types)}", offset=start)
        if self.types[index] is None:
            raise MalformedModule(f"type {index} is used for a function, and is none of a function", offset=start)
        return index

    def _functions(self, reader: Reader) -> None:
        for _ in range(reader.count("functions")):
            self.functions.append(self._function_type(reader))
        self.counts["func"] = len(self.functions)

    def _tables(self, reader: Reader) -> None:
        for _ in range(reader.count("tables")):
            if _next(reader) == _WITH_INITIALIZER:
                reader.skip(2, "a table's initializer")
                _table_type(reader)
                skip_constant_expression(reader)
            else:
                _table_type(reader)
            self.counts["table"] += 1

    def _memories(self, reader: Reader) -> None:
        self.memories += [_memory(reader) for _ in range(reader.count("memories"))]
        self.counts["memory"] = len(self.memories)

    def _tags(self, reader: Reader) -> None:
        for _ in range(reader.count("tags")):
            reader.byte("a tag's attribute")
            self._function_type(reader)
            self.counts["tag"] += 1

    def _globals(self, reader: Reader) -> None:
        for _ in range(reader.count("globals")):
            _global_type(reader)
            skip_constant_expression(reader)
            self.counts["global"] += 1

    def _exports(self, reader: Reader) -> None:
        for _ in range(reader.count("exports")):
            name = reader.name("an export's name")
            kind = KINDS[reader.byte("a kind")]
            start = reader.offset
            index = reader.u32("an export's index")
            if index >= self.counts[kind]:
                raise MalformedModule(f"{name!r} is {kind} {index}, and there {_are(self.counts[kind])}", offset=start)
            wanted = signature(name, self.module.exports) if kind == "func" else None
            found = self.types[self.functions[index]] if wanted is not None else None
            if wanted is not None and found is not None and found != wanted:
                raise MalformedModule(
                    f"{name} is of type {_shown(found)}, and the host calls it as {_shown(wanted)}",
                    offset=start,
                    hint="give it the parameters and the result of the ABI that the module exports",
                )

    def _start(self, reader: Reader) -> None:
        start = reader.offset
        index = reader.u32("the start function")
        if index >= len(self.functions):
            raise MalformedModule(
                f"function {index} is to start it, and there {_are(len(self.functions))}", offset=start
            )
        found = self.types[self.functions[index]]
        if found is not None and found != ((), ()):
            raise MalformedModule(f"the start function is of type {_shown(found)}, and not () → ()", offset=start)

    def _code(self, reader: Reader) -> None:
        for _ in range(reader.count("function bodies")):
            reader.skip(reader.u32("a function body's size"), "a function body")

    def _data(self, reader: Reader) -> None:
        for number in range(reader.count("data segments")):
            start = reader.offset
            mode = reader.u32("a data segment's mode")
            index = reader.u32("a memory index") if mode == 2 else 0
            place = self._place(reader, number, index) if mode != 1 else None
            size_bytes = reader.u32("a data segment's size")
            reader.skip(size_bytes, "a data segment")
            if place is None:
                continue
            end, pages = place + size_bytes, self.memories[index].pages
            if pages is not None and end > pages * PAGE_BYTES:
                raise MalformedModule(
                    f"data segment {number} ends at byte {end} of a memory that begins with {pages * PAGE_BYTES}",
                    offset=start,
                )

    def _place(self, reader: Reader, number: int, index: int) -> int | None:
        """Where in its memory a data segment is to lie; None where that is for an expression to say."""
        start = reader.offset
        if index >= len(self.memories):
            raise MalformedModule(
                f"data segment {number} is for memory {index}, and there {_are(len(self.memories))}", offset=start
            )
        if self.memories[index].wide:
            if _next(reader) == _I32_CONST:
                raise MalformedModule(
                    f"data segment {number} has an address of 32 bits, and its memory such of 64", offset=start
                )
            skip_constant_expression(reader)
            return None
        return _constant_offset(reader)


def _read(section: Section, read: Callable[[Reader], None]) -> None:
    """Read a section to its end; offsets in what is raised are the file's."""
    reader = Reader(section.payload)
    try:
        read(reader)
        reader.finish(f"the {section.name or section.id.name.lower()} section")
    except MalformedModule as defect:
        raise MalformedModule(defect.what, offset=section.offset + defect.offset, hint=defect.hint) from None


def _next(reader: Reader) -> int:
    """The next byte, which is not passed over. Raises MalformedModule at the end."""
    value = reader.byte("a type")
    reader.offset -= 1
    return value


def _sub_type(reader: Reader) -> Signature | None:
    form = reader.byte("a type")
    if form in (_SUB, _SUB_FINAL):
        for _ in range(reader.count("supertypes")):
            reader.u32("a supertype")
        form = reader.byte("a type")
    if form == _FUNC:
        return _value_types(reader, "parameters"), _value_types(reader, "results")
    if form == _STRUCT:
        for _ in range(reader.count("fields")):
            _field_type(reader)
    elif form == _ARRAY:
        _field_type(reader)
    else:
        reader.offset -= 1
        raise reader.fail(f"0x{form:02x} is no form of a type")
    return None


def _value_types(reader: Reader, what: str) -> tuple[str, ...]:
    return tuple(_value_type(reader) for _ in range(reader.count(what)))


def _value_type(reader: Reader) -> str:
    code = reader.byte("a value type")
    if code in _NUMBERS:
        return _NUMBERS[code]
    if code in (_REF, _REF_NULL):
        reader.skip_leb(5, "a heap type")
        return "ref"
    if code in _HEAP_TYPES:
        return "ref"
    reader.offset -= 1
    raise reader.fail(f"0x{code:02x} is no value type")


def _field_type(reader: Reader) -> None:
    if _next(reader) in _PACKED:
        reader.byte("a packed type")
    else:
        _value_type(reader)
    _mutability(reader)


def _mutability(reader: Reader) -> None:
    flag = reader.byte("a mutability")
    if flag > 1:
        reader.offset -= 1
        raise reader.fail(f"0x{flag:02x} is no mutability")


def _global_type(reader: Reader) -> None:
    _value_type(reader)
    _mutability(reader)


def _table_type(reader: Reader) -> None:
    start = reader.offset
    if _value_type(reader) != "ref":
        raise MalformedModule("a table holds references only", offset=start)
    at = reader.offset
    minimum, _, _ = _limits(reader, "a table")
    if minimum > MAX_TABLE_ELEMENTS:
        raise MalformedModule(
            f"a table begins with {minimum} elements, and Envoy makes at most {MAX_TABLE_ELEMENTS}", offset=at
        )


def _memory(reader: Reader) -> _Memory:
    start = reader.offset
    minimum, maximum, wide = _limits(reader, "a memory")
    most = max(minimum, maximum or 0)
    if most > MAX_PAGES and not wide:
        raise MalformedModule(
            f"a memory of {most} pages is more than the {MAX_PAGES} that there can be", offset=start, hint=_SMALLER
        )
    if minimum > MOST_FIRST_PAGES:
        raise MalformedModule(
            f"a memory begins with {minimum} pages, {minimum * PAGE_BYTES / (1 << 30):.3g} GiB, and Envoy gives "
            f"{MOST_FIRST_PAGES} at most",
            offset=start,
            hint=_SMALLER,
        )
    return _Memory(minimum, wide)


def _limits(reader: Reader, what: str) -> tuple[int, int | None, bool]:
    """Minimum, maximum, and whether addresses have 64 bits."""
    start = reader.offset
    flags = reader.byte("limits")
    if flags & _SHARED and (not flags & _HAS_MAX or what == "a table"):
        raise MalformedModule(f"{what} can't be shared as this one is", offset=start)
    wide = bool(flags & _WIDE)
    minimum = reader.unsigned(f"the minimum of {what}", 64 if wide else 32)
    maximum = reader.unsigned(f"the maximum of {what}", 64 if wide else 32) if flags & _HAS_MAX else None
    if flags > _HAS_MAX | _SHARED | _WIDE:
        raise MalformedModule(f"limits have no flags {flags}", offset=start)
    if maximum is not None and minimum > maximum:
        raise MalformedModule(f"{what} begins with {minimum} and may have {maximum} at most", offset=start)
    return minimum, maximum, wide


def _constant_offset(reader: Reader) -> int | None:
    """The value of an `i32.const`; None for any other constant expression."""
    start = reader.offset
    if reader.byte("an offset") == _I32_CONST:
        value = shift = 0
        while (piece := reader.byte("a constant")) & 0x80 and shift < 28:
            value |= (piece & 0x7F) << shift
            shift += 7
        value |= (piece & 0x7F) << shift
        if piece & 0x40 and shift < 28:
            value |= -1 << (shift + 7)
        if reader.byte("the end of a constant expression") == _END:
            return value & 0xFFFFFFFF
    reader.offset = start
    skip_constant_expression(reader)
    return None


def _names(reader: Reader) -> None:
    """The `name` section as far as the host reads it, to name functions in a stack trace (Appendix, name section)."""
    reader.name("the section's name")
    while reader.remaining_bytes:
        kind = reader.byte("a subsection's id")
        size_bytes = reader.u32("a subsection's size")
        start = reader.offset
        if kind != _FUNCTION_NAMES:
            reader.skip(size_bytes, "a subsection")
            continue
        for _ in range(reader.u32("the number of function names")):
            reader.u32("a function's index")
            reader.skip(reader.u32("the length of a function's name"), "a function's name")
        if reader.offset != start + size_bytes:
            raise MalformedModule("the function names do not end where they should", offset=start)


def _are(count: int) -> str:
    return "is none" if count == 0 else f"are {count}"


def _shown(found: Signature) -> str:
    parameters, results = (", ".join(types) for types in found)
    return f"({parameters}) → ({results})"

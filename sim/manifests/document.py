"""YAML text to plain data, with the line of every key: one `Document` for each document of the text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from sim.errors import InvalidInput, Location
from sim.manifests.scalars import resolve

Path = tuple[str | int, ...]
Position = tuple[int, int]

#: Aliases may repeat a part of a document; past this many nodes it is refused, whatever its text's size.
MAX_NODES = 200_000
#: Protobuf readers stop at 100 levels, and a level of a plugin's configuration takes up to three of them.
MAX_DEPTH = 32

_CORE_TAG = "tag:yaml.org,2002:"


def path_text(path: Path) -> str:
    """`spec.matchRules[0].config`"""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(slots=True)
class Document:
    """One document as JSON-ready data. `positions`: line and column (from 1) of keys and items, if it was a text."""

    file: str
    data: Any
    start: Position | None
    positions: dict[Path, Position] = field(default_factory=dict)

    def where(self, *path: str | int) -> Location:
        """The place of the key or item at `path`, or of the nearest thing around it that was written."""
        key = path_text(path) or None
        for length in range(len(path), 0, -1):
            if (position := self.positions.get(path[:length])) is not None:
                return Location(self.file, *position, key=key)
        line, column = self.start or (None, None)
        return Location(self.file, line, column, key)

    def part(self, path: Path, data: Any) -> Document:
        """What stands at `path` as a document of its own, with `data` in its place."""
        start = self.positions.get(path, self.start)
        inside = {
            here[len(path) :]: position
            for here, position in self.positions.items()
            if len(here) > len(path) and here[: len(path)] == path
        }
        return Document(self.file, data, start, inside)


@dataclass(slots=True)
class _Anchored:
    data: Any
    nodes: int


class _Reader:
    """Builds documents out of the parser's events, so that a plain scalar can be told from a quoted one."""

    def __init__(self, text: str, file: str, *, literal_keys: bool) -> None:
        self._file = file
        self._literal_keys = literal_keys
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self._anchors: dict[str, _Anchored] = {}
        self._positions: dict[Path, Position] = {}
        self._nodes = 0

    def documents(self) -> Iterator[Document]:
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._anchors, self._positions, self._nodes = {}, {}, 0
                first = next(self._events)
                data = self._node(first, ())
                yield Document(self._file, data, _position(first), self._positions)
            elif isinstance(event, DocumentEndEvent):
                continue

    def _node(self, event: Event, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._invalid(event, path[:1], f"nested too deep, more than {MAX_DEPTH} levels")
        before = self._nodes
        self._count(1, event, path)
        if isinstance(event, AliasEvent):
            anchored = self._anchors.get(event.anchor)
            if anchored is None:
                raise self._invalid(event, path, f"*{event.anchor} refers to an anchor that is not defined above")
            self._count(anchored.nodes, event, path)
            return anchored.data
        if isinstance(event, ScalarEvent):
            data: Any = self._scalar(event, path)
        elif isinstance(event, SequenceStartEvent):
            data = self._sequence(path)
        else:
            data = self._mapping(path)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(data, self._nodes - before)
        return data

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            here = (*path, len(items))
            self._positions[here] = _position(event)
            items.append(self._node(event, here))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            if isinstance(event, ScalarEvent) and event.value == "<<" and _is_plain(event):
                self._merge(event, self._node(next(self._events), (*path, "<<")), merged, path)
                continue
            key = self._key(event, path)
            here = (*path, key)
            if key in data:
                first = self._positions[here][0]
                raise InvalidInput(
                    f"the key is written twice, first in line {first}",
                    where=Location(self._file, *_position(event), key=path_text(here)),
                    hint="keep one of the two; Kubernetes would take one without saying which",
                )
            self._positions[here] = _position(event)
            data[key] = self._node(next(self._events), here)
        return {**merged, **data}

    def _merge(self, event: Event, value: Any, merged: dict[str, Any], path: Path) -> None:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise self._invalid(event, path, "<< merges a mapping or a list of mappings")
            for key, inner in source.items():
                merged.setdefault(key, inner)

    def _key(self, event: Event, path: Path) -> str:
        if not isinstance(event, ScalarEvent):
            raise self._invalid(event, path, "a key must be a string, not a mapping, a list or an alias")
        value = self._scalar(event, path)
        if value is None:
            raise self._invalid(event, path, "a key must be a string, not null")
        if isinstance(value, bool):
            return event.value if self._literal_keys else "true" if value else "false"
        return value if isinstance(value, str) else str(value)

    def _scalar(self, event: ScalarEvent, path: Path) -> Any:
        tag = str(event.tag) if event.tag else ""
        if event.style in ("'", '"', "|", ">") and tag in ("", "!"):
            return event.value
        if tag in ("!", f"{_CORE_TAG}str"):
            return event.value
        if tag == f"{_CORE_TAG}binary":
            try:
                return base64.b64decode(event.value, validate=False).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise self._invalid(event, path, f"!!binary is not Base64 of UTF-8 text: {error}") from error
        try:
            value = resolve(event.value)
        except ValueError as error:
            raise self._invalid(event, path, str(error)) from error
        if tag and not _has_type(value, tag):
            raise self._invalid(event, path, f"{event.value!r} is not what its tag {_short_tag(tag)} says")
        return value

    def _count(self, nodes: int, event: Event, path: Path) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._invalid(event, path, f"the document grows to more than {MAX_NODES} nodes")

    def _invalid(self, event: Event, path: Path, message: str) -> InvalidInput:
        return InvalidInput(message, where=Location(self._file, *_position(event), key=path_text(path) or None))


def read_documents(text: str, file: str, *, literal_keys: bool = False) -> list[Document]:
    """Every document of `text` that is not empty. Raises InvalidInput with file, line and column.

    As for kubectl, the bare key `on` is `true`; with `literal_keys` it is what was written.
    """
    try:
        reader = _Reader(text, file, literal_keys=literal_keys)
        return [document for document in reader.documents() if document.data is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark is not None else Location(file)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise InvalidInput(f"not valid YAML: {problem}", where=where, hint=_hint(text, where, problem)) from error
    except YAMLError as error:
        raise InvalidInput(
            f"not valid YAML: {error}", where=Location(file), hint="save the file as plain UTF-8 text"
        ) from error


def _hint(text: str, where: Location, problem: str) -> str:
    lines = text.splitlines()
    line = lines[where.line - 1] if where.line is not None and where.line <= len(lines) else ""
    if "\\t" in problem or "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces; YAML allows no tab there"
    if "mapping values are not allowed" in problem:
        return "start each key on a line of its own, and quote a value that holds ': '"
    return "check the indentation, the quotes and the brackets of this line and the one before"


def _is_plain(event: ScalarEvent) -> bool:
    return event.style not in ("'", '"', "|", ">") and not event.tag


def _has_type(value: Any, tag: str) -> bool:
    match tag.removeprefix(_CORE_TAG):
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "timestamp":
            return isinstance(value, str)
    return False


def _short_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_CORE_TAG)}" if tag.startswith(_CORE_TAG) else tag


def _position(event: Event) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1

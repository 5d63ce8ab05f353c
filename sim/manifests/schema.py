"""What Kubernetes checks of an object when it is applied: unknown fields, types, enums, what is required.

The WasmPlugin shapes are those of the CustomResourceDefinitions that Higress and Istio 1.27 install; Ingress, Service
and Secret are Kubernetes' own, as far as Core and Discovery read them (the rest is known by name, not checked).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.manifests.document import Path, path_text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at `path`; `hint` says what would be right."""

    path: Path
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Known, but not looked into."""


@dataclass(frozen=True, slots=True)
class Text:
    values: tuple[str, ...] = ()
    pattern: str | None = None
    nonempty: bool = False


@dataclass(frozen=True, slots=True)
class Integer:
    lowest: int = -(2**31)
    highest: int = 2**31 - 1
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Boolean:
    pass


@dataclass(frozen=True, slots=True)
class IntOrText:
    pass


@dataclass(frozen=True, slots=True)
class Free:
    """An object with whatever keys, such as a plugin's configuration."""


@dataclass(frozen=True, slots=True)
class TextMap:
    pass


@dataclass(frozen=True, slots=True)
class Items:
    of: Shape


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with known keys. `elsewhere` says of a key that is known in another API what to do about it."""

    known: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


Shape = Unchecked | Text | Integer | Boolean | IntOrText | Free | TextMap | Items | Fields


def check(value: Any, shape: Shape, path: Path, *, null_is_unset: bool) -> Iterator[Problem]:
    """Every problem of `value`, in the order it is written.

    `null_is_unset`: Kubernetes' own types take null for "not set"; a CustomResourceDefinition refuses it.
    """
    if value is None and (null_is_unset or isinstance(shape, Unchecked)):
        return
    match shape:
        case Unchecked():
            return
        case Fields():
            yield from _check_fields(value, shape, path, null_is_unset)
        case Items():
            if not isinstance(value, list):
                yield _wrong_type(value, "array", path)
                return
            for index, item in enumerate(value):
                yield from check(item, shape.of, (*path, index), null_is_unset=null_is_unset)
        case Text():
            yield from _check_text(value, shape, path)
        case TextMap():
            if not isinstance(value, dict):
                yield _wrong_type(value, "object", path)
                return
            for key, inner in value.items():
                if not isinstance(inner, str):
                    yield _wrong_type(inner, "string", (*path, key))
        case Integer():
            yield from _check_integer(value, shape, path)
        case _:
            expected, accepts = _SIMPLE[type(shape)]
            if not accepts(value):
                yield _wrong_type(value, expected, path)


_SIMPLE: dict[type, tuple[str, Callable[[Any], bool]]] = {
    Boolean: ("boolean", lambda value: isinstance(value, bool)),
    Free: ("object", lambda value: isinstance(value, dict)),
    IntOrText: ("integer or string", lambda value: isinstance(value, int | str) and not isinstance(value, bool)),
}


def _check_fields(value: Any, shape: Fields, path: Path, null_is_unset: bool) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong_type(value, "object", path)
        return
    for key, inner in value.items():
        if key in shape.known:
            yield from check(inner, shape.known[key], (*path, key), null_is_unset=null_is_unset)
        else:
            yield _unknown(key, shape, path)
    for key in shape.required:
        if key not in value:
            yield Problem((*path, key), "Required value", f"add {key}")


def _check_text(value: Any, shape: Text, path: Path) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _wrong_type(value, "string", path)
    elif shape.values and value not in shape.values:
        close = difflib.get_close_matches(value.lower(), [known.lower() for known in shape.values], n=1)
        meant = next((known for known in shape.values if close and known.lower() == close[0]), None)
        supported = ", ".join(f'"{known}"' for known in shape.values)
        yield Problem(path, f'Unsupported value: "{value}": supported values: {supported}', _did_you_mean(meant))
    elif shape.nonempty and not value:
        yield Problem(path, 'Invalid value: "": must not be empty', "write a value")
    elif shape.pattern is not None and re.fullmatch(shape.pattern, value) is None:
        yield Problem(path, f'Invalid value: "{value}": must match {shape.pattern}')


def _check_integer(value: Any, shape: Integer, path: Path) -> Iterator[Problem]:
    if value is None and shape.nullable:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        yield _wrong_type(value, "integer", path)
    elif not shape.lowest <= value <= shape.highest:
        yield Problem(path, f"Invalid value: {value}: must be between {shape.lowest} and {shape.highest}, inclusive")


def _unknown(key: str, shape: Fields, path: Path) -> Problem:
    if key in shape.elsewhere:
        hint: str | None = shape.elsewhere[key]
    else:
        lower = {known.lower().replace("_", ""): known for known in shape.known}
        close = difflib.get_close_matches(key.lower().replace("_", ""), list(lower), n=1, cutoff=0.7)
        hint = _did_you_mean(lower[close[0]] if close else None)
        hint = hint or f"known here: {', '.join(shape.known)}"
    here = (*path, key)
    return Problem(here, f'unknown field "{path_text(here)}"', hint)


def _did_you_mean(word: str | None) -> str | None:
    return f"did you mean {word}?" if word else None


def _wrong_type(value: Any, expected: str, path: Path) -> Problem:
    actual = json_type(value)
    hint = None
    if expected == "string" and actual in ("boolean", "integer", "number"):
        hint = "put it in quotes; unquoted, YAML reads a number or a boolean (yes, no, on and off are booleans)"
    elif expected in ("integer", "boolean") and actual == "string":
        hint = f"write {'a whole number' if expected == 'integer' else 'true or false'}, without quotes"
    elif expected == "array" and actual != "null":
        hint = "write a list: each item on a line of its own after '- '"
    elif actual == "null":
        hint = "nothing follows the key; give it a value or remove the line"
    shown = {"string": f'"{value}"', "null": "null"}.get(actual, actual)
    article = "an" if expected[0] in "aio" else "a"
    return Problem(path, f"Invalid value: {shown}: must be {article} {expected}, not {actual}", hint)


def json_type(value: Any) -> str:
    """`object`, `array`, `string`, `integer`, `number`, `boolean` or `null`."""
    if value is None:
        return "null"
    for kind, name in (
        (bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "object"

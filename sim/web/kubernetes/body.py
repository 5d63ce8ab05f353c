"""The body of a request as data: JSON or YAML, with the keys that were written twice.

A mistake is named as the API server's decoder names it (Go's encoding/json, sigs.k8s.io/json).
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import ruamel.yaml

from sim.core.go_text import json_problem
from sim.errors import InvalidInput
from sim.manifests import read_documents
from sim.manifests.document import Path, path_text
from sim.manifests.scalars import as_json_number
from sim.manifests.schema import json_type

JSON = "application/json"
YAML = "application/yaml"

_WORDS = {"boolean": "bool", "integer": "number"}


#: The escape of half a character; Go reads one without its other half as U+FFFD.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyError(Exception):
    """The text is no JSON, or no YAML; the decoder's words."""


@dataclass(frozen=True, slots=True)
class Body:
    """`data` and the keys in it that were written twice, of which the last counts."""

    text: bytes
    data: Any
    duplicates: tuple[str, ...] = ()


class _Object(dict[str, Any]):
    """A mapping that remembers which of its keys came twice."""

    twice: tuple[str, ...] = ()


def parse_json(text: bytes) -> Body:
    """Raises BodyError."""
    try:
        decoded = text.decode()
        data = json.loads(decoded, object_pairs_hook=_object, parse_float=_number, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BodyError(f"invalid UTF-8: {error}") from error
    except RecursionError as error:
        raise BodyError("exceeded max depth") from error
    except json.JSONDecodeError as error:
        raise BodyError(json_problem(text.decode(), error)) from error
    duplicates = tuple(_duplicates(data, ()))
    return Body(text, _mended(data) if _HALF.search(text) else data, duplicates)


def parse_yaml(text: bytes) -> Body:
    """The first document. Raises BodyError."""
    try:
        documents = read_documents(text.decode(), "request")
    except UnicodeDecodeError as error:
        raise BodyError(f"invalid UTF-8: {error}") from error
    except InvalidInput as error:
        place = f"line {error.where.line}: " if error.where is not None and error.where.line else ""
        raise BodyError(f"yaml: {place}{error.message}") from error
    return Body(text, documents[0].data if documents else None)


def go_text(value: Any) -> str:
    """A value as Go's `%v` prints it: `map[spec:map[x:1]]`"""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    words = {None: "<nil>", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def go_type(value: Any) -> str:
    """The JSON type of a value as Go's decoder calls it."""
    name = "number" if isinstance(value, float) else json_type(value)
    return _WORDS.get(name, name)


def summary(text: bytes) -> str:
    """The beginning of a body, as an error ends with."""
    if not text:
        return "<empty>"
    shown = text[:30].decode(errors="replace") if text.startswith(b"{") else text[:30].hex()
    return shown + (" ..." if len(text) > 30 else "")


def as_yaml(content: Any) -> str:
    stream = io.StringIO()
    ruamel.yaml.YAML(typ="safe", pure=True).dump(content, stream)
    return stream.getvalue()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        made.twice = tuple(key for key, count in counts.items() if count > 1)
    return made


def _duplicates(value: Any, path: Path) -> list[str]:
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in _duplicates(inner, (*path, index))]
    if not isinstance(value, dict):
        return []
    found = [path_text((*path, key)) for key in getattr(value, "twice", ())]
    return found + [deeper for key, inner in value.items() for deeper in _duplicates(inner, (*path, key))]


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mended(inner) for inner in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _number(text: str) -> int | float | str:
    return as_json_number(float(text))


def _no_constant(text: str) -> Any:
    where = "in numeric literal" if text.startswith("-") else "looking for beginning of value"
    raise BodyError(f"invalid character '{text.lstrip('-')[0]}' {where}")

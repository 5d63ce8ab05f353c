"""Whether an object may be stored: its names, and its fields by the schema. In the API server's words.

Follows k8s.io/apiextensions-apiserver (pkg/apiserver/validation) for custom resources; names and labels are in
`names`, Kubernetes' own kinds in `builtin_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sim.manifests.document import Path
from sim.manifests.schema import Boolean, Fields, Free, Integer, IntOrText, Items, Shape, Text, TextMap, json_type
from sim.web.kubernetes.builtin_rules import builtin_causes
from sim.web.kubernetes.names import metadata_causes
from sim.web.kubernetes.resources import Resource
from sim.web.kubernetes.status import Cause, invalid_value, not_supported, required, wrong_type

_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_BLOCKING = ("FieldValueRequired", "FieldValueTypeInvalid")


def causes(content: dict[str, Any], resource: Resource) -> list[Cause]:
    """Everything that is wrong with an object about to be stored."""
    metadata = content.get("metadata") or {}
    found = list(metadata_causes(metadata, resource))
    if not resource.custom:
        return [*found, *builtin_causes(content, resource)]
    of_schema = [
        cause
        for key, shape in resource.shape.known.items()
        if key not in ("apiVersion", "kind", "metadata", "status") and key in content
        for cause in schema_causes(content[key], shape, (key,))
    ]
    if resource.has_rules:
        # Istio's CustomResourceDefinition requires a spec, and has rules that need a whole object.
        if "spec" not in content:
            of_schema.append(required(("spec",)))
        if any(cause.reason in _BLOCKING for cause in of_schema):
            of_schema.append(invalid_value((), "null", _UNCHECKED))
    return found + of_schema


def schema_causes(value: Any, shape: Shape, path: Path) -> Iterator[Cause]:
    """What a custom resource's schema has against `value`."""
    actual = json_type(value)
    match shape:
        case Fields():
            if not isinstance(value, dict):
                yield wrong_type(path, value, "object", actual)
                return
            for key, inner_shape in shape.known.items():
                if key in value:
                    yield from schema_causes(value[key], inner_shape, (*path, key))
                elif key in shape.required:
                    yield required((*path, key))
        case Items():
            if not isinstance(value, list):
                yield wrong_type(path, value, "array", actual)
                return
            for index, item in enumerate(value):
                yield from schema_causes(item, shape.of, (*path, index))
        case Text():
            yield from _text_causes(value, shape, path)
        case Integer():
            yield from _integer_causes(value, shape, path)
        case Boolean():
            if not isinstance(value, bool):
                yield wrong_type(path, value, "boolean", actual)
        case Free():
            if not isinstance(value, dict):
                yield wrong_type(path, value, "object", actual)
        case TextMap():
            if not isinstance(value, dict):
                yield wrong_type(path, value, "object", actual)
                return
            for key, inner in value.items():
                if not isinstance(inner, str):
                    yield wrong_type((*path, key), inner, "string", json_type(inner))
        case IntOrText():
            if not isinstance(value, int | str) or isinstance(value, bool):
                yield wrong_type(path, value, "integer,string", actual)


def _text_causes(value: Any, shape: Text, path: Path) -> Iterator[Cause]:
    if not isinstance(value, str):
        yield wrong_type(path, value, "string", json_type(value))
        return
    field = _name(path)
    if shape.values and value not in shape.values:
        yield not_supported(path, value, shape.values)
    if shape.nonempty and not value:
        yield invalid_value(path, value, f"{field} in body should be at least 1 chars long")
    if shape.pattern is not None and re.fullmatch(shape.pattern, value) is None:
        yield invalid_value(path, value, f"{field} in body should match '{anchored(shape.pattern)}'")


def _integer_causes(value: Any, shape: Integer, path: Path) -> Iterator[Cause]:
    if value is None and shape.nullable:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        yield wrong_type(path, value, "integer", json_type(value))
    elif value < shape.lowest:
        yield invalid_value(path, value, f"{_name(path)} in body should be greater than or equal to {shape.lowest}")
    elif value > shape.highest:
        yield invalid_value(path, value, f"{_name(path)} in body should be less than or equal to {shape.highest}")


def anchored(pattern: str) -> str:
    """A pattern for the whole text as OpenAPI has it, where a pattern may match anywhere."""
    return f"^({pattern})$"


def _name(path: Path) -> str:
    return required(path).field

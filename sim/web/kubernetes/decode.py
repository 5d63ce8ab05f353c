"""A body becomes an object of a resource: its type is right, and what the schema doesn't know is taken out.

Two strictnesses, as the API server has them: types of metadata and of Kubernetes' own kinds are the decoder's matter
(400), a custom resource's are its schema's (422, in `validation`).
"""

from __future__ import annotations

import base64
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sim.manifests.document import Path, path_text
from sim.manifests.kinds import METADATA
from sim.manifests.schema import (
    Boolean,
    Fields,
    Free,
    Integer,
    IntOrText,
    Items,
    Shape,
    Text,
    TextMap,
)
from sim.web.kubernetes.body import Body, go_type, summary
from sim.web.kubernetes.resources import SECRETS, Resource
from sim.web.kubernetes.status import ApiError, bad_request, invalid, invalid_value

#: The Go structs that hold the fields of Kubernetes' own kinds, by the path without indices.
_STRUCTS = {
    "metadata": "ObjectMeta",
    "Ingress:spec": "IngressSpec",
    "Ingress:spec.defaultBackend": "IngressBackend",
    "Ingress:spec.defaultBackend.service": "IngressServiceBackend",
    "Ingress:spec.defaultBackend.service.port": "ServiceBackendPort",
    "Ingress:spec.rules": "IngressRule",
    "Ingress:spec.rules.http": "HTTPIngressRuleValue",
    "Ingress:spec.rules.http.paths": "HTTPIngressPath",
    "Ingress:spec.rules.http.paths.backend": "IngressBackend",
    "Ingress:spec.rules.http.paths.backend.service": "IngressServiceBackend",
    "Ingress:spec.rules.http.paths.backend.service.port": "ServiceBackendPort",
    "Ingress:spec.tls": "IngressTLS",
    "Service:spec": "ServiceSpec",
    "Service:spec.ports": "ServicePort",
}


_BASE64 = frozenset(string.ascii_letters + string.digits + "+/=")
#: Go's decoder passes over them.
_LINE_BREAKS = {ord("\r"): None, ord("\n"): None}

#: What manifests need not say of metadata, and clients do.
_METADATA = Fields(
    {
        **METADATA.known,
        **dict.fromkeys(("generateName", "resourceVersion", "selfLink", "uid"), Text()),
        "finalizers": Items(Text()),
        "managedFields": Items(Free()),
        "ownerReferences": Items(Fields(dict.fromkeys(("apiVersion", "kind", "name", "uid"), Text()))),
    }
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`problems` are those that only a strict reader minds: unknown keys, and keys that were written twice."""

    content: dict[str, Any]
    problems: tuple[str, ...] = ()


def decode(body: Body, resource: Resource) -> Decoded:
    """Raises ApiError."""
    content = _object(body, resource)
    _check_type(content, resource)
    metadata = content.get("metadata")
    if metadata is not None:
        # A custom resource's metadata is decoded by itself.
        prefix = () if resource.custom else ("metadata",)
        _check_decoded(metadata, _METADATA, "ObjectMeta", prefix, resource)
    if not resource.custom:
        rest = {key: value for key, value in content.items() if key != "metadata"}
        _check_decoded(rest, resource.shape, resource.kind, (), resource)
        _check_base64(content, resource)
    unknown: list[Path] = []
    pruned = _pruned(content, resource.shape, (), unknown, resource)
    if metadata is not None:
        pruned["metadata"] = _set_metadata(pruned["metadata"])
    problems = [f'duplicate field "{field}"' for field in sorted(body.duplicates)]
    problems += [f'unknown field "{field}"' for field in sorted(path_text(path) for path in unknown)]
    return Decoded(pruned, tuple(problems))


class Undecodable(ApiError):
    """The body is no object of the resource; `why` are the decoder's words."""

    def __init__(self, resource: Resource, why: str, kind: str | None = None) -> None:
        words = f'{kind or resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'
        super().__init__(400, "BadRequest", words)
        self.why = why


def strict_error(problems: tuple[str, ...]) -> str:
    return "strict decoding error: " + ", ".join(problems)


def _object(body: Body, resource: Resource) -> dict[str, Any]:
    content = body.data
    unrecognized = f"the object provided is unrecognized (must be of type {resource.kind}): "
    if not isinstance(content, dict):
        kind = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
        raise bad_request(
            f"{unrecognized}couldn't get version/kind; json parse error: "
            f"json: cannot unmarshal {go_type(content)} into Go value of type {kind} ({summary(body.text)})"
        )
    for key in ("apiVersion", "kind"):
        if not isinstance(content.get(key, ""), str):
            raise bad_request(
                f"{unrecognized}couldn't get version/kind; json parse error: json: cannot unmarshal "
                f"{go_type(content[key])} into Go struct field .{key} of type string ({summary(body.text)})"
            )
    if resource.custom:
        if not content.get("kind"):
            text = body.text.decode(errors="replace")
            raise bad_request(f"{unrecognized}Object 'Kind' is missing in '{text}' ({summary(body.text)})")
        return content
    return {"apiVersion": resource.api_version, "kind": resource.kind} | content


def _check_type(content: dict[str, Any], resource: Resource) -> None:
    api_version, kind = content.get("apiVersion", ""), content["kind"]
    if not resource.custom and (api_version, kind) != (resource.api_version, resource.kind):
        package = resource.group.partition(".")[0] or "core"
        why = f"converting ({api_version.rpartition('/')[2]}.{kind}) to ({package}.{resource.kind}): unknown conversion"
        raise Undecodable(resource, why, kind)
    if api_version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match "
            f"the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        metadata = content.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        raise invalid(resource.group, kind, name, [invalid_value(("kind",), kind, f"must be {resource.kind}")])


def _check_decoded(value: Any, shape: Shape, struct: str, prefix: Path, resource: Resource) -> None:
    for wrong in _mismatches(value, shape, struct, prefix, resource):
        raise Undecodable(resource, f"json: cannot unmarshal {wrong}")


def _mismatches(value: Any, shape: Shape, struct: str, path: Path, resource: Resource) -> Iterator[str]:
    """`number into Go struct field IngressRule.spec.rules.host of type string`, by the order of the text."""
    if value is None:
        return
    names = tuple(step for step in path if isinstance(step, str))
    field = f"Go struct field {struct}.{'.'.join(names)}" if names else "Go value"
    if isinstance(shape, Fields):
        inner_struct = struct_name(names, resource, struct)
        if not isinstance(value, dict):
            yield f"{go_type(value)} into {field} of type v1.{inner_struct}"
            return
        for key, inner in value.items():
            if key in shape.known:
                yield from _mismatches(inner, shape.known[key], inner_struct, (*path, key), resource)
        return
    if isinstance(shape, Items):
        if not isinstance(value, list):
            is_text = isinstance(shape.of, Text)
            items = "string" if is_text else f"v1.{struct_name(names, resource, struct)}"
            yield f"{go_type(value)} into {field} of type []{items}"
            return
        for item in value:
            yield from _mismatches(item, shape.of, struct, path, resource)
        return
    if isinstance(shape, TextMap):
        if not isinstance(value, dict):
            yield f"{go_type(value)} into {field} of type map[string]string"
            return
        for inner in value.values():
            if inner is not None and not isinstance(inner, str):
                yield f"{go_type(inner)} into {field} of type string"
        return
    wanted = _wanted(shape, value)
    if wanted is not None:
        yield f"{go_type(value)} into {field} of type {wanted}"


def _wanted(shape: Shape, value: Any) -> str | None:
    """The Go type of a plain field, if `value` is not of it."""
    match shape:
        case Text() if not isinstance(value, str):
            return "string"
        case Integer() if not isinstance(value, int) or isinstance(value, bool):
            return "int32"
        case Boolean() if not isinstance(value, bool):
            return "bool"
        case IntOrText() if not isinstance(value, int | str) or isinstance(value, bool):
            return "intstr.IntOrString"
        case Free() if not isinstance(value, dict):
            return "map[string]interface {}"
    return None


def struct_name(names: tuple[str, ...], resource: Resource, struct: str = "") -> str:
    """The Go struct of what is at the path, among the kinds of Kubernetes' own; `struct` where none is known."""
    dotted = ".".join(names)
    return _STRUCTS.get(dotted) or _STRUCTS.get(f"{resource.kind}:{dotted}") or struct


def _check_base64(content: dict[str, Any], resource: Resource) -> None:
    if resource is not SECRETS:
        return
    for value in (content.get("data") or {}).values():
        text = (value or "").translate(_LINE_BREAKS)
        try:
            base64.b64decode(text, validate=True)
        except ValueError as error:
            wrong = (at for at, letter in enumerate(text) if letter not in _BASE64)
            raise Undecodable(resource, f"illegal base64 data at input byte {next(wrong, len(text))}") from error


def _pruned(value: Any, shape: Shape, path: Path, unknown: list[Path], resource: Resource) -> Any:
    """`value` without the keys that the schema doesn't know; null means that a custom resource's key isn't set."""
    if isinstance(shape, Fields) and isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            here = (*path, key)
            if key not in shape.known:
                unknown.append(here)
            elif inner is not None or _may_be_null(shape.known[key], here, resource):
                kept[key] = _pruned(inner, shape.known[key], here, unknown, resource)
        return kept
    if isinstance(shape, Items):
        if isinstance(value, dict):
            unknown.extend((*path, key) for key in value)
        elif isinstance(value, list):
            whole = value if resource.custom else [_item(item, shape.of) for item in value]
            return [_pruned(item, shape.of, (*path, index), unknown, resource) for index, item in enumerate(whole)]
    return value


def _item(item: Any, shape: Shape) -> Any:
    """A list's item as Go decodes it: null is one with nothing set."""
    if item is not None:
        return item
    return {} if isinstance(shape, Fields) else ""


def _set_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """What of an object's metadata is set: Go's decoder knows no label that is null, and writes no empty mapping."""
    labels = {
        key: {name: value or "" for name, value in (metadata.get(key) or {}).items()}
        for key in ("labels", "annotations")
    }
    finalizers = {"finalizers": [name or "" for name in metadata.get("finalizers") or []]}
    return {
        key: value for key, value in {**metadata, **labels, **finalizers}.items() if value not in (None, {}, [], "")
    }


def _may_be_null(shape: Shape, path: Path, resource: Resource) -> bool:
    return resource.custom and path[0] != "metadata" and isinstance(shape, Integer) and shape.nullable

"""Sets of an object's fields, as `metadata.managedFields` writes them (FieldsV1).

A path is a tuple of FieldsV1's own elements: `f:<key>`, `k:{"port":80}` for a list's item that is told by keys, and
`v:"text"` for one that is told by itself. Lists that are not told apart count as one value.
Follows sigs.k8s.io/structured-merge-diff (typed/tofieldset.go, typed/compare.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sim.manifests.schema import Fields, Shape
from sim.web.kubernetes.resources import Names, Resource

_KEY_DEFAULTS = {"protocol": "TCP"}

FieldPath = tuple[str, ...]
FieldSet = frozenset[FieldPath]

_SERVERS = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


def items(value: Any, at: FieldPath, resource: Resource) -> list[tuple[str, Any]] | None:
    """What is inside of the value at `at`, by element; None where it counts as one value."""
    if isinstance(value, dict):
        if resource.atomic and tuple(element[2:] for element in at) in resource.atomic:
            return None
        skipped = _SERVERS if at == ("f:metadata",) else frozenset()
        found = [(f"f:{key}", inner) for key, inner in value.items() if key not in skipped]
        return [(element, inner) for element, inner in found if at or element[2:] not in resource.unowned_keys]
    if not isinstance(value, list):
        return None
    keys = resource.lists.get(tuple(element[2:] for element in at))
    if keys is None:
        return None
    if not keys:
        return [(f"v:{_compact(item)}", item) for item in value]
    if not all(isinstance(item, dict) for item in value):
        return None
    return [("k:" + _compact(_identity(item, keys)), item) for item in value]


def all_fields(content: Any, resource: Resource) -> FieldSet:
    """Every field, and every mapping that could be absent: what an update that makes the object owns."""
    return frozenset(_all(content, (), resource))


def applied_fields(content: Any, resource: Resource) -> FieldSet:
    """What an apply of `content` owns: its values, and the mappings whose key no schema declares."""
    return frozenset(_applied(content, (), resource.shape, resource))


def values(content: Any, resource: Resource) -> dict[FieldPath, Any]:
    """The values by path, those that are no mapping."""
    return dict(_values(content, (), resource))


def changes(before: Any, after: Any, resource: Resource) -> tuple[FieldSet, FieldSet]:
    """What an update set (added or changed), and what it removed."""
    old, new = all_fields(before, resource), all_fields(after, resource)
    old_values = values(before, resource)
    missing = object()
    changed = {
        path
        for path, value in values(after, resource).items()
        if path in old and old_values.get(path, missing) != value
    }
    return frozenset((new - old) | changed), old - new


def as_fields_v1(fields: Iterable[FieldPath]) -> dict[str, Any]:
    """`{"f:spec": {".": {}, "f:url": {}}}`"""
    tree: dict[str, Any] = {}
    ends = []
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        ends.append(node)
    for node in ends:
        if node:
            node["."] = {}
    return tree


def from_fields_v1(tree: Any) -> FieldSet:
    """What `as_fields_v1` wrote; what is no such tree is left out."""
    return frozenset(_members(tree, ()))


def dotted(path: FieldPath) -> str:
    """`.spec.ports[port=80].name`, as a conflict names it."""
    text = ""
    for element in path:
        kind, name = element[0], element[2:]
        if kind == "f":
            text += f".{name}"
        elif kind == "v":
            text += f"[={name}]"
        else:
            keys = json.loads(name)
            text += "[" + ",".join(f"{key}={_compact(value)}" for key, value in keys.items()) + "]"
    return text


def without(content: Any, removed: Iterable[FieldPath], resource: Resource) -> Any:
    """`content` without those fields, and without the mappings that get empty by it."""
    gone = frozenset(removed)
    return _without(content, gone, prefixes(gone), (), resource)


def prefixes(fields: Iterable[FieldPath]) -> FieldSet:
    """The fields and everything that they are in."""
    return frozenset(path[:length] for path in fields for length in range(len(path) + 1))


def _all(value: Any, at: FieldPath, resource: Resource) -> Iterator[FieldPath]:
    if at and at != ("f:metadata",) and not (len(at) == 1 and at[0][2:] in resource.struct_keys):
        yield at
    for element, inner in items(value, at, resource) or ():
        yield from _all(inner, (*at, element), resource)


def _applied(value: Any, at: FieldPath, shape: Shape | None, resource: Resource) -> Iterator[FieldPath]:
    inside = items(value, at, resource)
    if not inside:
        if at and at != ("f:metadata",):
            yield at
        return
    is_mapping = isinstance(value, dict)
    for element, inner in inside:
        declared = shape.known.get(element[2:]) if isinstance(shape, Fields) else None
        here = (*at, element)
        if not is_mapping or declared is None:
            yield here
        yield from _applied(inner, here, declared, resource)


def _values(value: Any, at: FieldPath, resource: Resource) -> Iterator[tuple[FieldPath, Any]]:
    inside = items(value, at, resource)
    if inside is None:
        yield at, value
        return
    for element, inner in inside:
        yield from _values(inner, (*at, element), resource)


def _members(tree: Any, at: FieldPath) -> Iterator[FieldPath]:
    if not isinstance(tree, dict):
        return
    if at and (not tree or "." in tree):
        yield at
    for element, inner in tree.items():
        if element != ".":
            yield from _members(inner, (*at, element))


def _without(value: Any, removed: FieldSet, touched: FieldSet, at: FieldPath, resource: Resource) -> Any:
    inside = items(value, at, resource)
    if inside is None or at not in touched:
        return value
    kept = {
        element: _without(inner, removed, touched, (*at, element), resource)
        for element, inner in inside
        if (*at, element) not in removed
    }
    was_empty = {element for element, inner in inside if inner in ({}, [])}
    kept = {element: inner for element, inner in kept.items() if inner not in ({}, []) or element in was_empty}
    if isinstance(value, list):
        return list(kept.values())
    known = dict(inside)
    others = {key: inner for key, inner in value.items() if f"f:{key}" not in known}
    return {**others, **{element[2:]: inner for element, inner in kept.items()}}


def _identity(item: dict[str, Any], keys: Names) -> dict[str, Any]:
    """The keys that tell an item of a list from the others, with Kubernetes' default where one is not written."""
    whole = _KEY_DEFAULTS | item
    return {key: whole[key] for key in keys if key in whole}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)

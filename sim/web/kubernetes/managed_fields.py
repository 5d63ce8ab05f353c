"""Who owns which field of an object: `metadata.managedFields`, by updates and by server-side apply.

Follows k8s.io/apimachinery (pkg/util/managedfields): an update takes what it changed from everybody, an apply owns what
it names, and names nobody else's without force.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sim.web.kubernetes.field_sets import (
    FieldPath,
    FieldSet,
    applied_fields,
    as_fields_v1,
    changes,
    dotted,
    from_fields_v1,
    items,
    prefixes,
    values,
    without,
)
from sim.web.kubernetes.resources import Resource
from sim.web.kubernetes.status import ApiError

Operation = Literal["Apply", "Update"]


@dataclass(frozen=True, slots=True)
class Owned:
    """One manager's fields. `time` is that of its last change, as Kubernetes writes it."""

    manager: str
    operation: Operation
    api_version: str
    time: str
    fields: FieldSet

    def as_json(self) -> dict[str, Any]:
        return {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": as_fields_v1(self.fields),
        }


Ownership = tuple[Owned, ...]


def as_managed_fields(ownership: Ownership) -> list[dict[str, Any]]:
    ordered = sorted(ownership, key=lambda owned: (owned.operation, owned.time, owned.manager))
    return [owned.as_json() for owned in ordered]


def from_managed_fields(entries: Any) -> Ownership:
    """What a client wrote there; what makes no sense is left out, and `[{}]` is nobody."""
    found: list[Owned] = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("operation") not in ("Apply", "Update"):
            continue
        texts = {key: str(entry.get(key) or "") for key in ("manager", "apiVersion", "time")}
        fields = from_fields_v1(entry.get("fieldsV1"))
        found.append(Owned(texts["manager"], entry["operation"], texts["apiVersion"], texts["time"], fields))
    return tuple(found)


def after_update(
    ownership: Ownership, before: Any, after: Any, resource: Resource, manager: str, time: str
) -> Ownership:
    """Who owns what when `manager` has turned `before` (`{}` for nothing) into `after`."""
    taken, removed = changes(before, after, resource)
    if not taken and not removed:
        return ownership
    mine = next((owned for owned in ownership if _is(owned, manager, "Update", resource)), None)
    others = [owned for owned in ownership if owned is not mine]
    fields = ((mine.fields if mine else frozenset()) - removed) | taken
    time = time if taken or mine is None else mine.time
    return _kept([Owned(manager, "Update", resource.api_version, time, fields), *_minus(others, taken | removed)])


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply makes of an object."""

    content: dict[str, Any]
    ownership: Ownership


def after_apply(
    ownership: Ownership,
    live: dict[str, Any] | None,
    config: dict[str, Any],
    resource: Resource,
    manager: str,
    time: str,
    *,
    force: bool,
) -> Applied:
    """Lay `config` over `live`, and take away what `manager` had applied before and names no more.

    Raises ApiError, 409, where a value is another's and differs, unless `force`.
    """
    fields = applied_fields(config, resource)
    mine = next((owned for owned in ownership if _is(owned, manager, "Apply", resource)), None)
    others = [owned for owned in ownership if owned is not mine]
    if live is None:
        return Applied(config, (Owned(manager, "Apply", resource.api_version, time, fields),))
    before, wanted = values(live, resource), values(config, resource)
    differing = {path for path, value in wanted.items() if path not in before or before[path] != value}
    conflicts = [
        (owned, sorted(owned.fields & differing, key=_values_first)) for owned in others if owned.fields & differing
    ]
    if conflicts and not force:
        raise _conflict(conflicts)
    dropped = (mine.fields if mine else frozenset()) - fields
    merged = merged_content(live, config, (), resource)
    merged = without(merged, _disowned(dropped, fields, others), resource)
    taken, removed = changes(live, merged, resource)
    changed = bool(taken or removed) or mine is None or mine.fields != fields
    entry = Owned(manager, "Apply", resource.api_version, time if changed or mine is None else mine.time, fields)
    return Applied(merged, _kept([entry, *_minus(others, (taken & differing) | removed)]))


def merged_content(live: Any, config: Any, at: FieldPath, resource: Resource) -> Any:
    """`config` laid over `live`: mappings key by key, lists by their items where those are told apart."""
    ours, theirs = items(config, at, resource), items(live, at, resource)
    if ours is None or theirs is None or isinstance(config, list) != isinstance(live, list):
        return copy.deepcopy(config)
    if isinstance(config, list):
        merged = dict(theirs)
        for element, inner in ours:
            merged[element] = merged_content(merged.get(element), inner, (*at, element), resource)
        return list(merged.values())
    result = dict(live)
    for element, inner in ours:
        key = element[2:]
        result[key] = (
            merged_content(live[key], inner, (*at, element), resource) if key in live else copy.deepcopy(inner)
        )
    return result


def _disowned(dropped: FieldSet, kept: FieldSet, others: Sequence[Owned]) -> FieldSet:
    """The dropped fields that nobody holds, neither themselves nor anything inside of them."""
    return dropped - prefixes(kept.union(*(owned.fields for owned in others)))


def _is(owned: Owned, manager: str, operation: Operation, resource: Resource) -> bool:
    return (owned.manager, owned.operation, owned.api_version) == (manager, operation, resource.api_version)


def _minus(ownership: Sequence[Owned], fields: FieldSet) -> list[Owned]:
    return [replace(owned, fields=owned.fields - fields) for owned in ownership]


def _kept(ownership: Sequence[Owned]) -> Ownership:
    return tuple(owned for owned in ownership if owned.fields)


def _values_first(path: FieldPath) -> list[tuple[bool, str]]:
    return [(depth < len(path) - 1, element) for depth, element in enumerate(path)]


def _conflict(conflicts: Sequence[tuple[Owned, Sequence[FieldPath]]]) -> ApiError:
    causes = []
    lines = []
    for owned, paths in sorted(conflicts, key=lambda found: found[0].manager):
        who = f'"{owned.manager}"'
        if owned.operation == "Update":
            who += f" using {owned.api_version}"
        fields = [dotted(path) for path in paths]
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": name} for name in fields
        ]
        if len(conflicts) == len(fields) == 1:
            lines.append(f"conflict with {who}: {fields[0]}")
        else:
            lines.append(f"conflicts with {who}:" + "".join(f"\n- {name}" for name in fields))
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    return ApiError(409, "Conflict", f"Apply failed with {count}: " + "\n".join(lines), {"causes": causes})

"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and Kubernetes' strategic merge patch.

The last follows k8s.io/apimachinery (pkg/util/strategicpatch) for the lists that Kubernetes' own kinds here have:
`$patch`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`, `$retainKeys`.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from sim.web.kubernetes.body import go_text

#: The lists that a strategic patch merges, by path: an item's key, or none where items are plain texts.
_MERGED: dict[tuple[str, ...], str | None] = {
    ("metadata", "finalizers"): None,
    ("metadata", "ownerReferences"): "uid",
    ("spec", "ports"): "port",
    ("spec", "finalizers"): None,
}
_ORDER = "$setElementOrder/"
_REMOVE = "$deleteFromPrimitiveList/"
_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"


class PatchFailed(Exception):
    """The patch fits its form, but not the object."""


class MergeKeyMissing(PatchFailed):
    """An item of a strategic patch doesn't say which item of the list it is."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises PatchFailed."""
    try:
        return jsonpatch.JsonPatch(operations).apply(copy.deepcopy(target))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError) as error:
        raise PatchFailed(str(error)) from error


def strategic_merge(target: Any, patch: Any, path: tuple[str, ...] = ()) -> Any:
    """Mappings key by key; lists replaced, but those of `_MERGED` item by item. Raises PatchFailed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get(_DIRECTIVE)
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    if isinstance(retained := patch.get(_RETAIN), list):
        merged = {key: value for key, value in merged.items() if key in retained}
    for key, value in patch.items():
        if key.startswith(_REMOVE):
            if not isinstance(value, list):
                raise PatchFailed(f"{key} is no list")
            name = key.removeprefix(_REMOVE)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
    for key, value in patch.items():
        here = (*path, key)
        if key.startswith("$"):
            continue
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, list) and here in _MERGED:
            merged[key] = _merge_list(merged.get(key) or [], value, here, patch.get(_ORDER + key))
        else:
            merged[key] = strategic_merge(merged.get(key), value, here)
    return merged


def _merge_list(target: list[Any], patch: list[Any], path: tuple[str, ...], order: Any) -> list[Any]:
    key = _MERGED[path]
    if key is None:
        return [*target, *(item for item in patch if item not in target)]
    if not all(isinstance(item, dict) for item in patch):
        raise PatchFailed(f"the items of {'.'.join(path)} are no mappings")
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if item.get(_DIRECTIVE) != "replace"]
    merged = list(target)
    added = []
    for item in patch:
        if key not in item:
            raise MergeKeyMissing(f"map: {go_text(item)} does not contain declared merge key: {key}")
        index = next((index for index, found in enumerate(merged) if found.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [found for found in merged if found.get(key) != item[key]]
        elif index is None:
            added.append(strategic_merge({}, item, path))
        else:
            merged[index] = strategic_merge(merged[index], item, path)
    # The API server puts what is new first, and then obeys the order that the client wants.
    merged = [*added, *merged]
    if isinstance(order, list):
        wanted = [item.get(key) for item in order if isinstance(item, dict)]
        merged.sort(key=lambda found: wanted.index(found.get(key)) if found.get(key) in wanted else len(wanted))
    return merged

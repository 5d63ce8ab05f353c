"""Where two JSON values differ, field by field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any


class _Absent:
    """Stands for a value that one side does not have."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def changed_fields(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: the path, and what stands there on either side (or ABSENT).

    Items of a list are matched by their `name` where all have one, else by their likeness. A text that holds JSON, as
    a plugin's configuration does, is looked into.
    """
    if isinstance(before, str) and isinstance(after, str):
        inner = (_json_in(before), _json_in(after))
        if before != after and None not in inner and inner[0] != inner[1]:
            yield from changed_fields(*inner, path)
            return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from changed_fields(before.get(key, ABSENT), after.get(key, ABSENT), _joined(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _changed_items(before, after, path)
    elif not _equal(before, after):
        yield path, before, after


def _changed_items(before: list[Any], after: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    if _equal(before, after):
        return
    old, new = _by_name(before), _by_name(after)
    if old is not None and new is not None:
        for name in dict.fromkeys([*old, *new]):
            yield from changed_fields(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}[{name}]")
        both = [[name for name in side if name in other] for side, other in ((old, new), (new, old))]
        if both[0] != both[1]:
            yield f"{path} (order)", list(old), list(new)
        return
    alike = difflib.SequenceMatcher(None, _texts(before), _texts(after), autojunk=False)
    for kind, i1, i2, j1, j2 in alike.get_opcodes():
        if kind == "equal":
            continue
        for offset in range(max(i2 - i1, j2 - j1)):
            has_old, has_new = i1 + offset < i2, j1 + offset < j2
            index = i1 + offset if has_old else j1 + offset
            yield from changed_fields(
                before[i1 + offset] if has_old else ABSENT,
                after[j1 + offset] if has_new else ABSENT,
                f"{path}[{index}]",
            )


def _texts(items: list[Any]) -> list[str]:
    return [json.dumps(item, sort_keys=True) for item in items]


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    if not items or not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
        return None
    named = {item["name"]: item for item in items}
    return named if len(named) == len(items) else None


def _equal(before: Any, after: Any) -> bool:
    """As JSON has it: 1 is not true, and 1.0 is not 1."""
    if before is ABSENT or after is ABSENT:
        return before is after
    return type(before) is type(after) and json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _json_in(text: str) -> Any:
    """The object or list that a text holds, None for any other text."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _joined(path: str, key: str) -> str:
    word = key if key.replace("_", "").replace("@", "").isalnum() else json.dumps(key, ensure_ascii=False)
    if word != key:
        return f"{path}[{word}]"
    return f"{path}.{key}" if path else key

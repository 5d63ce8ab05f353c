"""Fields of Envoy's JSON in either of their two spellings: `version_info` as Envoy writes it, `versionInfo` as istiod.

What is of another type than it should be counts as not there: a dump comes from anywhere.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def field(node: Json, name: str) -> Any:
    """The value under the name, given in snake case; None when there is none."""
    if name in node:
        return node[name]
    first, *more = name.split("_")
    return node.get(first + "".join(word.capitalize() for word in more))


def nested(node: Json, *path: str) -> Json:
    """The object at the end of a path of names, an empty one when it is not there."""
    for name in path:
        found = field(node, name)
        node = found if isinstance(found, dict) else {}
    return node


def listed(node: Json, name: str) -> list[Json]:
    """The objects of a list."""
    found = field(node, name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def texts(node: Json, name: str) -> list[str]:
    """The strings of a list."""
    found = field(node, name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def text(node: Json, name: str) -> str:
    """A string, the empty one when it is not there."""
    found = field(node, name)
    return found if isinstance(found, str) else ""


def number(node: Json, name: str) -> int:
    """A whole number, 0 when it is not there."""
    found = field(node, name)
    return found if isinstance(found, int) else 0

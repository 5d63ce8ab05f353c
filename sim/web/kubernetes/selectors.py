"""Label and field selectors: `app=a,tier in (web),!old` and `metadata.name=x`.

Follows k8s.io/apimachinery (pkg/labels/selector.go, pkg/fields/selector.go), its messages included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.web.kubernetes.status import ApiError, bad_request

_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_WORDS = {"in", "notin"}
_OPERATORS = {"=", "==", "!=", "<", ">"}
_FIELDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "metadata.name": lambda content: str(content["metadata"].get("name", "")),
    "metadata.namespace": lambda content: str(content["metadata"].get("namespace", "")),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """`operator` is one of `in notin = == != exists ! < >`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in" | "=" | "==":
                return value in self.values
            case "notin" | "!=":
                return value not in self.values
        try:
            number, limit = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > limit if self.operator == ">" else number < limit


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a request is about. Everything, where nothing is asked."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, content: dict[str, Any]) -> bool:
        labels = content["metadata"].get("labels") or {}
        if not all(requirement.matches(labels) for requirement in self.labels):
            return False
        return all(field.matches({field.key: _FIELDS[field.key](content)}) for field in self.fields)


def parse_selection(query: Mapping[str, str], extra_fields: tuple[str, ...] = ()) -> Selection:
    """Of `labelSelector` and `fieldSelector`; `extra_fields` are allowed and select nothing. Raises ApiError."""
    fields = _parse_fields(query.get("fieldSelector", ""), extra_fields)
    return Selection(_LabelParser(query.get("labelSelector", "")).requirements(), fields)


def _parse_fields(text: str, extra: tuple[str, ...]) -> tuple[Requirement, ...]:
    found = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        key, operator, value = match.groups()
        if key in extra:
            continue
        if key not in _FIELDS:
            raise bad_request(f"field label not supported: {key}")
        found.append(Requirement(key, operator, (value,)))
    return tuple(found)


class _LabelParser:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._next = 0

    def requirements(self) -> tuple[Requirement, ...]:
        found = []
        while self._peek():
            if self._peek() in _OPERATORS or self._peek() in "(),":
                raise bad_request(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
            found.append(self._requirement())
            if not self._peek():
                break
            if self._peek() != ",":
                raise bad_request(f"found '{self._peek()}', expected: ',' or 'end of string'")
            self._take()
            if not self._peek():
                raise bad_request("found '', expected: identifier after ','")
        return tuple(found)

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._take()
            return Requirement(self._identifier(), "!")
        key = self._identifier()
        operator = self._peek()
        if operator in ("", ","):
            return Requirement(key, "exists")
        if operator in _WORDS:
            self._take()
            return Requirement(key, operator, self._values())
        if operator not in _OPERATORS:
            raise self._unable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        self._take()
        value = "" if self._peek() in ("", ",") else self._take()
        if operator in "<>" and not value.lstrip("-").isdigit():
            raise self._unable(f"for 'Gt', 'Lt' operators, the value must be an integer: \"{value}\"")
        return Requirement(key, operator, (value,))

    def _identifier(self) -> str:
        token = self._take()
        if not token or token in _OPERATORS or token in "!(),":
            raise self._unable(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> tuple[str, ...]:
        if (opening := self._take()) != "(":
            raise self._unable(f"found '{opening}' expected: '('")
        values: list[str] = [] if self._peek() != "," else [""]
        while (token := self._take()) != ")":
            if not token:
                raise self._unable("found '', expected: ',', or ')'")
            if token != ",":
                values.append(token)
            elif self._peek() in (",", ")"):
                values.append("")
        return tuple(values) or ("",)

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    @staticmethod
    def _unable(why: str) -> ApiError:
        return bad_request(f"unable to parse requirement: {why}")

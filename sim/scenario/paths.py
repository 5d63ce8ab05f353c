"""The paths in an expression: whether they can exist."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from sim.scenario import cel
from sim.scenario.cel_trees import arguments, bare, literal, macro_of, subtrees
from sim.scenario.event_values import FUNCTION, event_type, wrong_arguments
from sim.scenario.problems import suggestion

_UNKNOWN = object()

Problem = tuple[str, str]


def unknown_names(
    tree: cel.Tree,
    text: str,
    names: type[BaseModel],
    traffic: tuple[str, ...] | None,
    without: tuple[str, ...] = (),
    *,
    trace: bool = False,
    gateways: tuple[str, ...] | None = None,
    combined: bool = True,
) -> list[Problem]:
    """What the expression names that `names`, `without` some of its fields, does not have: messages with hints.

    Maps may hold any key, but `traffic` and `gateways` only those given. `trace`: there is the function `events` too,
    and the expression must be true or false. `combined`: there is a combination of a matrix.
    """
    roots = {name: annotation for name, annotation in _fields(names).items() if name not in without}
    guarded = re.search(r"\bcombination\s*[!=]=\s*null\b", text) is not None
    check = _NameCheck(text, roots, traffic, trace=trace, gateways=gateways, combined=combined or guarded)
    kind = _kind(tree, check.shape(tree, {}))
    if trace and kind is not None and not check.problems:
        check.problems.append((f"it gives {kind}, which is neither true nor false: {text}", _COMPARE[kind]))
    return check.problems


#: What to do about an expression that is never true or false, by the kind of its value.
_COMPARE = {
    "a list": "ask something of it: ….size() == 2, or ….all(x, …)",
    "a map": "name a field of it, and compare that",
    "a number": "compare it with a number: … < 100",
    "a string": 'compare it with a text: … == "…"',
}


def _kind(tree: cel.Tree, shape: Any) -> str | None:
    """The kind of value that the expression has whatever the data; None where that is a boolean, or is not known."""
    tree = bare(tree)
    method = tree.children[tree.data == "member_dot_arg"] if tree.data in ("member_dot_arg", "ident_arg") else None
    if method is not None and str(method) in ("size", "map", "filter"):
        return "a number" if str(method) == "size" else "a list"
    if get_origin(shape) is list:
        return "a list"
    if get_origin(shape) is dict or (isinstance(shape, type) and issubclass(shape, BaseModel)):
        return "a map"
    return {int: "a number", float: "a number", str: "a string"}.get(shape) if isinstance(shape, type) else None


def _plain_type(annotation: Any) -> Any:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, types.UnionType):
        others = [choice for choice in get_args(annotation) if choice is not type(None)]
        return _plain_type(others[0]) if len(others) == 1 else _UNKNOWN
    return _UNKNOWN if annotation is Any else annotation


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


#: What other languages call CEL's functions.
_MEANT = {"count": "size", "len": "size", "length": "size", "any": "exists", "every": "all", "str": "string"}


class _NameCheck:
    """Follows the types of `roots` through an expression."""

    def __init__(
        self,
        text: str,
        roots: Mapping[str, Any],
        traffic: tuple[str, ...] | None,
        *,
        trace: bool = False,
        gateways: tuple[str, ...] | None = None,
        combined: bool = True,
    ) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._roots = roots
        self._traffic = traffic
        self._trace = trace
        self._gateways = gateways
        self._combined = combined

    def shape(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        """The type of the tree's value as far as it is known, the problems on the way noted."""
        tree = bare(tree)
        match getattr(tree, "data", None):
            case "ident":
                return self._root(str(tree.children[0]), scope)
            case "member_dot":
                owner = self.shape(tree.children[0], scope)
                return self._field(tree.children[0], owner, str(tree.children[1]))
            case "member_index":
                owner = self.shape(tree.children[0], scope)
                self.shape(tree.children[1], scope)
                return self._item(tree.children[0], owner, tree.children[1])
            case "member_dot_arg":
                return self._call(tree, scope)
            case "ident_arg":
                return self._function(tree, scope)
            case None:
                return _UNKNOWN
        for child in subtrees(tree):
            self.shape(child, scope)
        return _UNKNOWN

    def _root(self, name: str, scope: Mapping[str, Any]) -> Any:
        if name in scope:
            return scope[name]
        if name in self._roots:
            return _plain_type(self._roots[name])
        if self._traffic is not None and name in self._traffic:
            hint = f"write traffic.{name}"
        elif self._trace and name == FUNCTION:
            hint = f'it is a function; write {FUNCTION}("agent.fetch")'
        else:
            known = [*self._roots, *scope]
            hint = suggestion(name, known, f"names are {', '.join(known)}; text stands in quotes")
        self.problems.append((f"there is no {name} to look at: {self._text}", hint))
        return _UNKNOWN

    def _field(self, owner_tree: cel.Tree, owner: Any, name: str) -> Any:
        source = cel.source_of(owner_tree, self._text)
        if isinstance(owner, type) and issubclass(owner, BaseModel):
            fields = _fields(owner)
            if source == "combination" and not self._combined:
                hint = "add spec.matrix, or leave this out"
                self.problems.append((f"the scenario has no matrix, so combination is null: {self._text}", hint))
                return _UNKNOWN
            if name in fields:
                return _plain_type(fields[name])
            self.problems.append(
                (f"{source} has no {name}: {self._text}", suggestion(name, fields, f"it has {', '.join(fields)}"))
            )
        elif get_origin(owner) is dict:
            if source == "traffic" and self._traffic is not None and name not in self._traffic:
                has = f"the scenario has {', '.join(self._traffic)}" if self._traffic else "the scenario has none"
                self.problems.append(
                    (f"there is no traffic {name}: {self._text}", suggestion(name, self._traffic, has))
                )
            if source == "gateways" and self._gateways is not None and name not in self._gateways:
                has = f"the scenario has {', '.join(self._gateways)}"
                hint = suggestion(name, self._gateways, has)
                self.problems.append((f"there is no gateway {name}: {self._text}", hint))
            return _plain_type(get_args(owner)[1])
        elif get_origin(owner) is list:
            hint = f"name one of it: {source}[0].{name}, or all: {source}.all(x, x.{name} …)"
            self.problems.append((f"{source} is a list and has no {name}: {self._text}", hint))
        elif owner is not _UNKNOWN:
            self.problems.append((f"{source} has no {name}: {self._text}", f"compare {source} itself"))
        return _UNKNOWN

    def _item(self, owner_tree: cel.Tree, owner: Any, index: cel.Tree) -> Any:
        if get_origin(owner) is list:
            return _plain_type(get_args(owner)[0])
        key = literal(index)
        if isinstance(key, str):
            return self._field(owner_tree, owner, key)
        return _plain_type(get_args(owner)[1]) if get_origin(owner) is dict else _UNKNOWN

    def _call(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        method = str(tree.children[1])
        macro = macro_of(tree)
        receiver = self.shape(tree.children[0], scope)
        if macro is not None:
            item = _plain_type(get_args(receiver)[0]) if get_origin(receiver) in (list, dict) else _UNKNOWN
            for body in macro[2]:
                self.shape(body, {**scope, macro[1]: item})
            return receiver if method == "filter" and get_origin(receiver) is list else _UNKNOWN
        if method in cel.MACROS:
            hint = f"write it like rollouts.{method}(r, r.acked)"
            self.problems.append((f"{method}() needs a name and an expression: {self._text}", hint))
            return _UNKNOWN
        self._known_function(method)
        for argument in arguments(tree):
            self.shape(argument, scope)
        return _UNKNOWN

    def _function(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        name = str(tree.children[0])
        if self._trace and name == FUNCTION:
            return self._events([literal(argument) for argument in arguments(tree)])
        self._known_function(name)
        for argument in arguments(tree):
            if name == "has":
                # Whether the last field exists is the question; what it is asked of must exist.
                member = bare(argument)
                argument = member.children[0] if getattr(member, "data", None) == "member_dot" else argument
            self.shape(argument, scope)
        return _UNKNOWN

    def _events(self, arguments: list[Any]) -> Any:
        wrong = wrong_arguments(arguments)
        if wrong is None:
            return types.GenericAlias(list, (event_type(arguments[0]),))
        self.problems.append((f"{wrong[0]}: {self._text}", wrong[1]))
        return _UNKNOWN

    def _known_function(self, name: str) -> None:
        if name not in cel.FUNCTIONS:
            known = sorted(cel.FUNCTIONS | cel.MACROS)
            which = "size, has, all, exists, filter, map, startsWith, contains, …"
            if self._trace:
                known, which = [*known, FUNCTION], which.replace("…", f"{FUNCTION}, …")
            meant = _MEANT.get(name.lower())
            hint = f"write {meant}()" if meant else suggestion(name, known, f"functions are {which}")
            self.problems.append((f"there is no function {name}(): {self._text}", hint))

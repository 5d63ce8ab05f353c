"""The paths in an expression: whether they can exist, and what their values are.

Works on celpy's syntax trees, whose rule names are in its `cel.lark`.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from sim.scenario import cel
from sim.scenario.problems import suggestion

#: At most so many values are told of one expression.
MAX_VALUES = 50

#: Rules that only pass on their single child.
_WRAPPERS = frozenset(
    {
        *("expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary"),
        *("member", "primary", "paren_expr"),
    }
)
_UNKNOWN = object()

Problem = tuple[str, str]


def unknown_names(
    tree: cel.Tree,
    text: str,
    names: type[BaseModel],
    traffic: tuple[str, ...] | None,
    without: tuple[str, ...] = (),
) -> list[Problem]:
    """What the expression names that `names`, `without` some of its fields, does not have: messages with hints.

    Maps may hold any key, but `traffic` only those given.
    """
    roots = {name: annotation for name, annotation in _fields(names).items() if name not in without}
    check = _NameCheck(text, roots, traffic)
    check.shape(tree, {})
    return check.problems


def actual_values(
    tree: cel.Tree, text: str, context: Mapping[str, Any], variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The value of every path, by the path. `variables` are the context in celpy's types."""
    found: dict[str, Any] = {}
    for path, value in _Values(text, context, variables).of(tree, {}):
        if len(found) < MAX_VALUES:
            found.setdefault(path, value)
    return found


def _bare(tree: cel.Tree) -> cel.Tree:
    while getattr(tree, "data", None) in _WRAPPERS and len(tree.children) == 1:
        tree = tree.children[0]
    return tree


def _subtrees(tree: cel.Tree) -> list[cel.Tree]:
    return [child for child in tree.children if hasattr(child, "data")]


def _arguments(tree: cel.Tree) -> list[cel.Tree]:
    """The arguments of a call: the last child, unless there are none."""
    last = tree.children[-1]
    return list(last.children) if getattr(last, "data", None) == "exprlist" else []


def _identifier(tree: cel.Tree) -> str | None:
    tree = _bare(tree)
    return str(tree.children[0]) if getattr(tree, "data", None) == "ident" else None


def _macro(tree: cel.Tree) -> tuple[cel.Tree, str, list[cel.Tree]] | None:
    """Receiver, variable and bodies of `list.all(item, body)` and its like."""
    if tree.data != "member_dot_arg" or str(tree.children[1]) not in cel.MACROS:
        return None
    arguments = _arguments(tree)
    name = _identifier(arguments[0]) if len(arguments) >= 2 else None
    return None if name is None else (tree.children[0], name, arguments[1:])


def _plain_type(annotation: Any) -> Any:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, types.UnionType):
        others = [choice for choice in get_args(annotation) if choice is not type(None)]
        return _plain_type(others[0]) if len(others) == 1 else _UNKNOWN
    return _UNKNOWN if annotation is Any else annotation


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


class _NameCheck:
    """Follows the types of `roots` through an expression."""

    def __init__(self, text: str, roots: Mapping[str, Any], traffic: tuple[str, ...] | None) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._roots = roots
        self._traffic = traffic

    def shape(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        """The type of the tree's value as far as it is known, the problems on the way noted."""
        tree = _bare(tree)
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
        for child in _subtrees(tree):
            self.shape(child, scope)
        return _UNKNOWN

    def _root(self, name: str, scope: Mapping[str, Any]) -> Any:
        if name in scope:
            return scope[name]
        if name in self._roots:
            return _plain_type(self._roots[name])
        if self._traffic is not None and name in self._traffic:
            hint = f"write traffic.{name}"
        else:
            known = [*self._roots, *scope]
            hint = suggestion(name, known, f"names are {', '.join(known)}; text stands in quotes")
        self.problems.append((f"there is no {name} to look at: {self._text}", hint))
        return _UNKNOWN

    def _field(self, owner_tree: cel.Tree, owner: Any, name: str) -> Any:
        source = cel.source_of(owner_tree, self._text)
        if isinstance(owner, type) and issubclass(owner, BaseModel):
            fields = _fields(owner)
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
        literal = _literal(index)
        if isinstance(literal, str):
            return self._field(owner_tree, owner, literal)
        return _plain_type(get_args(owner)[1]) if get_origin(owner) is dict else _UNKNOWN

    def _call(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        method = str(tree.children[1])
        macro = _macro(tree)
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
        for argument in _arguments(tree):
            self.shape(argument, scope)
        return _UNKNOWN

    def _function(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        name = str(tree.children[0])
        self._known_function(name)
        for argument in _arguments(tree):
            if name == "has":
                # Whether the last field exists is the question; what it is asked of must exist.
                bare = _bare(argument)
                argument = bare.children[0] if getattr(bare, "data", None) == "member_dot" else argument
            self.shape(argument, scope)
        return _UNKNOWN

    def _known_function(self, name: str) -> None:
        if name not in cel.FUNCTIONS:
            known = sorted(cel.FUNCTIONS | cel.MACROS)
            hint = suggestion(name, known, "functions are size, has, all, exists, filter, map, startsWith, contains, …")
            self.problems.append((f"there is no function {name}(): {self._text}", hint))


class _Values:
    """Follows the paths of an expression through the data. A scope maps a macro's variable to path and value."""

    def __init__(self, text: str, context: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        self._text = text
        self._context = context
        self._variables = variables

    def of(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        tree = _bare(tree)
        if not hasattr(tree, "data"):
            return
        if tree.data in ("ident", "member_dot", "member_index"):
            found = self._resolve(tree, scope)
            if found is not None:
                yield found
            elif tree.data != "ident":
                yield from self._nearest(tree, scope)
            return
        macro = _macro(tree)
        if macro is not None:
            yield from self._of_macro(*macro, scope)
            return
        argument = self._measured(tree)
        if argument is not None:
            found = self._resolve(_bare(argument), scope)
            if found is not None and isinstance(found[1], list | dict):
                yield f"size({found[0]})", len(found[1])
                inner = found[1].values() if isinstance(found[1], dict) else found[1]
                if not any(isinstance(item, list | dict) for item in inner):
                    yield found
                return
        for child in _subtrees(tree):
            yield from self.of(child, scope)

    def _measured(self, tree: cel.Tree) -> cel.Tree | None:
        """What `size(…)` or `….size()` is asked of."""
        if tree.data == "member_dot_arg" and str(tree.children[1]) == "size":
            return tree.children[0]
        arguments = _arguments(tree) if tree.data == "ident_arg" and str(tree.children[0]) == "size" else []
        return arguments[0] if arguments else None

    def _nearest(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What there is in place of a path that leads nowhere: how long the list is, or all that the map has."""
        owner = _bare(tree.children[0])
        if tree.data == "member_index":
            yield from self.of(tree.children[1], scope)
        found = self._resolve(owner, scope)
        if found is None:
            yield from self.of(owner, scope)
            return
        path, value = found
        if isinstance(value, list):
            yield f"size({path})", len(value)
        elif not isinstance(value, Mapping) or not any(isinstance(item, list | dict) for item in value.values()):
            yield path, value

    def _of_macro(
        self, receiver: cel.Tree, name: str, bodies: list[cel.Tree], scope: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        found = self._resolve(_bare(receiver), scope)
        if found is None or not isinstance(found[1], list) or not found[1]:
            yield from self.of(receiver, scope)
            for body in bodies:
                yield from self.of(body, {**scope, name: None})
            return
        path, items = found
        for index, item in enumerate(items):
            for body in bodies:
                yield from self.of(body, {**scope, name: (f"{path}[{index}]", item)})

    def _resolve(self, tree: cel.Tree, scope: Mapping[str, Any]) -> tuple[str, Any] | None:
        """Path and value; None for what is no path, and for a path that leads nowhere."""
        match getattr(tree, "data", None):
            case "ident":
                name = str(tree.children[0])
                if name in scope:
                    bound: tuple[str, Any] | None = scope[name]
                    return bound
                return (name, self._context[name]) if name in self._context else None
            case "member_dot":
                owner = self._resolve(_bare(tree.children[0]), scope)
                return None if owner is None else _step(owner, str(tree.children[1]))
            case "member_index":
                owner = self._resolve(_bare(tree.children[0]), scope)
                return None if owner is None else _step(owner, self._index(tree.children[1], scope))
        return None

    def _index(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        literal = _literal(tree)
        if literal is not None:
            return literal
        bound = {name: cel.to_cel(found[1]) for name, found in scope.items() if found is not None}
        try:
            value = cel.evaluate(tree, self._text, {**self._variables, **bound})
        except cel.Untrue:
            return None
        return _plain_value(value)


def _plain_value(value: Any) -> Any:
    """A string or number out of celpy's types, which are strict about what they are compared with."""
    if cel.kind_of(value) == "number":
        return float(value)
    return str(value) if isinstance(value, str) else None


def _literal(tree: cel.Tree) -> Any:
    tree = _bare(tree)
    if getattr(tree, "data", None) != "literal":
        return None
    try:
        return _plain_value(cel.evaluate(tree, "", {}))
    except cel.Untrue:
        return None


def _step(owner: tuple[str, Any], part: Any) -> tuple[str, Any] | None:
    path, value = owner
    if isinstance(value, Mapping) and isinstance(part, str):
        key = f".{part}" if part.isidentifier() else f'["{part}"]'
        return (path + key, value[part]) if part in value else None
    if isinstance(value, list) and isinstance(part, float) and part.is_integer() and 0 <= part < len(value):
        return f"{path}[{int(part)}]", value[int(part)]
    return None

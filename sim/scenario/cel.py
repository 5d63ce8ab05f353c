"""CEL as expectations need it, on celpy: numbers compare naturally, and an error says which part is to blame.

Where this goes beyond the CEL specification (langdef.md): JSON numbers are doubles, as in google.protobuf.Value, but
whole numbers and doubles mix freely in comparisons and arithmetic; values of different types are unequal.
celpy is slow to import, so this module is imported only where an expression is compiled.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import celpy
import celpy.evaluation
from celpy import celtypes
from celpy.evaluation import Activation, CELEvalError

from sim.scenario.problems import suggestion

Tree = Any
"""A lark.Tree: `data` is the rule's name, `children` trees and tokens, `meta` the positions in the text."""

MAX_LENGTH = 2000
RECURSION_LIMIT = 6000

MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
FUNCTIONS = frozenset(
    {"has", "dyn", *(name for name in celpy.evaluation.base_functions if name.isidentifier())} - {"reduce", "min"}
)


class Untrue(CELEvalError):  # type: ignore[misc]  # celpy is Any to mypy (pyproject.toml)
    """An error in our own words; celpy carries it as a value, so that `&&` and `||` can absorb it."""


class SyntaxProblem(Exception):
    """`text` is not CEL. `column` counts from 1, None at the end of the text."""

    def __init__(self, found: str, column: int | None) -> None:
        super().__init__(found)
        self.found = found
        self.column = column


@contextmanager
def deep_recursion() -> Iterator[None]:
    """celpy needs some forty frames for each pair of brackets. The limit, also where celpy sets it, is put back."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def parse(text: str) -> Tree:
    """The syntax tree. Raises SyntaxProblem."""
    if len(text) > MAX_LENGTH:
        raise SyntaxProblem(f"it is longer than {MAX_LENGTH} characters", None)
    try:
        with deep_recursion():
            return celpy.Environment().compile(text)
    except celpy.CELParseError as error:
        cause = error.__context__
        token = getattr(cause, "token", None)
        at_end = token is not None and token.type == "$END"
        character = getattr(cause, "char", None)
        found = "" if at_end else str(token if token is not None else character or "")
        raise SyntaxProblem(found, None if at_end else error.column) from error


def to_cel(data: Any) -> Any:
    """JSON-ready data as celpy wants it; every number becomes a double."""
    if data is None or isinstance(data, bool):
        return None if data is None else celtypes.BoolType(data)
    if isinstance(data, int | float):
        return celtypes.DoubleType(data)
    if isinstance(data, str):
        return celtypes.StringType(data)
    if isinstance(data, Mapping) and not isinstance(data, dict):
        return LazyMap(data)
    if isinstance(data, Mapping):
        made = NullableMap() if isinstance(data, Nullable) else celtypes.MapType()
        for key, value in data.items():
            made[celtypes.StringType(key)] = to_cel(value)
        return made
    return celtypes.ListType([to_cel(item) for item in data])


class Nullable(dict[str, Any]):
    """A mapping whose missing keys are null, such as a response's headers; its keys are in lower case."""


class NullableMap(celtypes.MapType):  # type: ignore[misc]  # celpy is Any to mypy
    """`Nullable` for celpy."""


class LazyMap(NullableMap):
    """A mapping that is no dict, for celpy: a value is made celpy's when an expression names its key."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        super().__init__()
        self._source = source

    def __contains__(self, key: object) -> bool:
        return str(key) in self._source

    def at(self, key: str) -> Any:
        """The value in celpy's types; None where there is no such key."""
        return to_cel(self._source[key]) if key in self._source else None


def evaluate(
    tree: Tree, text: str, variables: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """The value of a tree out of `text`. Raises Untrue, in words for the expression's author.

    `variables` are as `to_cel` makes them, and so is what `functions`, besides CEL's own, give.
    """
    activation = Activation(functions={**_FUNCTIONS, **(functions or {})})
    try:
        with deep_recursion():
            return Evaluator(tree, activation, text).evaluate(dict(variables))
    except Untrue:
        raise
    except CELEvalError as error:
        raise Untrue(_plain(error, text)) from error
    except RecursionError as error:
        raise Untrue("it has too many brackets within each other") from error
    except Exception as error:  # celpy passes on whatever Python raises inside it, and none of that ends a run
        raise Untrue(f"it can't be evaluated: {error or type(error).__name__}") from error


class Evaluator(celpy.evaluation.Evaluator):  # type: ignore[misc]  # celpy is Any to mypy
    """celpy's interpreter with our comparisons, lookups and words. Its methods are named after grammar rules."""

    def __init__(self, ast: Tree, activation: Activation, text: str) -> None:
        super().__init__(ast, activation)
        self._text = text

    def sub_evaluator(self, ast: Tree) -> Evaluator:
        return Evaluator(ast, self.activation, self._text)

    def relation(self, tree: Tree) -> Any:
        if len(tree.children) == 1:
            return self.visit(tree.children[0])
        operation, right_tree = tree.children
        left_tree = operation.children[0]
        left, right = self.visit(left_tree), self.visit(right_tree)
        for value in (left, right):
            if isinstance(value, CELEvalError):
                return value
        match operation.data:
            case "relation_eq":
                return celtypes.BoolType(equal(left, right))
            case "relation_ne":
                return celtypes.BoolType(not equal(left, right))
            case "relation_in":
                return self._contained(left, right, right_tree)
        symbol, compare = _ORDER[operation.data]
        if _is_number(left) and _is_number(right):
            return celtypes.BoolType(compare(_number(left), _number(right)))
        if kind_of(left) == kind_of(right) and kind_of(left) in _ORDERED:
            return celtypes.BoolType(compare(left, right))
        return self._incomparable(symbol, (left_tree, left), (right_tree, right))

    def unary(self, tree: Tree) -> Any:
        if len(tree.children) == 1:
            return self.visit(tree.children[0])
        operation, operand = tree.children
        value = self.visit(operand)
        if isinstance(value, CELEvalError):
            return value
        if operation.data == "unary_not":
            if isinstance(value, celtypes.BoolType):
                return celtypes.BoolType(not value)
            return Untrue(f"{self._source(operand)} is {article(value)}, neither true nor false")
        return -value if _is_number(value) else Untrue(f"{self._source(operand)} is {article(value)}, not a number")

    def conditionaland(self, tree: Tree) -> Any:
        return self._logical(tree, decisive=False)

    def conditionalor(self, tree: Tree) -> Any:
        return self._logical(tree, decisive=True)

    def member_dot(self, tree: Tree) -> Any:
        member_tree, name = tree.children
        return self._lookup(member_tree, self.visit(member_tree), str(name))

    def member_index(self, tree: Tree) -> Any:
        member_tree, index_tree = tree.children
        member, index = self.visit(member_tree), self.visit(index_tree)
        if isinstance(index, CELEvalError):
            return index
        if isinstance(member, celtypes.ListType):
            return self._item(member_tree, member, index)
        return self._lookup(member_tree, member, index)

    def macro_has_eval(self, exprlist: Tree) -> Any:
        member = exprlist.children[0] if exprlist.children else exprlist
        while member.data != "member_dot" and len(member.children) == 1 and hasattr(member.children[0], "data"):
            member = member.children[0]
        if member.data == "member_dot":
            owner = self.visit(member.children[0])
            if isinstance(owner, NullableMap):
                # A missing key is null when it is asked for, and missing all the same.
                return celtypes.BoolType(str(member.children[1]).lower() in owner)
        return super().macro_has_eval(exprlist)

    def member_dot_arg(self, tree: Tree) -> Any:
        receiver = self.visit(tree.children[0])
        method = str(tree.children[1])
        if receiver is None:
            return Untrue(f"{self._source(tree.children[0])} is null, so {method}() can't be asked of it")
        if method in MACROS and not isinstance(receiver, CELEvalError | celtypes.ListType | celtypes.MapType):
            return Untrue(f"{self._source(tree.children[0])} is {article(receiver)}; {method}() is for lists and maps")
        try:
            return super().member_dot_arg(tree)
        except CELEvalError as error:
            return error

    def _logical(self, tree: Tree, *, decisive: bool) -> Any:
        if len(tree.children) == 1:
            return self.visit(tree.children[0])
        problem = None
        for child in tree.children:
            value = self.visit(child)
            if isinstance(value, celtypes.BoolType):
                if bool(value) is decisive:
                    return value
            elif isinstance(value, CELEvalError):
                problem = problem or value
            else:
                problem = problem or Untrue(f"{self._source(child)} is {article(value)}, neither true nor false")
        return celtypes.BoolType(not decisive) if problem is None else problem

    def _lookup(self, member_tree: Tree, member: Any, key: Any) -> Any:
        if isinstance(member, CELEvalError):
            return member
        source = self._source(member_tree)
        if isinstance(member, celtypes.MapType):
            if isinstance(member, LazyMap):
                return member.at(str(key))
            if isinstance(member, NullableMap):
                # celpy's own get raises KeyError.
                return dict.get(member, celtypes.StringType(str(key).lower()))
            if isinstance(key, str) and key in member:
                return member[key]
            known = ", ".join(_key(name) for name in member)
            has = f"it has {known}" if known else "it is empty"
            return Untrue(f"{source} has no {_key(key)}; {suggestion(str(key), map(str, member), has)}")
        if member is None:
            return Untrue(f"{source} is null, so it has no {_key(key)}")
        return Untrue(f"{source} is {article(member)}, so it has no {_key(key)}")

    def _item(self, member_tree: Tree, member: Any, index: Any) -> Any:
        source = self._source(member_tree)
        place = float(index) if _is_number(index) else -1.0
        if not math.isfinite(place) or not place.is_integer() or place < 0:
            return Untrue(f"{source} is a list, and {show(index)} is no place in it; places are 0, 1, …")
        if place >= len(member):
            has = f"the last is {source}[{len(member) - 1}]" if len(member) else "it is empty"
            return Untrue(f"{source} has no [{show(index)}]; {has}")
        return member[int(place)]

    def _contained(self, item: Any, container: Any, container_tree: Tree) -> Any:
        if isinstance(container, celtypes.ListType | celtypes.MapType):
            return celtypes.BoolType(any(equal(item, one) for one in container))
        more = "; for text inside text write text.contains(…)" if isinstance(container, celtypes.StringType) else ""
        return Untrue(f"{self._source(container_tree)} is {article(container)}, and nothing can be in it{more}")

    def _incomparable(self, symbol: str, left: tuple[Tree, Any], right: tuple[Tree, Any]) -> Untrue:
        for (tree, value), (other, other_value) in ((left, right), (right, left)):
            if value is None and other_value is not None:
                source = self._source(tree)
                return Untrue(
                    f"{source} is null and can't be compared by {symbol} with {self._source(other)};"
                    f" write {source} != null && … where it may be missing"
                )
        sides = " and ".join(f"{self._source(tree)} is {article(value)}" for tree, value in (left, right))
        return Untrue(f"{sides}; {symbol} does not compare these")

    def _source(self, tree: Tree) -> str:
        return source_of(tree, self._text)


def source_of(tree: Tree, text: str) -> str:
    """The part of the expression that a tree stands for."""
    return text[tree.meta.start_pos : tree.meta.end_pos]


def equal(left: Any, right: Any) -> bool:
    """Equality without errors: numbers by value, lists and maps by their contents, different types never."""
    if _is_number(left) and _is_number(right):
        return _number(left) == _number(right)
    if kind_of(left) != kind_of(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def kind_of(value: Any) -> str:
    """`null`, `boolean`, `number`, `string`, `list`, `map`, or celpy's name of a rarer type."""
    if value is None:
        return "null"
    for types, name in (
        (celtypes.BoolType, "boolean"), (bool, "boolean"), ((int, float), "number"), (str, "string"),
        (list, "list"), (dict, "map"), (bytes, "bytes"),
    ):  # fmt: skip
        if isinstance(value, types):
            return name
    return type(value).__name__.removesuffix("Type").lower()


def article(value: Any) -> str:
    """`a number`, `null`, `true` …"""
    if value is None or isinstance(value, celtypes.BoolType | bool):
        return show(value)
    return f"a {kind_of(value)}"


def show(value: Any) -> str:
    """A value as CEL writes it."""
    if value is None:
        return "null"
    if isinstance(value, celtypes.BoolType | bool):
        return "true" if value else "false"
    if _is_number(value):
        return f"{float(value):.15g}"
    return repr(str(value)) if isinstance(value, str) else str(value)


def _key(key: Any) -> str:
    text = str(key) if isinstance(key, str) else show(key)
    return text if text.isidentifier() else f'"{text}"'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, celtypes.BoolType | bool)


def _number(value: Any) -> float:
    """Out of celpy's types, which refuse to be compared with each other."""
    return float(value) if isinstance(value, float) else int(value)


def _plain(error: CELEvalError, text: str) -> str:
    what = str(error.args[0]) if error.args else "error"
    if isinstance(error, Untrue):
        return what
    what = what.partition(" (in activation")[0]
    tree, token = getattr(error, "tree", None), getattr(error, "token", None)
    if token is not None:
        return f"{token}() can't take what it is given here" if what == "no such overload" else f"{token}(): {what}"
    return f"{source_of(tree, text)}: {what}" if tree is not None else what


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        for value in (left, right):
            if isinstance(value, CELEvalError):
                return value
        if _is_number(left) and _is_number(right) and (isinstance(left, float) or isinstance(right, float)):
            try:
                return celtypes.DoubleType(compute(float(left), float(right)))
            except (ZeroDivisionError, OverflowError):
                return Untrue(f"{show(left)} {symbol} {show(right)} is no number")
        if _is_number(left) and _is_number(right) and symbol in "/%" and not right:
            return Untrue(f"{show(left)} {symbol} 0 is no number")
        try:
            return compute(left, right)
        except (TypeError, ValueError):
            return Untrue(f"{symbol} can't be applied to {article(left)} and {article(right)}")

    return apply


def _size(value: Any) -> Any:
    if isinstance(value, celtypes.ListType | celtypes.MapType | celtypes.StringType | celtypes.BytesType):
        return celtypes.IntType(len(value))
    return Untrue(f"size() can't be asked of {article(value)}")


def _string(value: Any) -> Any:
    if value is None:
        return Untrue("string() can't be asked of null")
    return celtypes.StringType(show(value) if isinstance(value, int | float) else value)


_ORDERED = ("string", "boolean", "duration", "timestamp")
_ORDER: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "relation_lt": ("<", operator.lt),
    "relation_le": ("<=", operator.le),
    "relation_gt": (">", operator.gt),
    "relation_ge": (">=", operator.ge),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_+_": _arithmetic("+", operator.add),
    "_-_": _arithmetic("-", operator.sub),
    "_*_": _arithmetic("*", operator.mul),
    "_/_": _arithmetic("/", operator.truediv),
    "_%_": _arithmetic("%", operator.mod),
    "size": _size,
    "string": _string,
}

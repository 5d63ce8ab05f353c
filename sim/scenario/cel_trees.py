"""Reading celpy's syntax trees, whose rule names are in its `cel.lark`."""

from __future__ import annotations

from typing import Any

from sim.scenario import cel

#: Rules that only pass on their single child.
_WRAPPERS = frozenset(
    {
        *("expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary"),
        *("member", "primary", "paren_expr"),
    }
)


def bare(tree: cel.Tree) -> cel.Tree:
    """The tree without the rules around it that add nothing, brackets among them."""
    while getattr(tree, "data", None) in _WRAPPERS and len(tree.children) == 1:
        tree = tree.children[0]
    return tree


def subtrees(tree: cel.Tree) -> list[cel.Tree]:
    return [child for child in tree.children if hasattr(child, "data")]


def arguments(tree: cel.Tree) -> list[cel.Tree]:
    """The arguments of a call: the last child, unless there are none."""
    last = tree.children[-1]
    return list(last.children) if getattr(last, "data", None) == "exprlist" else []


def identifier(tree: cel.Tree) -> str | None:
    """The name that the tree is, if it is nothing else."""
    tree = bare(tree)
    return str(tree.children[0]) if getattr(tree, "data", None) == "ident" else None


def macro_of(tree: cel.Tree) -> tuple[cel.Tree, str, list[cel.Tree]] | None:
    """Receiver, variable and bodies of `list.all(item, body)` and its like."""
    if tree.data != "member_dot_arg" or str(tree.children[1]) not in cel.MACROS:
        return None
    given = arguments(tree)
    name = identifier(given[0]) if len(given) >= 2 else None
    return None if name is None else (tree.children[0], name, given[1:])


def plain_value(value: Any) -> Any:
    """A string or number out of celpy's types, which are strict about what they are compared with."""
    if cel.kind_of(value) == "number":
        return float(value)
    return str(value) if isinstance(value, str) else None


def json_value(value: Any) -> Any:
    """The value out of celpy's types as JSON has it. Raises ValueError for what JSON has not."""
    match cel.kind_of(value):
        case "null":
            return None
        case "boolean":
            return bool(value)
        case "number":
            return int(value) if float(value).is_integer() else float(value)
        case "string":
            return str(value)
        case "list":
            return [json_value(item) for item in value]
        case "map" if not isinstance(value, cel.LazyMap):
            return {str(key): json_value(item) for key, item in value.items()}
    raise ValueError(cel.kind_of(value))


def literal(tree: cel.Tree) -> Any:
    """The string or number that stands there; None for anything that must be evaluated."""
    tree = bare(tree)
    if getattr(tree, "data", None) != "literal":
        return None
    try:
        return plain_value(cel.evaluate(tree, "", {}))
    except cel.Untrue:
        return None

"""The values of the paths in an expression, for whoever asks why it was not true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.scenario import cel
from sim.scenario.cel_trees import arguments, bare, json_value, literal, macro_of, plain_value, subtrees
from sim.scenario.event_values import FUNCTION, EventValue, Lookup, Matched, Payloads, cel_function

#: At most so many values are told of one expression.
MAX_VALUES = 50
#: At most so many of the events that a path leads to are shown.
MAX_EVENTS = 3


@dataclass(slots=True)
class Seen:
    """What an expression looked at.

    `values` by path; of events how many matched, and the first few as `describe` puts them. `decisive` are the paths
    without those items of lists that `all` found nothing wrong with, though it failed; `events` are those that a
    filter or a macro singled out, all that `events(…)` gave where that is none.
    """

    values: dict[str, Any] = field(default_factory=dict)
    decisive: list[str] = field(default_factory=list)
    events: list[EventValue] = field(default_factory=list)


def seen_by(
    tree: cel.Tree,
    text: str,
    context: Mapping[str, Any],
    variables: Mapping[str, Any],
    look_up: Lookup,
    describe: Callable[[EventValue], str],
    *,
    failed: bool,
) -> Seen:
    """What an expression looked at. `variables` are the context in celpy's types; `failed`: it was not true."""
    follow = _Values(text, context, variables, look_up, failed=failed)
    found = Seen()
    narrowed: list[EventValue] = []
    for path, value in follow.of(tree, {}):
        narrowed += value if isinstance(value, Matched) and value.narrowed else ()
        if path not in found.values and len(found.values) < MAX_VALUES:
            found.values[path] = _told(value, describe)
            if not any(innocent in path for innocent in follow.innocent):
                found.decisive.append(path)
    found.events = narrowed or follow.events
    return found


def _told(value: Any, describe: Callable[[EventValue], str]) -> Any:
    if isinstance(value, Matched):
        return {"matched": len(value), "first": [describe(event) for event in value[:MAX_EVENTS]]}
    if isinstance(value, Payloads):
        return list(value)
    return describe(value) if isinstance(value, EventValue) else value


class Kept(list[Any]):
    """What a filter left of a list, each item known by its place in that."""

    def __init__(self, places: list[tuple[str, Any]]) -> None:
        super().__init__(item for _, item in places)
        self.paths = [path for path, _ in places]


def _places(path: str, items: list[Any]) -> list[tuple[str, Any]]:
    """Each item with its path."""
    paths = items.paths if isinstance(items, Kept) else [f"{path}[{index}]" for index in range(len(items))]
    return list(zip(paths, items, strict=True))


class _Values:
    """Follows the paths of an expression through the data. A scope maps a macro's variable to path and value.

    `innocent` are the items of lists for which the body of a failed `all` holds.
    """

    def __init__(
        self,
        text: str,
        context: Mapping[str, Any],
        variables: Mapping[str, Any],
        look_up: Lookup,
        *,
        failed: bool,
    ) -> None:
        self.innocent: set[str] = set()
        self.events: list[EventValue] = []
        self._text = text
        self._context = context
        self._variables = variables
        self._look_up = look_up
        self._functions = {FUNCTION: cel_function(look_up)}
        self._failed = failed
        #: What filters left of events, by the filter's text and the items that it was applied for.
        self._left: dict[tuple[str, tuple[str, ...]], Matched] = {}

    def of(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        tree = bare(tree)
        if not hasattr(tree, "data"):
            return
        if tree.data in ("ident", "member_dot", "member_index"):
            found = self._resolve(tree, scope)
            if found is not None:
                yield found
            elif tree.data != "ident":
                yield from self._nearest(tree, scope)
            return
        if tree.data == "ident_arg":
            found = self._resolve(tree, scope)
            if found is not None:
                yield found
                return
        macro = macro_of(tree)
        if macro is not None:
            yield from self._of_macro(tree, *macro, scope)
            return
        argument = self._measured(tree)
        if argument is not None:
            found = self._resolve(bare(argument), scope)
            if found is not None and isinstance(found[1], list | dict):
                if isinstance(found[1], Matched):
                    yield from self.of(argument, scope)
                    return
                yield f"size({found[0]})", len(found[1])
                if macro_of(bare(argument)) is not None:
                    yield from self.of(argument, scope)
                    return
                inner = found[1].values() if isinstance(found[1], dict) else found[1]
                if not any(isinstance(item, list | dict) for item in inner):
                    yield found
                return
        for child in subtrees(tree):
            yield from self.of(child, scope)

    def _measured(self, tree: cel.Tree) -> cel.Tree | None:
        """What `size(…)` or `….size()` is asked of."""
        if tree.data == "member_dot_arg" and str(tree.children[1]) == "size":
            return tree.children[0]
        given = arguments(tree) if tree.data == "ident_arg" and str(tree.children[0]) == "size" else []
        return given[0] if given else None

    def _nearest(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What there is in place of a path that leads nowhere: how long the list is, or all that the map has."""
        owner = bare(tree.children[0])
        if tree.data == "member_index":
            yield from self.of(tree.children[1], scope)
        found = self._resolve(owner, scope)
        if found is None:
            yield from self.of(owner, scope)
            return
        path, value = found
        if isinstance(value, list) and not isinstance(value, Matched):
            yield f"size({path})", len(value)
        elif not isinstance(value, Mapping) or not any(isinstance(item, list | dict) for item in value.values()):
            yield path, value

    def _of_macro(
        self,
        tree: cel.Tree,
        receiver: cel.Tree,
        name: str,
        bodies: list[cel.Tree],
        scope: Mapping[str, Any],
    ) -> Iterator[tuple[str, Any]]:
        found = self._resolve(bare(receiver), scope)
        if str(tree.children[1]) == "map" and (mapped := self._resolve(tree, scope)) is not None:
            yield mapped
        if found is not None and isinstance(found[1], Matched):
            yield from self._of_events(tree, found[0], found[1], name, bodies[-1], scope)
        elif found is None or not isinstance(found[1], list) or not found[1]:
            if found is not None and isinstance(found[1], Kept):
                yield found
            yield from self.of(receiver, scope)
        else:
            yield from self._of_items(tree, found[0], found[1], name, bodies, scope)
            return
        for body in bodies:
            yield from self.of(body, {**scope, name: None})

    def _of_items(
        self,
        tree: cel.Tree,
        path: str,
        items: list[Any],
        name: str,
        bodies: list[cel.Tree],
        scope: Mapping[str, Any],
    ) -> Iterator[tuple[str, Any]]:
        """The paths of the bodies into each item; those first for which an `all` failed."""
        places = _places(path, items)
        if self._failed and str(tree.children[1]) == "all":
            held = {place[0] for place in places if self._holds(bodies[-1], {**scope, name: place})}
            if len(held) < len(places):
                self.innocent |= held
                places.sort(key=lambda place: place[0] in held)
        for place in places:
            for body in bodies:
                yield from self.of(body, {**scope, name: place})

    def _of_events(
        self, tree: cel.Tree, path: str, events: Matched, name: str, body: cel.Tree, scope: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Of events a macro tells which made the difference, not the fields of each."""
        condition = cel.source_of(body, self._text)
        match str(tree.children[1]):
            case "filter":
                kept = self._resolve(tree, scope)
                if kept is not None:
                    yield kept
            case "all" if self._failed:
                wrong = events.only(lambda event: not self._holds(body, {**scope, name: (path, event)}))
                yield (f"{path}.filter({name}, !({condition}))", wrong) if wrong else (path, events)
            case "exists" | "exists_one" if self._failed:
                yield path, events
                right = events.only(lambda event: self._holds(body, {**scope, name: (path, event)}))
                yield f"{path}.filter({name}, {condition})", right
            case _:
                yield path, events

    def _holds(self, body: cel.Tree, scope: Mapping[str, Any]) -> bool:
        bound = {name: cel.to_cel(found[1]) for name, found in scope.items() if found is not None}
        try:
            value = cel.evaluate(body, self._text, {**self._variables, **bound}, self._functions)
        except cel.Untrue:
            return False
        return cel.kind_of(value) == "boolean" and bool(value)

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
                owner = self._resolve(bare(tree.children[0]), scope)
                return None if owner is None else _step(owner, str(tree.children[1]))
            case "member_index":
                owner = self._resolve(bare(tree.children[0]), scope)
                return None if owner is None else _step(owner, self._index(tree.children[1], scope))
            case "ident_arg" if str(tree.children[0]) == FUNCTION:
                pattern, *span = [literal(argument) for argument in arguments(tree)]
                events = self._look_up(pattern, span[0] if span else None)
                self.events += events
                return cel.source_of(tree, self._text), events
            case "member_dot_arg" if str(tree.children[1]) == "filter":
                return self._filtered(tree, scope)
            case "member_dot_arg" if str(tree.children[1]) == "map":
                return self._mapped(tree, scope)
        return None

    def _filtered(self, tree: cel.Tree, scope: Mapping[str, Any]) -> tuple[str, Matched | Kept] | None:
        """What a filter leaves of a list; None where that leads nowhere."""
        macro = macro_of(tree)
        found = self._resolve(bare(macro[0]), scope) if macro is not None else None
        if macro is None or found is None or not isinstance(found[1], list):
            return None
        path = f"{found[0]}{self._text[macro[0].meta.end_pos : tree.meta.end_pos]}"
        if not isinstance(found[1], Matched):
            _, name, bodies = macro
            return path, Kept([place for place in _places(*found) if self._holds(bodies[-1], {**scope, name: place})])
        key = (path, tuple(place[0] for place in scope.values() if place is not None))
        if key not in self._left:
            _, name, bodies = macro
            self._left[key] = found[1].only(lambda event: self._holds(bodies[-1], {**scope, name: (path, event)}))
        return path, self._left[key]

    def _mapped(self, tree: cel.Tree, scope: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
        """What a map makes of a list; None where that can't be told."""
        macro = macro_of(tree)
        found = self._resolve(bare(macro[0]), scope) if macro is not None else None
        if macro is None or found is None:
            return None
        bound = {name: cel.to_cel(place[1]) for name, place in scope.items() if place is not None}
        try:
            made = json_value(cel.evaluate(tree, self._text, {**self._variables, **bound}, self._functions))
        except (cel.Untrue, ValueError):
            return None
        return f"{found[0]}{self._text[macro[0].meta.end_pos : tree.meta.end_pos]}", made

    def _index(self, tree: cel.Tree, scope: Mapping[str, Any]) -> Any:
        written = literal(tree)
        if written is not None:
            return written
        bound = {name: cel.to_cel(found[1]) for name, found in scope.items() if found is not None}
        try:
            value = cel.evaluate(tree, self._text, {**self._variables, **bound}, self._functions)
        except cel.Untrue:
            return None
        return plain_value(value)


def _step(owner: tuple[str, Any], part: Any) -> tuple[str, Any] | None:
    path, value = owner
    if isinstance(value, Mapping) and isinstance(part, str):
        key = f".{part}" if part.isidentifier() else f'["{part}"]'
        return (path + key, value[part]) if part in value else None
    if isinstance(value, list) and isinstance(part, float) and part.is_integer() and 0 <= part < len(value):
        return _places(path, value)[int(part)]
    return None

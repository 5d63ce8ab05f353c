"""What is wrong with a scenario, in its author's words: pydantic's findings with file, line, key and what is right."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sim.errors import InvalidInput
from sim.manifests import Document
from sim.manifests.schema import json_type
from sim.scenario.image_entries import BundledImage, ElsewhereImage, FileImage
from sim.scenario.quantities import LABEL, QuantityHint
from sim.scenario.step_kinds import step_kinds
from sim.scenario.step_models import Push, Step

_IMAGES: dict[str, type[BaseModel]] = {
    "(bundled)": BundledImage,
    "(file)": FileImage,
    "(ref)": ElsewhereImage,
}
_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


class InvalidScenario(InvalidInput):
    """A scenario that can't be run. `problems` are all that was found, in the order of the file."""

    def __init__(self, problems: Iterable[InvalidInput]) -> None:
        self.problems = sorted(problems, key=_position)
        first = self.problems[0]
        super().__init__(first.message, where=first.where, hint=first.hint)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def _position(problem: InvalidInput) -> tuple[int, int]:
    where = problem.where
    return (where.line or 0, where.column or 0) if where is not None else (0, 0)


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of `known`, spelling and separators aside; None where nothing is near."""
    by_plain = {_plain(name): name for name in known}
    close = difflib.get_close_matches(_plain(word), list(by_plain), n=1, cutoff=cutoff)
    longer = [plain for plain in by_plain if len(word) > 2 and plain.startswith(_plain(word))]
    return by_plain[(close or longer)[0]] if close or longer else None


def near_file(path: Path) -> str | None:
    """The name of a file beside `path`, which is not there, that may have been meant."""
    if not path.parent.is_dir():
        return None
    return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint: `did you mean …? <otherwise>`."""
    near = did_you_mean(word, known)
    return f"did you mean {near}? {otherwise}" if near is not None else otherwise


def explain(error: ValidationError, document: Document) -> list[InvalidInput]:
    """Every finding as an InvalidInput with its place in the file."""
    return [_explain_one(details, document) for details in error.errors(include_url=False)]


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _explain_one(details: ErrorDetails, document: Document) -> InvalidInput:
    loc, kind, value = details["loc"], details["type"], details["input"]
    context = details.get("ctx", {})
    path = written_path((*loc, *context.get("path", ())), document.data)

    def problem(message: str, hint: str | None) -> InvalidInput:
        return InvalidInput(message, where=document.where(*path), hint=hint)

    if kind == "missing":
        field = _field_at(loc)
        what = f" ({field.description[0].lower()}{field.description[1:]})" if field and field.description else ""
        return problem("required, but not there", f"add {path[-1]}:{what}")
    if kind == "extra_forbidden":
        known = _keys_at(loc[:-1])
        return problem("unknown key", suggestion(str(path[-1]), known, f"known here: {', '.join(known)}"))
    if kind == "step_kind":
        return problem(*_explain_step(value))
    if kind == "literal_error":
        allowed = [str(choice) for choice in _choices(_field_at(loc))] or [str(context.get("expected"))]
        return problem(
            f"{_shown(value)} is not possible here", suggestion(str(value), allowed, f"use {' or '.join(allowed)}")
        )
    if kind == "int_type" and isinstance(value, float) and abs(value) >= 2**53:
        # YAML's integers beyond that come as doubles.
        return problem(f"{value:g} is too large", f"it must be at most {2**53 - 1}")
    if kind in _EXPECTED:
        return problem(f"must be {_EXPECTED[kind]}, not {_shown(value)}", _type_hint(kind, value, loc))
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return problem(f"{_shown(value)} is out of range", f"it must be {words} {context[limit]}")
    if kind == "string_too_short":
        return problem("is empty", "write a value or remove the key")
    if kind == "too_short":
        there, least = context["actual_length"], context["min_length"]
        nouns = ("branch", "branches") if path[-1] == "parallel" else ("item", "items")
        has = f"has {there} {nouns[there != 1]}" if there else "is empty"
        return problem(has, f"list at least {least}")
    if kind == "string_pattern_mismatch":
        return problem(f"{_shown(value)} does not fit", _pattern_hint(loc, context["pattern"]))
    message = details["msg"].removeprefix("Value error, ")
    text, _, hint = message.partition("; ")
    return problem(text, hint or None)


def written_path(loc: tuple[int | str, ...], data: Any) -> tuple[int | str, ...]:
    """`loc` without what only the model knows: the tags of unions, and the field behind a short form."""
    path: list[int | str] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(data, dict):
            if part not in data and not last:
                continue
            if part not in data and (not isinstance(part, str) or part.startswith("(")):
                continue
            path.append(part)
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def _explain_step(value: Any) -> tuple[str, str]:
    kinds = list(step_kinds())
    known = f"steps are {', '.join(kinds)}"
    if not isinstance(value, Mapping):
        if isinstance(value, str) and value in kinds:
            return f"nothing follows the step {value}", f"write - {value}: … with what it is about"
        return (
            f"a step is a mapping with one key, its kind, not {_shown(value)}",
            f"write for instance - sleep: 1s; {known}",
        )
    if not value:
        return "a step is a mapping with one key, its kind; this one is empty", known
    if len(value) > 1:
        found = [key for key in value if key in kinds]
        if len(found) > 1:
            return f"these are several steps in one: {', '.join(found)}", "begin each with - on a line of its own"
        inside = f"indent what belongs to {found[0]}, so that it stands under it" if found else known
        return f"a step has one key, its kind; this one has {', '.join(map(str, value))}", inside
    word = str(next(iter(value)))
    return f"{word!r} is not a kind of step", suggestion(word, kinds, known)


def _type_hint(kind: str, value: Any, loc: tuple[int | str, ...]) -> str | None:
    quantity = _quantity_at(loc)
    if quantity is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return quantity.for_number(value)
    if value is None:
        return "nothing follows the key; give it a value or remove the line"
    if kind == "string_type":
        if json_type(value) in ("boolean", "integer", "number"):
            return "put it in quotes; unquoted, YAML reads a number or a boolean (yes, no, on and off are booleans)"
        return "write plain text, or put it in quotes if it holds ': ', '{' or '['"
    if kind == "int_type":
        return "write a whole number, without quotes"
    if kind == "bool_type":
        return "write true or false, without quotes"
    if kind == "list_type":
        return "write a list: each item on a line of its own after '- '"
    if "(merge)" in loc[-1:]:
        return "write a merge patch, such as {spec: {priority: 10}}, or a list of JSON patch operations"
    keys = _keys_at(loc)
    return f"write a mapping with the keys {', '.join(keys)}" if keys else "write a mapping: key: value"


def _pattern_hint(loc: tuple[int | str, ...], pattern: str) -> str:
    if LABEL in pattern:
        return "use small letters, digits and '-', with a letter or digit at both ends, at most 63 in all"
    field = _field_at(loc)
    examples = field.examples if field is not None and field.examples else _examples(field)
    if examples:
        return f"write it like {' or '.join(str(example) for example in examples)}"
    return f"it must match {pattern}"


def _shown(value: Any) -> str:
    kind = json_type(value)
    return {
        "object": "a mapping",
        "array": "a list",
        "null": "nothing",
        "boolean": str(value).lower(),
        "string": repr(value if len(str(value)) <= 60 else f"{str(value)[:60]}…"),
    }.get(kind, str(value))


def _walk(loc: tuple[int | str, ...]) -> tuple[Any, FieldInfo | None]:
    """The type at `loc` within a scenario, and the field that led there last."""
    from sim.scenario.schema import Scenario

    here: Any = Scenario
    field: FieldInfo | None = None
    for part in loc:
        here = _plain_type(here)
        if isinstance(part, str) and part in _IMAGES:
            here, field = _IMAGES[part], None
        elif here is Step:
            here, field = step_kinds().get(str(part)), None
        elif isinstance(here, type) and issubclass(here, BaseModel):
            field = next((info for name, info in here.model_fields.items() if part in (name, info.alias)), None)
            here = field.annotation if field is not None else None
        elif get_origin(here) is list:
            here = get_args(here)[0]
        elif get_origin(here) is dict:
            here, field = get_args(here)[1], None
    return _plain_type(here), field


def _plain_type(annotation: Any) -> Any:
    """Without Annotated and without the null of an optional field."""
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, types.UnionType):
            others = [choice for choice in get_args(annotation) if choice is not type(None)]
            if len(others) != 1:
                return annotation
            annotation = others[0]
        else:
            return annotation


def _field_at(loc: tuple[int | str, ...]) -> FieldInfo | None:
    return _walk(loc)[1]


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    here, _ = _walk(loc)
    if here is Push:
        here = BundledImage
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [info.alias or name for name, info in here.model_fields.items()]
    return []


def _choices(field: FieldInfo | None) -> tuple[Any, ...]:
    kind = _plain_type(field.annotation) if field is not None else None
    # Of a list: those of its items.
    return get_args(_plain_type(get_args(kind)[0]) if get_origin(kind) is list else kind)


def _metadata(field: FieldInfo | None) -> Iterable[Any]:
    if field is None:
        return
    yield from field.metadata
    for choice in (field.annotation, *get_args(field.annotation)):
        yield from getattr(choice, "__metadata__", ())


def _quantity_at(loc: tuple[int | str, ...]) -> QuantityHint | None:
    return next((found for found in _metadata(_field_at(loc)) if isinstance(found, QuantityHint)), None)


def _examples(field: FieldInfo | None) -> list[Any]:
    return next((found.examples for found in _metadata(field) if getattr(found, "examples", None)), [])

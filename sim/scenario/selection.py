"""Which cases are meant by an expression of words, `and`, `or`, `not` and brackets, as pytest's -k and -m take one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sim.errors import InvalidInput

#: Whether a word holds for what is asked about.
Holds = Callable[[str], bool]
#: Whether an expression holds, given what its words do.
Expression = Callable[[Holds], bool]

_TOKEN = re.compile(r"\s*(?:(?P<bracket>[()])|(?P<word>[^\s()]+))")
_OPERATORS: Final = ("and", "or", "not")


def parse_expression(text: str, option: str) -> Expression:
    """Read an expression; `option` names where it came from.

    `not` binds tighter than `and`, `and` tighter than `or`. A word may hold anything but blanks and brackets that do
    not belong to it: `tag-bump[oci]` is one. Raises InvalidInput.
    """
    parser = _Parser(_tokens(text), text, option)
    found = parser.either()
    parser.end()
    return found


def in_any(parts: tuple[str, ...]) -> Holds:
    """A word holds that is in one of the parts, whatever its case: -k."""
    lowered = tuple(part.lower() for part in parts)
    return lambda word: any(word.lower() in part for part in lowered)


def among(labels: tuple[str, ...]) -> Holds:
    """A word holds that is one of the labels: -m."""
    return lambda word: word in labels


def _tokens(text: str) -> list[str]:
    return [match["bracket"] or match["word"] for match in _TOKEN.finditer(text)]


class _Parser:
    """Recursive descent over the words."""

    def __init__(self, tokens: list[str], text: str, option: str) -> None:
        self._tokens = tokens
        self._text = text
        self._option = option
        self._at = 0

    def either(self) -> Expression:
        found = self._both()
        while self._take("or"):
            found = _or(found, self._both())
        return found

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._refused(f"{self._tokens[self._at]!r} is one too many")

    def _both(self) -> Expression:
        found = self._one()
        while self._take("and"):
            found = _and(found, self._one())
        return found

    def _one(self) -> Expression:
        if self._take("not"):
            return _not(self._one())
        if self._take("("):
            found = self.either()
            if not self._take(")"):
                raise self._refused("a ) is missing")
            return found
        if self._at == len(self._tokens):
            raise self._refused("it breaks off" if self._tokens else "it is empty")
        word = self._tokens[self._at]
        if word in (*_OPERATORS, ")"):
            raise self._refused(f"a word is missing before {word!r}")
        self._at += 1
        return lambda holds: holds(word)

    def _take(self, token: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == token:
            self._at += 1
            return True
        return False

    def _refused(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"{self._option} {self._text!r}: {why}",
            hint=f"write words, and, or, not and brackets, such as {self._option} 'tag-bump and not (oci or delta)'",
        )


def _or(one: Expression, other: Expression) -> Expression:
    return lambda holds: one(holds) or other(holds)


def _and(one: Expression, other: Expression) -> Expression:
    return lambda holds: one(holds) and other(holds)


def _not(one: Expression) -> Expression:
    return lambda holds: not one(holds)

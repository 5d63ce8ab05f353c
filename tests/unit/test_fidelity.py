"""docs/fidelity.md: what it names exists, and what it claims is held."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.golden_files import GOLDEN, golden

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "fidelity.md"
VERDICTS = {"faithful", "simplified", "absent"}
#: How many rows one test may hold; the captures' tests hold more, and have a name for that.
MOST_ROWS = 3

_REFERENCE = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<test>test_\w+)`")
_NAME = re.compile(r"@\w+")
_CAPTURE = re.compile(r"capture (?P<file>[\w.-]+)")


@dataclass(frozen=True)
class Row:
    """A row of a table of behaviours, and where it stands in the file."""

    line: int
    behaviour: str
    verdict: str
    source: str
    held_by: str

    @property
    def references(self) -> list[str]:
        """The tests that it names, in full or by a capture test's name."""
        return [found[0].strip("`") for found in _REFERENCE.finditer(self.held_by)] + _NAME.findall(self.held_by)

    def __str__(self) -> str:
        return f"{PAGE.name}:{self.line}: {self.behaviour}"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def table(header: str) -> list[tuple[int, list[str]]]:
    """The rows under each table head of this text, with their line numbers."""
    found: list[tuple[int, list[str]]] = []
    inside = False
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            inside = False
        elif line == header:
            inside = True
        elif inside and not line.startswith("| ---"):
            found.append((number, cells(line)))
    return found


def rows() -> list[Row]:
    found = [Row(number, *row) for number, row in table("| Behaviour | Verdict | Source | Held by |")]
    assert len(found) > 150
    return found


def capture_tests() -> dict[str, str]:
    """The tests that replay a capture, by the name that rows call them by."""
    return {name: test.strip("`") for _, (name, _, test) in table("| Name | Replays | Test |")}


@cache
def names_in(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions)


def exists(reference: str) -> bool:
    file, _, test = reference.partition("::")
    return test in names_in(file)


def test_every_test_that_is_named_exists() -> None:
    named = capture_tests()
    missing = [f"{name}: {test}" for name, test in named.items() if not exists(test)]
    for row in rows():
        missing += [f"{row}: {ref}" for ref in row.references if not (ref in named or exists(ref))]
    assert not missing


def test_nothing_but_tests_stands_where_tests_are_named() -> None:
    # A reference that is misspelt beyond recognition would otherwise go unseen.
    rest = [(str(row), _NAME.sub("", _REFERENCE.sub("", row.held_by)).strip()) for row in rows()]
    assert [found for found in rest if found[1]] == []


def test_every_row_has_a_verdict_and_a_source() -> None:
    assert [str(row) for row in rows() if row.verdict not in VERDICTS] == []
    assert [str(row) for row in rows() if not row.source] == []


def test_what_is_faithful_is_held_by_a_test() -> None:
    assert [str(row) for row in rows() if row.verdict == "faithful" and not row.references] == []


def test_what_is_simplified_says_what_is_different() -> None:
    assert [str(row) for row in rows() if row.verdict == "simplified" and "*here" not in row.behaviour] == []
    assert [str(row) for row in rows() if row.verdict == "faithful" and "*here" in row.behaviour] == []


def test_each_behaviour_stands_once() -> None:
    counted = Counter(row.behaviour for row in rows())
    assert [behaviour for behaviour, times in counted.items() if times > 1] == []


def test_no_test_is_named_as_a_filler() -> None:
    named = capture_tests()
    assert [str(row) for row in rows() if len(set(row.references)) < len(row.references)] == []
    used = Counter(reference for row in rows() for reference in row.references)
    assert {name for name in used if name.startswith("@")} == named.keys()
    # A capture's test goes by its name alone, and every other holds a few rows at most.
    assert not used.keys() & set(named.values())
    assert {ref: times for ref, times in used.items() if ref not in named and times > MOST_ROWS} == {}


def test_a_capture_that_is_named_is_there() -> None:
    files = [path.name for path in GOLDEN.iterdir()]
    missing = [
        f"{row}: {found['file']}"
        for row in rows()
        for found in _CAPTURE.finditer(row.source)
        if not any(file.startswith(found["file"]) for file in files)
    ]
    assert not missing


def test_the_captures_have_as_many_cases_as_the_page_says() -> None:
    core = golden("core-higress.json")
    there = {
        "@core": len(core["cases"]),
        "@lifecycle": len(core["lifecycle"]),
        "@templates": len(core["templates"]),
        "@filters": len(golden("discovery-istio-1.27.json")),
        "@given": len(golden("agent-istio-1.27.json")),
        "@odd": len(golden("discovery-odd-istio-1.27.json")),
        "@asked": len(golden("agent-fetches-istio-1.27.json")),
        "@matched": len(golden("rule-matcher.json")["cases"]),
    }
    said = {name: replays for _, (name, replays, _) in table("| Name | Replays | Test |")}
    assert {name: count for name, count in there.items() if str(count) not in re.findall(r"\d+", said[name])} == {}

"""The transformer's regular expressions, compiled for this machine: against Python's, and against what Go's do."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.unit.wasm.native_zig import NativeProgram, skip_without_zig

skip_without_zig()

# The assertion names the case, and shrinking a list of them would take minutes.
ONE_CASE_IS_NAMED = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def zig(tmp_path_factory: pytest.TempPathFactory, zig_cache: Path) -> NativeProgram:
    folder = tmp_path_factory.mktemp("patterns")
    sources = (f"transformer/pattern{part}.zig" for part in ("", "_syntax", "_program"))
    return NativeProgram(folder, zig_cache, "pattern_cases.zig", *sources)


_atoms = st.sampled_from(
    [*"ab./-", r"\.", "[ab]", "[^a]", r"[\w.]", "[a-c-]", "[]a]", r"\d", r"\w", r"\W", r"\s", r"\b", r"\B", "^", "$"]
)
# A repetition of what may be empty is left out: where such a group lies, engines differ.
_repeatable = st.sampled_from(["a", ".", "[ab]", r"\w", "(a)", "(?:ab)", "(a|b)", "(?:a|(b))", "(a.?b)", "[^/]"])
_repeats = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}", "{0}"])
_repeated = st.builds(str.__add__, _repeatable, _repeats)


def _larger(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pieces = st.lists(inside, min_size=1, max_size=4)
    return st.one_of(
        pieces.map("".join),
        pieces.map("|".join).map("(?:{})".format),
        pieces.map("|".join).map("({})".format),
        inside.map("(?i:{})".format),
    )


_patterns = st.recursive(_atoms | _repeated, _larger, max_leaves=8)
# Not empty: Python 3.13 and before find no \B in nothing.
_texts = st.text("aAbBc./- 1", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, phases=ONE_CASE_IS_NAMED)
@given(cases=st.lists(st.fixed_dictionaries({"pattern": _patterns, "text": _texts}), min_size=20, max_size=60))
def test_a_pattern_is_found_where_pythons_engine_finds_it(zig: NativeProgram, cases: list[dict[str, str]]) -> None:
    for case, found in zip(cases, zig.answers(cases), strict=True):
        assert found["invalid"] is None, (case, found)
        match = re.compile(case["pattern"], re.ASCII).search(case["text"])
        expected = match and [
            None if bound < 0 else bound for group in range(len(match.groups()) + 1) for bound in match.span(group)
        ]
        assert found["bounds"] == expected, case


@pytest.mark.parametrize(
    ("pattern", "text", "template", "expected"),
    [
        (r"^(.*)\.com$", "foo.bar.com", "host-$1", "host-foo.bar"),
        (r"^.*?\/(\w+)[\?]{0,1}.*$", "/get?k1=v1", "path-$1", "path-get"),
        ("a*", "baaac", "X", "XbXcX"),
        ("a+", "baaac", "X", "bXc"),
        ("", "ab", "-", "-a-b-"),
        ("b", "abcb", "$$", "a$c$"),
        ("b", "abc", "[$0]", "a[b]c"),
        ("(b)", "abc", "$1x", "ac"),
        ("(b)", "abc", "${1}x", "abxc"),
        ("(b)", "abc", "$2$01$", "a$c"),
        ("(b)", "abc", "${1", "a${1c"),
        ("(b)", "abc", "$-", "a$-c"),
        ("(?P<one>a)(?<two>b)", "ab", "$two${one}", "ba"),
        ("(a)|(b)", "ab", "<$1.$2>", "<a.><.b>"),
        ("(?i)EXAMPLE", "Example.com", "x", "x.com"),
        ("a(?i)b", "aBAB", "x", "xAB"),
        ("é+", "caféé", "e", "cafe"),
        ("^.(.)[^a]$", "é不ü", "$1", "不"),
        (r"\W{2}", "aé不", "-", "a-"),
        ("a{,2}", "a{,2}", "x", "x"),
        (r"\Aa\z", "a", "x", "x"),
        ("x", "abc", "y", None),
    ],
)
def test_matches_are_replaced_as_go_does(
    zig: NativeProgram, pattern: str, text: str, template: str, expected: str | None
) -> None:
    (answer,) = zig.answers([{"pattern": pattern, "text": text, "template": template}])
    assert (answer["invalid"], answer["replaced"]) == (None, expected)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "a closing parenthesis is missing"),
        ("a)", "a closing parenthesis too many"),
        ("[a", "a closing bracket is missing"),
        ("[", "a closing bracket is missing"),
        ("*a", "nothing to repeat"),
        ("a|+", "nothing to repeat"),
        ("a**", "a repetition of a repetition"),
        ("a{2}{3}", "a repetition of a repetition"),
        ("a{3,2}", "out of order or over 1000"),
        ("a{1001}", "out of order or over 1000"),
        ("(a{1000}){1000}", "it is too large"),
        ("((((((){1000}){1000}){1000}){1000}){1000}){1000}", "it is too large"),
        ("(" * 200 + ")" * 200, "too many groups inside each other"),
        ("[b-a]", "a range out of order"),
        ("[[:alpha:]]", "classes with a name are not supported"),
        ("[é]", "in brackets there is ASCII only"),
        ("a\\", "a backslash at the end"),
        (r"\1", "an unknown escape"),
        (r"\pN", "an unknown escape"),
        ("(?=a)", "of the groups with a question mark"),
        ("(?P<a", "an endless name"),
        ("(?P<>a)", "an empty name"),
        ("(?P<a b>a)", "a name of a group with other than letters"),
    ],
)
def test_an_invalid_pattern_is_refused_with_the_reason(zig: NativeProgram, pattern: str, why: str) -> None:
    (answer,) = zig.answers([{"pattern": pattern, "text": ""}])
    assert why in answer["invalid"]


@settings(max_examples=40, deadline=None, phases=ONE_CASE_IS_NAMED)
@given(patterns=st.lists(st.text("()[]{}*+?|^$\\.a-b1,:<>Pi" + string.digits, max_size=12), min_size=40, max_size=80))
def test_arbitrary_text_is_a_pattern_or_refused(zig: NativeProgram, patterns: list[str]) -> None:
    cases: list[dict[str, Any]] = [{"pattern": each, "text": "aab1", "template": "$0"} for each in patterns]
    for case, found in zip(cases, zig.answers(cases), strict=True):
        assert found["invalid"] or found["replaced"] in (None, case["text"]), case


def test_a_pattern_that_ruins_backtracking_takes_its_time_from_the_length_alone(zig: NativeProgram) -> None:
    (answer,) = zig.answers([{"pattern": "(a*)*(a*)*(a|aa)*c", "text": "a" * 2000}])
    assert answer == {"invalid": None, "bounds": None, "replaced": None}

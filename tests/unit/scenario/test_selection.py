"""-k and -m take words, and, or, not and brackets, as pytest's do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.scenario.selection import among, in_any, parse_expression

NAMES = ("tag-bump[oci]", "tag-bump[docker]", "rollback", "stale-overtakes-new")


def selected(text: str) -> list[str]:
    expression = parse_expression(text, "-k")
    return [name for name in NAMES if expression(in_any((name,)))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bump", NAMES[:2]),
        ("tag-bump[oci]", NAMES[:1]),
        ("BUMP and OCI", NAMES[:1]),
        ("bump and not oci", NAMES[1:2]),
        ("not bump", NAMES[2:]),
        ("not not rollback", NAMES[2:3]),
        ("oci or rollback", (NAMES[0], NAMES[2])),
        ("oci or docker and rollback", NAMES[:1]),
        ("(oci or docker) and rollback", ()),
        ("(oci)or(rollback)", (NAMES[0], NAMES[2])),
        ("nothing", ()),
    ],
)
def test_an_expression_selects_by_its_words(text: str, expected: tuple[str, ...]) -> None:
    assert selected(text) == list(expected)


@pytest.mark.parametrize(
    "text", ["", "  ", "and", "bump and", "or bump", "not", "(bump", "bump)", "bump oci", "()", "a and or b"]
)
def test_what_is_no_expression_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(InvalidInput, match="-m") as raised:
        parse_expression(text, "-m")
    assert raised.value.hint is not None


def test_a_label_has_to_be_the_whole_word() -> None:
    expression = parse_expression("slow", "-m")
    assert expression(among(("slow", "incident")))
    assert not expression(among(("slower",)))


WORDS = st.sampled_from(["a", "b", "c"])
EXPRESSIONS = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda three: f"({three[0]}) {three[1]} ({three[2]})"
        ),
    ),
)


@given(EXPRESSIONS, st.sets(WORDS))
def test_an_expression_means_what_python_says_that_it_means(text: str, true: set[str]) -> None:
    expected = eval(text, {"__builtins__": {}}, {word: word in true for word in "abc"})
    assert parse_expression(text, "-k")(lambda word: word in true) is expected

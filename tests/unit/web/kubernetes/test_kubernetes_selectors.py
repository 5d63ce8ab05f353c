"""Label and field selectors."""

from __future__ import annotations

import pytest

from sim.web.kubernetes.selectors import parse_selection
from sim.web.kubernetes.status import ApiError

LABELS = {"": {}, "a": {"app": "a"}, "b": {"app": "b", "n": "7"}, "c": {"n": "x"}}


def _selected(query: dict[str, str]) -> str:
    selection = parse_selection(query)
    return "".join(
        name for name, labels in LABELS.items() if selection.matches({"metadata": {"name": name, "labels": labels}})
    )


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", "abc"),
        ("app", "ab"),
        ("!app", "c"),
        ("app=a", "a"),
        ("app==a", "a"),
        ("app!=a", "bc"),
        ("app in (a, b)", "ab"),
        ("app notin (a)", "bc"),
        ("app,n", "b"),
        ("n>6", "b"),
        ("n<7", ""),
        ("app in (a,b),n!=7", "a"),
        ("app=", ""),
    ],
)
def test_a_label_selector(selector: str, selected: str) -> None:
    assert _selected({"labelSelector": selector}).strip() == selected


@pytest.mark.parametrize("selector", ["=", "a b", "a,", "a in b", "a in (b", "!", "a>b", ")", "a in", "a b c"])
def test_a_label_selector_that_makes_no_sense(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_selection({"labelSelector": selector})
    assert refused.value.code == 400


def test_a_field_selector() -> None:
    assert _selected({"fieldSelector": "metadata.name=a"}) == "a"
    assert _selected({"fieldSelector": "metadata.name!=a,metadata.name!=b"}) == "c"
    with pytest.raises(ApiError, match=r"field label not supported: spec\.url"):
        parse_selection({"fieldSelector": "spec.url=x"})

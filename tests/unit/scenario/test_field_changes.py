"""Two JSON values are told apart field by field, lists by the names of their items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.field_changes import ABSENT, changed_fields

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert list(changed_fields(value, json.loads(json.dumps(value)))) == []


@given(JSON, JSON)
def test_different_values_always_differ_somewhere_and_the_same_the_other_way_round(one: Any, other: Any) -> None:
    there, back = list(changed_fields(one, other)), list(changed_fields(other, one))
    assert bool(there) == (json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert bool(there) == bool(back)
    assert all(before is not after for _, before, after in there if before is ABSENT or after is ABSENT)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("a.b[1]", 2, 3)]),
        ({"a": [1, 2]}, {"a": [0, 1, 2]}, [("a[0]", ABSENT, 0)]),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"x-y": 1}, {"x-y": 2}, [('["x-y"]', 1, 2)]),
        (1, 2, [("", 1, 2)]),
    ],
)
def test_the_path_leads_to_what_differs(before: Any, after: Any, expected: list[Any]) -> None:
    assert list(changed_fields(before, after)) == expected


def test_an_inserted_filter_is_one_change_and_not_a_shift_of_all_behind_it() -> None:
    filters = [{"name": name} for name in ("cors", "rbac", "router")]
    found = list(changed_fields({"filters": filters}, {"filters": [filters[0], {"name": "wasm"}, *filters[1:]]}))
    assert found == [("filters[wasm]", ABSENT, {"name": "wasm"})]


def test_filters_in_another_order_are_told_as_that() -> None:
    before, after = [{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}]
    assert list(changed_fields(before, after)) == [(" (order)", ["a", "b"], ["b", "a"])]


def test_a_configuration_in_a_text_is_looked_into() -> None:
    before, after = ({"value": json.dumps({"block": [path], "x": 1})} for path in ("/a", "/b"))
    assert list(changed_fields(before, after)) == [("value.block[0]", "/a", "/b")]


def test_a_text_that_only_is_written_in_another_way_still_differs() -> None:
    assert list(changed_fields('{"a":1}', '{"a": 1}')) == [("", '{"a":1}', '{"a": 1}')]

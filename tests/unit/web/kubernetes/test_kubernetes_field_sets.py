"""Sets of fields, and who owns them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.web.kubernetes.field_sets import (
    all_fields,
    applied_fields,
    as_fields_v1,
    changes,
    dotted,
    from_fields_v1,
    without,
)
from sim.web.kubernetes.managed_fields import (
    Ownership,
    after_apply,
    after_update,
    as_managed_fields,
    from_managed_fields,
)
from sim.web.kubernetes.resources import HIGRESS_PLUGINS, SERVICES
from sim.web.kubernetes.status import ApiError

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
RESOURCE = HIGRESS_PLUGINS

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.fixed_dictionaries({"spec": st.dictionaries(st.text(max_size=3), json_values, max_size=4)})


def plugin(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "x", "kind": "WasmPlugin", "metadata": {"name": "n"}, "spec": spec}


def owned(ownership: Ownership) -> dict[str, dict[str, Any]]:
    return {entry.manager: as_fields_v1(entry.fields) for entry in ownership}


def test_an_update_owns_values_and_the_mappings_around_them() -> None:
    content = plugin(url="u", defaultConfig={"a": {}, "b": [{"c": 1}]})
    content["metadata"] |= {"labels": {"x": "y"}, "uid": "1", "finalizers": ["f/g"]}
    assert as_fields_v1(all_fields(content, RESOURCE)) == {
        "f:metadata": {
            "f:finalizers": {".": {}, 'v:"f/g"': {}},
            "f:labels": {".": {}, "f:x": {}},
        },
        "f:spec": {".": {}, "f:url": {}, "f:defaultConfig": {".": {}, "f:a": {}, "f:b": {}}},
    }


def test_an_apply_owns_no_mapping_that_the_schema_declares() -> None:
    assert as_fields_v1(applied_fields(plugin(defaultConfig={"a": {"b": 1}}, vmConfig={}), RESOURCE)) == {
        "f:spec": {"f:defaultConfig": {"f:a": {".": {}, "f:b": {}}}, "f:vmConfig": {}}
    }


def test_items_of_a_list_with_keys_are_owned_one_by_one() -> None:
    fields = all_fields({"spec": {"ports": [{"port": 80, "name": "http"}]}}, SERVICES)
    assert as_fields_v1(fields)["f:spec"]["f:ports"] == {
        ".": {},
        'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}},
    }
    assert dotted(("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")) == (
        '.spec.ports[port=80,protocol="TCP"].name'
    )


@given(objects)
def test_what_is_written_as_a_tree_reads_back(content: dict[str, Any]) -> None:
    fields = all_fields(content, RESOURCE)
    assert from_fields_v1(as_fields_v1(fields)) == fields


@given(objects)
def test_nothing_changes_between_an_object_and_itself(content: dict[str, Any]) -> None:
    assert changes(content, content, RESOURCE) == (frozenset(), frozenset())


@given(objects, objects)
def test_what_was_removed_is_not_there_and_what_was_taken_is(before: dict[str, Any], after: dict[str, Any]) -> None:
    taken, removed = changes(before, after, RESOURCE)
    assert taken <= all_fields(after, RESOURCE)
    assert removed.isdisjoint(all_fields(after, RESOURCE))


def test_removing_every_field_of_a_mapping_removes_the_mapping() -> None:
    content = plugin(defaultConfig={"a": {"b": 1}}, vmConfig={})
    gone = {("f:spec", "f:defaultConfig", "f:a", "f:b")}
    assert without(content, gone, RESOURCE)["spec"] == {"vmConfig": {}}


def test_an_update_takes_what_it_changed_from_everybody() -> None:
    made = after_update((), {}, plugin(url="1", priority=1), RESOURCE, "maker", NOW)
    edited = after_update(made, plugin(url="1", priority=1), plugin(url="2"), RESOURCE, "editor", LATER)
    assert owned(edited) == {"editor": {"f:spec": {"f:url": {}}}, "maker": {"f:spec": {}}}
    assert after_update(edited, plugin(url="2"), plugin(url="2"), RESOURCE, "nobody", LATER) is edited


def test_an_apply_may_say_again_what_another_said() -> None:
    first = after_apply((), None, plugin(url="1"), RESOURCE, "one", NOW, force=False)
    second = after_apply(first.ownership, first.content, plugin(url="1"), RESOURCE, "two", LATER, force=False)
    assert second.content == first.content
    assert owned(second.ownership) == {"one": {"f:spec": {"f:url": {}}}, "two": {"f:spec": {"f:url": {}}}}


def test_an_apply_may_not_say_otherwise_without_force() -> None:
    first = after_apply((), None, plugin(url="1", priority=1), RESOURCE, "one", NOW, force=False)
    with pytest.raises(ApiError, match=r'Apply failed with 1 conflict: conflict with "one": \.spec\.url') as refused:
        after_apply(first.ownership, first.content, plugin(url="2"), RESOURCE, "two", LATER, force=False)
    assert refused.value.code == 409
    forced = after_apply(first.ownership, first.content, plugin(url="2"), RESOURCE, "two", LATER, force=True)
    assert forced.content["spec"] == {"url": "2", "priority": 1}
    assert owned(forced.ownership) == {"one": {"f:spec": {"f:priority": {}}}, "two": {"f:spec": {"f:url": {}}}}


def test_what_an_apply_no_longer_says_goes_unless_another_holds_it() -> None:
    first = after_apply((), None, plugin(url="1", priority=1, phase="AUTHN"), RESOURCE, "one", NOW, force=False)
    second = after_apply(first.ownership, first.content, plugin(priority=1), RESOURCE, "two", NOW, force=False)
    third = after_apply(second.ownership, second.content, plugin(url="1"), RESOURCE, "one", LATER, force=False)
    assert third.content["spec"] == {"url": "1", "priority": 1}


def test_an_apply_that_says_the_same_changes_nothing_but_keeps_its_time() -> None:
    first = after_apply((), None, plugin(url="1"), RESOURCE, "one", NOW, force=False)
    again = after_apply(first.ownership, first.content, plugin(url="1"), RESOURCE, "one", LATER, force=False)
    assert again == first


@given(objects)
def test_ownership_reads_back(content: dict[str, Any]) -> None:
    ownership = after_update((), {}, content, RESOURCE, "maker", NOW)
    assert set(from_managed_fields(as_managed_fields(ownership))) == set(ownership)


@pytest.mark.parametrize("nonsense", [None, [{}], [5], {"manager": "x"}, [{"manager": "x", "operation": "Steal"}]])
def test_owners_that_make_no_sense_are_nobody(nonsense: Any) -> None:
    assert from_managed_fields(nonsense) == ()


def test_a_large_configuration_is_taken_in_time() -> None:
    content = plugin(defaultConfig={f"key{number}": {"value": number} for number in range(20_000)})
    ownership = after_update((), {}, content, RESOURCE, "maker", NOW)
    applied = after_apply(ownership, content, plugin(url="1"), RESOURCE, "one", NOW, force=False)
    assert len(as_fields_v1(applied.ownership[1].fields)["f:spec"]["f:defaultConfig"]) == 20_001

"""The three sorts of patches."""

from __future__ import annotations

from typing import Any

import pytest

from sim.web.kubernetes.merge import MergeKeyMissing, PatchFailed, json_patch, merge, strategic_merge


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


def test_a_json_patch_leaves_its_target_alone() -> None:
    target = {"a": [1]}
    assert json_patch(target, [{"op": "add", "path": "/a/-", "value": 2}]) == {"a": [1, 2]}
    assert target == {"a": [1]}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/b"}],
        [{"op": "add", "path": "/b/c", "value": 1}],
        [{"op": "steal", "path": "/a"}],
        [{"path": "/a"}],
        [5],
    ],
)
def test_a_json_patch_that_does_not_fit_fails(operations: Any) -> None:
    with pytest.raises(PatchFailed):
        json_patch({"a": 1}, operations)


SERVICE = {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}], "externalIPs": ["1"]}}


@pytest.mark.parametrize(
    ("patch", "ports"),
    [
        ({"ports": [{"port": 81, "name": "c"}]}, {80: "a", 81: "c"}),
        ({"ports": [{"port": 82, "name": "c"}]}, {82: "c", 80: "a", 81: "b"}),
        ({"ports": [{"port": 80, "$patch": "delete"}]}, {81: "b"}),
        ({"ports": [{"$patch": "replace"}, {"port": 9, "name": "z"}]}, {9: "z"}),
        ({"ports": None}, None),
        (
            {"$setElementOrder/ports": [{"port": 82}, {"port": 81}], "ports": [{"port": 82, "name": "c"}]},
            {82: "c", 81: "b", 80: "a"},
        ),
    ],
)
def test_a_strategic_patch_merges_ports_by_their_number(patch: Any, ports: dict[int, str] | None) -> None:
    merged = strategic_merge(SERVICE, {"spec": patch})["spec"].get("ports")
    assert (None if merged is None else {port["port"]: port["name"] for port in merged}) == ports
    assert merged is None or [port["port"] for port in merged] == list(ports or {})


def test_a_strategic_patch_replaces_other_lists_and_obeys_its_directives() -> None:
    assert strategic_merge(SERVICE, {"spec": {"externalIPs": ["2"]}})["spec"]["externalIPs"] == ["2"]
    assert strategic_merge({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}) == {"a": {"c": 2}}
    assert strategic_merge({"a": {"b": 1}}, {"a": {"$patch": "delete"}}) == {"a": {}}
    assert strategic_merge({"a": {"b": 1, "c": 1}}, {"a": {"$retainKeys": ["c"], "c": 2}}) == {"a": {"c": 2}}
    held = {"metadata": {"finalizers": ["a", "b"]}}
    assert strategic_merge(held, {"metadata": {"finalizers": ["b", "c"]}}) == {
        "metadata": {"finalizers": ["a", "b", "c"]}
    }
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert strategic_merge(held, gone) == {"metadata": {"finalizers": ["b"]}}


def test_a_port_without_a_number_can_not_be_merged() -> None:
    with pytest.raises(MergeKeyMissing, match=r"map: map\[name:new\] does not contain declared merge key: port"):
        strategic_merge(SERVICE, {"spec": {"ports": [{"name": "new"}]}})

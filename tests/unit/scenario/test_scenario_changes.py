"""What a bump and an edit make of a manifest."""

from __future__ import annotations

from typing import Any

import pytest

from sim.errors import InvalidInput
from sim.manifests import Manifest, parse_manifests
from sim.scenario.changes import bumped, edited, image_url, merge_patch


def plugin(url: str, **spec: Any) -> Manifest:
    (manifest,) = parse_manifests(
        f"""\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {{name: block, namespace: higress-system, labels: {{a: b}}}}
spec: {{url: "{url}", priority: 10, defaultConfig: {{block_urls: [a], case_sensitive: false}}}}
""",
        "plugin.yaml",
    )
    return manifest.with_spec({**manifest.spec, **spec}) if spec else manifest


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("oci://hub.example.com/team/block:1.0.0", "oci://hub.example.com/team/block:2.0.0"),
        ("hub.example.com/team/block:1.0.0", "hub.example.com/team/block:2.0.0"),
        ("oci://127.0.0.1:5000/block", "oci://127.0.0.1:5000/block:2.0.0"),
        ("oci://127.0.0.1:5000/block:latest", "oci://127.0.0.1:5000/block:2.0.0"),
        (f"oci://hub.example.com/block:1@sha256:{'a' * 64}", "oci://hub.example.com/block:2.0.0"),
        ("block:1", "block:2.0.0"),
    ],
)
def test_a_bump_changes_the_tag_and_leaves_the_rest_of_the_url_as_written(url: str, expected: str) -> None:
    old = plugin(url)
    new = bumped(old, tag="2.0.0")
    assert new.spec == {**old.spec, "url": expected}
    assert (new.key, new.metadata) == (old.key, old.metadata)
    assert old.spec["url"] == url


@pytest.mark.parametrize(
    ("url", "image", "expected"),
    [
        ("oci://a.example/block:1", "b.example/other:2", "oci://b.example/other:2"),
        ("a.example/block:1", "b.example/other:2", "b.example/other:2"),
        ("a.example/block:1", "oci://b.example/other:2", "oci://b.example/other:2"),
    ],
)
def test_a_bump_to_another_image_keeps_the_way_of_writing(url: str, image: str, expected: str) -> None:
    assert bumped(plugin(url), image=image).spec["url"] == expected


@pytest.mark.parametrize("url", ["https://files.example/plugin.wasm", "file:///plugin.wasm", ""])
def test_a_plugin_without_an_image_can_not_be_bumped(url: str) -> None:
    assert image_url(plugin(url)) is None
    with pytest.raises(InvalidInput, match="change the URL by a step edit"):
        bumped(plugin(url), tag="2.0.0")


def test_a_bump_to_what_is_no_tag_or_no_image_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not a tag"):
        bumped(plugin("a.example/block:1"), tag="2 0")
    with pytest.raises(InvalidInput, match="lower case"):
        bumped(plugin("a.example/block:1"), image="a.example/Block:2")


def test_an_edit_merges_what_it_names_and_removes_what_it_sets_to_null() -> None:
    old = plugin("a.example/block:1")
    new = edited(old, {"metadata": {"labels": {"c": "d"}}, "spec": {"priority": None, "defaultConfig": {"x": [1]}}})
    assert new.spec == {
        "url": "a.example/block:1",
        "defaultConfig": {"block_urls": ["a"], "case_sensitive": False, "x": [1]},
    }
    assert new.metadata.labels == {"a": "b", "c": "d"}
    assert old.spec["priority"] == 10


@pytest.mark.parametrize(
    "patch", [{"metadata": {"name": "other"}}, {"metadata": {"namespace": None}},
              {"apiVersion": "extensions.istio.io/v1alpha1", "spec": {"defaultConfig": None}}],
)  # fmt: skip
def test_an_edit_that_makes_another_object_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="makes it another object"):
        edited(plugin("a.example/block:1"), patch)


def test_an_edit_that_leaves_an_invalid_object_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Unsupported value"):
        edited(plugin("a.example/block:1"), {"spec": {"phase": "AUTH"}})


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
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
def test_a_merge_patch_does_what_rfc_7386_shows(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged

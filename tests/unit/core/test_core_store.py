from __future__ import annotations

from typing import Any

import pytest

from sim.clock import SkewedClock
from sim.core import Key, Store
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN, Manifest, manifest_from

KEY = Key(HIGRESS_WASM, WASM_PLUGIN, "higress-system", "demo")


def plugin(spec: dict[str, Any] | None = None, **metadata: Any) -> Manifest:
    named = {"name": "demo", "namespace": "higress-system", **metadata}
    content = {"apiVersion": HIGRESS_WASM, "kind": WASM_PLUGIN, "metadata": named, "spec": spec or {}}
    return manifest_from(content, "test")


def test_apply_says_what_it_did() -> None:
    store = Store()
    assert store.apply(plugin()) == "created"
    assert store.apply(plugin()) == "unchanged"
    assert store.apply(plugin({"priority": 1})) == "configured"


def test_one_counter_numbers_every_change_of_every_object() -> None:
    store = Store()
    store.apply(plugin())
    store.apply(plugin(name="other"))
    store.apply(plugin({"priority": 1}))
    found = store.get(KEY)
    assert found is not None
    assert found.resource_version == store.resource_version == "3"
    last = store.delete(KEY)
    assert last is not None
    assert last.resource_version == "4"


def test_the_generation_grows_with_the_spec_only() -> None:
    store = Store()
    store.apply(plugin())
    store.apply(plugin(labels={"a": "b"}))
    labelled = store.get(KEY)
    store.apply(plugin({"priority": 1}, labels={"a": "b"}))
    respecified = store.get(KEY)
    assert labelled is not None
    assert respecified is not None
    assert (labelled.generation, labelled.resource_version) == (1, "2")
    assert (respecified.generation, respecified.resource_version) == (2, "3")
    assert respecified.uid == labelled.uid


def test_what_the_server_owns_is_no_change() -> None:
    store = Store()
    store.apply(plugin())
    assert store.apply(plugin(resourceVersion="77", uid="x", generation=9)) == "unchanged"


def test_an_object_made_again_is_another_object() -> None:
    clock = SkewedClock()
    store = Store(clock)
    store.apply(plugin())
    first = store.delete(KEY)
    clock.advance(60)
    store.apply(plugin())
    second = store.get(KEY)
    assert first is not None
    assert second is not None
    assert second.uid != first.uid
    assert second.creation_timestamp > first.creation_timestamp
    assert second.generation == 1


def test_listeners_hear_of_changes_until_they_stop() -> None:
    store = Store()
    heard: list[tuple[str, str]] = []
    stop = store.watch(lambda event, found: heard.append((event, found.resource_version)))
    store.apply(plugin())
    store.apply(plugin())
    store.apply(plugin({"priority": 1}))
    store.delete(KEY)
    store.delete(KEY)
    stop()
    store.apply(plugin())
    assert heard == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "3")]


def test_objects_are_listed_by_kind_and_namespace() -> None:
    store = Store()
    store.apply(plugin())
    store.apply(plugin(namespace="team-a"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    store.apply(manifest_from(secret, "test"))
    assert [found.name for found in store.list("WasmPlugin")] == ["higress-system/demo", "team-a/demo"]
    assert [found.name for found in store.list("WasmPlugin", "team-a")] == ["team-a/demo"]
    assert [found.key.kind for found in store.list(namespace="default")] == ["Secret"]


def test_an_object_is_shown_as_kubectl_shows_it() -> None:
    store = Store()
    store.apply(plugin({"priority": 1}))
    found = store.get(KEY)
    assert found is not None
    shown = found.as_json()
    assert shown["spec"] == {"priority": 1}
    assert shown["metadata"] == {
        "name": "demo",
        "namespace": "higress-system",
        "uid": found.uid,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": found.creation_timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_a_secret_is_read_decoded_and_string_data_wins() -> None:
    store = Store()
    content = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "creds", "namespace": "team-a"},
        "data": {"token": "czNjcmV0", "both": "b2xk"},
        "stringData": {"both": "new"},
    }
    store.apply(manifest_from(content, "test"))
    assert store.secret_value("team-a", "creds", "token") == "s3cret"
    assert store.secret_value("team-a", "creds", "both") == "new"
    with pytest.raises(LookupError, match="key nope not found in secret team-a/creds"):
        store.secret_value("team-a", "creds", "nope")
    with pytest.raises(LookupError, match="secret default/creds not found"):
        store.secret_value("default", "creds", "token")

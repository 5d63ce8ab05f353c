"""What the API knows of a store that others change too."""

from __future__ import annotations

import pytest

from sim.core import Key, Store
from sim.manifests import Manifest, parse_manifests
from sim.web.kubernetes.resources import HIGRESS_PLUGINS, SECRETS
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import ApiError

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: higress-system}
spec: {url: "oci://registry.example/p:1", priority: 1}
"""
KEY = Key("extensions.higress.io/v1alpha1", "WasmPlugin", "higress-system", "p")


def _plugin(name: str = "p", priority: int = 1) -> Manifest:
    return parse_manifests(PLUGIN.replace("NAME", name).replace("priority: 1", f"priority: {priority}"), "test")[0]


async def _nothing(_: Manifest | Key) -> None:
    raise AssertionError("nothing is changed here")


def test_what_was_there_before_is_shown_but_no_news() -> None:
    store = Store()
    store.apply(_plugin())
    shelf = Shelf(store, _nothing)
    assert [found["metadata"]["name"] for found in shelf.list(HIGRESS_PLUGINS, "higress-system")] == ["p"]
    assert shelf.list(HIGRESS_PLUGINS, "default") == []
    assert shelf.changes_after(1) == []


def test_what_others_change_is_news_and_theirs() -> None:
    store = Store()
    shelf = Shelf(store, _nothing)
    store.apply(_plugin())
    store.apply(_plugin(priority=2))
    store.delete(KEY)
    assert [(entry.version, entry.event) for entry in shelf.changes_after(0)] == [
        (1, "ADDED"),
        (2, "MODIFIED"),
        (3, "DELETED"),
    ]
    [last] = shelf.changes_after(2)
    assert last.after["metadata"]["resourceVersion"] == "3"
    assert [entry["manager"] for entry in last.after["metadata"]["managedFields"]] == ["ecdsim"]
    assert shelf.get(KEY) is None


def test_news_from_too_long_ago_are_forgotten() -> None:
    store = Store()
    shelf = Shelf(store, _nothing)
    for number in range(2000):
        store.apply(_plugin(priority=number))
    assert [entry.version for entry in shelf.changes_after(1998)] == [1999, 2000]
    with pytest.raises(ApiError, match="too old resource version: 1 ") as refused:
        shelf.changes_after(1)
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_a_secret_is_shown_encoded_whoever_wrote_it() -> None:
    store = Store()
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n"
    store.apply(parse_manifests(text, "test")[0])
    [shown] = Shelf(store, _nothing).list(SECRETS, None)
    assert (shown["data"], shown["type"], "stringData" in shown) == ({"a": "Yg=="}, "Opaque", False)


def test_after_its_end_a_shelf_hears_nothing() -> None:
    store = Store()
    shelf = Shelf(store, _nothing)
    shelf.close()
    store.apply(_plugin())
    assert shelf.list(HIGRESS_PLUGINS, None) == []


async def test_what_a_change_left_undone_is_not_taken_for_done() -> None:
    store = Store()

    async def forgetful(_: Manifest | Key) -> None:
        return

    shelf = Shelf(store, forgetful)
    assert await shelf.put(_plugin(), ()) is None


async def test_owners_are_those_of_the_change_that_came_through() -> None:
    store = Store()
    shelf = Shelf(store, _nothing)

    async def another(what: Manifest | Key) -> None:
        assert isinstance(what, Manifest)
        store.apply(_plugin(priority=9))
        store.apply(what)

    shelf.change = another
    stored = await shelf.put(_plugin(priority=2), ())
    assert stored is not None
    assert stored["spec"]["priority"] == 2
    assert "managedFields" not in stored["metadata"]

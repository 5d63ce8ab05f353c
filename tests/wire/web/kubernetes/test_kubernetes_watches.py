"""Watches on the wire, and requests whose client goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sim.core import Key, Store
from sim.manifests import Manifest, parse_manifests
from sim.web.kubernetes import kubernetes_app
from tests.wire.web.kubernetes.world import KEY, PLUGIN, TOKEN, api_world

PLUGINS = "/apis/extensions.higress.io/v1alpha1/namespaces/higress-system/wasmplugins"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


def _plugin(priority: int = 1) -> Manifest:
    return parse_manifests(PLUGIN.replace("priority: 100", f"priority: {priority}"), "test")[0]


async def _event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(30):
        event: dict[str, Any] = json.loads(await answer.content.readline())
    return event


@pytest.fixture
def store() -> Store:
    return Store()


async def test_a_watch_tells_what_is_there_and_then_what_happens(store: Store) -> None:
    store.apply(_plugin())
    async with api_world(store) as (_, session), session.get(f"{PLUGINS}?watch=true") as answer:
        assert (await _event(answer))["type"] == "ADDED"
        store.apply(_plugin(2))
        event = await _event(answer)
        assert (event["type"], event["object"]["spec"]["priority"]) == ("MODIFIED", 2)
        store.delete(KEY)
        event = await _event(answer)
        assert (event["type"], event["object"]["metadata"]["resourceVersion"]) == ("DELETED", "3")


async def test_the_end_of_what_is_there_is_marked_where_it_is_asked_for(store: Store) -> None:
    store.apply(_plugin())
    query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    async with api_world(store) as (_, session), session.get(f"{PLUGINS}?{query}") as answer:
        assert (await _event(answer))["type"] == "ADDED"
        mark = await _event(answer)
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_table_tells_its_columns_once(store: Store) -> None:
    store.apply(_plugin())
    async with api_world(store) as (_, session), session.get(f"{PLUGINS}?watch=true", headers=TABLE) as answer:
        first = (await _event(answer))["object"]
        store.apply(_plugin(2))
        second = (await _event(answer))["object"]
    assert [column["name"] for column in first["columnDefinitions"]] == ["Name", "Age"]
    assert second["columnDefinitions"] is None
    assert [row["cells"][0] for row in (*first["rows"], *second["rows"])] == ["my-plugin", "my-plugin"]


async def test_a_watch_from_too_long_ago_is_told_so_and_ends(store: Store) -> None:
    async with api_world(store) as (_, session):
        for number in range(1100):
            store.apply(_plugin(number))
        async with session.get(f"{PLUGINS}?watch=true&resourceVersion=1") as answer:
            event = await _event(answer)
            assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
            assert await answer.content.read() == b""


async def test_a_namespace_that_comes_to_be_is_told(store: Store) -> None:
    async with (
        api_world(store) as (_, session),
        session.get("/api/v1/namespaces?watch=true&resourceVersion=4") as answer,
    ):
        text = PLUGIN.replace("namespace: higress-system", "namespace: new")
        store.apply(parse_manifests(text, "test")[0])
        event = await _event(answer)
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "new")


async def test_a_watch_ends_cleanly_when_the_server_does(store: Store) -> None:
    async with _plain_server(store, None) as (url, app), aiohttp.ClientSession(headers=_AUTHORIZED) as session:
        answer = await session.get(f"{url}{PLUGINS}?watch=true")
        await app.shutdown()
        async with asyncio.timeout(30):
            assert await answer.content.read() == b""


async def test_a_change_is_finished_when_its_client_goes_away(store: Store) -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def change(what: Manifest | Key) -> None:
        assert isinstance(what, Manifest)
        begun.set()
        await may_end.wait()
        store.apply(what)
        ended.set()

    async with _plain_server(store, change) as (url, _):
        session = aiohttp.ClientSession(headers=_AUTHORIZED)
        request = asyncio.create_task(session.post(f"{url}{PLUGINS}", json=_plugin().content))
        await begun.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await session.close()
        may_end.set()
        async with asyncio.timeout(30):
            await ended.wait()
    assert store.get(KEY) is not None


_AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def _plain_server(store: Store, change: Any) -> AsyncIterator[tuple[str, web.Application]]:
    """Without TLS, and as cruel to handlers as aiohttp can be."""
    app = kubernetes_app(store, change, TOKEN)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield url, app
    finally:
        await runner.cleanup()

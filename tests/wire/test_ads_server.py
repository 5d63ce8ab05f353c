"""The ADS server over loopback, with clients written from the xDS specification."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from sim.errors import EnvironmentProblem
from sim.model import ECDS, LDS, Node
from sim.xds import AdsServer, Answer, Reaction, Resource, ServerStream, Variant, ads_server
from tests.wire.ads_peers import PATIENCE_S, AdsClient, ads_client

BOTH = pytest.mark.parametrize("variant", list(Variant))


class Shelf:
    """A source and its observer: one answer per version, and everything that was told, in order."""

    def __init__(self, size_bytes: int = 3) -> None:
        self.version = 1
        self.size_bytes = size_bytes
        self.answers: dict[tuple[str, int, frozenset[str] | None], Answer] = {}
        self.nodes: list[Node] = []
        self.told: list[tuple[str, Any]] = []
        self.broken = False
        self._came = asyncio.Event()
        self._nonces = itertools.count(1)

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        if self.broken:
            raise RuntimeError("the source is broken")
        self.nodes.append(node)
        key = (type_url, self.version, None if names is None else frozenset(names))
        if key not in self.answers:
            chosen = [n for n in ("a", "b") if names is None or n in names]
            resources = [Resource(n, type_url, n.encode() * self.size_bytes, str(self.version)) for n in chosen]
            self.answers[key] = Answer(type_url, str(self.version), resources)
        return self.answers[key]

    def nonce(self) -> str:
        return f"n{next(self._nonces)}"

    def opened(self, stream: ServerStream) -> None:
        self._note("opened", stream.id)

    def received(self, stream: ServerStream, reaction: Reaction) -> None:
        self._note(reaction.kind, stream.id)

    def sent(self, stream: ServerStream, answer: Answer, nonce: str, pushed: bool) -> None:
        self._note("push" if pushed else "answer", stream.id)

    def closed(self, stream: ServerStream) -> None:
        self._note("closed", stream.id)

    def _note(self, what: str, stream_id: int) -> None:
        self.told.append((what, stream_id))
        self._came.set()

    def count(self, what: str) -> int:
        return sum(1 for kind, _ in self.told if kind == what)

    async def wait_for(self, what: str, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.count(what) < count:
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def serving(shelf: Shelf, variant: Variant) -> AsyncIterator[tuple[AdsServer, AdsClient]]:
    async with ads_server(shelf, shelf) as server, ads_client(server.address, variant) as client:
        yield server, client


def version_of(response: Any) -> str:
    version: str = getattr(response, "version_info", None) or response.system_version_info
    return version


def bodies(response: Any) -> list[bytes]:
    return [getattr(item, "resource", item).value for item in response.resources]


@BOTH
async def test_a_client_subscribes_acknowledges_and_is_pushed_to(variant: Variant) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (server, client):
        first = await client.ask(ECDS, "a")
        assert (first.type_url, first.nonce, version_of(first), bodies(first)) == (ECDS, "n1", "1", [b"aaa"])
        await client.acknowledge(first, "a")
        await shelf.wait_for("ack")
        shelf.version = 2
        server.push([LDS, ECDS])
        second = await client.receive()
        assert (second.nonce, version_of(second)) == ("n2", "2")
        assert [what for what, _ in shelf.told] == ["opened", "subscribe", "answer", "ack", "push"]


async def test_delta_tells_names_versions_and_removals() -> None:
    async with serving(Shelf(), Variant.DELTA) as (_, client):
        response = await client.ask(LDS, "a", "ghost")
        assert [(item.name, item.version, item.resource.type_url) for item in response.resources] == [("a", "1", LDS)]
        assert list(response.removed_resources) == ["ghost"]


@BOTH
async def test_a_nack_is_told_and_not_answered(variant: Variant) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (server, client):
        first = await client.ask(ECDS, "a")
        refusal = client.request(ECDS, response_nonce=first.nonce)
        refusal.error_detail.message = "no"
        await client.send(refusal)
        await shelf.wait_for("nack")
        server.push([ECDS])
        assert (await client.receive()).nonce == "n2"


@BOTH
async def test_the_node_is_that_of_the_first_request(variant: Variant) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (_, client):
        request = client.request(LDS)
        request.node.id = "router~127.0.0.1~gw-1.ns~ns.svc.cluster.local"
        request.node.metadata.update({"LABELS": {"app": "gw"}, "OTHER": 1})
        await client.send(request)
        await client.receive()
        await client.ask(ECDS, "a")
        assert shelf.nodes == [Node("router~127.0.0.1~gw-1.ns~ns.svc.cluster.local", {"app": "gw"})] * 2


@BOTH
async def test_a_hundred_streams_get_a_push_that_is_encoded_once(variant: Variant) -> None:
    shelf = Shelf()
    async with ads_server(shelf, shelf) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(ads_client(server.address, variant)) for _ in range(100)]
        for client in clients:
            await client.send(client.request(LDS))
        firsts = [await client.receive() for client in clients]
        assert len({first.nonce for first in firsts}) == 100
        shelf.version = 2
        server.push([LDS])
        pushed = [await client.receive() for client in clients]
        assert {version_of(response) for response in pushed} == {"2"}
        assert len({response.nonce for response in pushed}) == 100
        assert shelf.count("push") == 100
    assert [len(answer.encoded) for answer in shelf.answers.values()] == [1, 1]


@BOTH
async def test_a_response_may_be_larger_than_grpcs_four_megabytes(variant: Variant) -> None:
    async with serving(Shelf(size_bytes=5_000_000), variant) as (_, client):
        assert [len(body) for body in bodies(await client.ask(LDS))] == [5_000_000] * 2


@BOTH
async def test_stopping_with_open_streams_ends_them_and_leaves_no_task(variant: Variant) -> None:
    shelf = Shelf()
    before = asyncio.all_tasks()
    async with AsyncExitStack() as clients:
        async with ads_server(shelf, shelf) as server:
            open_ = [await clients.enter_async_context(ads_client(server.address, variant)) for _ in range(5)]
            for client in open_:
                await client.ask(LDS)
            mine = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("ads-")}
            assert len(mine) >= 5
        assert not server.streams
        assert shelf.count("closed") == 5
        assert all(task.done() for task in mine)
        for client in open_:
            assert (await client.ended())[0] is not grpc.StatusCode.OK
    assert not {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}


@BOTH
async def test_a_client_that_is_done_or_gone_closes_its_stream_alone(variant: Variant) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (server, staying):
        await staying.ask(LDS)
        async with ads_client(server.address, variant) as polite, ads_client(server.address, variant) as rude:
            await polite.ask(LDS)
            await rude.ask(LDS)
            await polite.done()
            assert (await polite.ended())[0] is grpc.StatusCode.OK
            rude.cancel()
            await shelf.wait_for("closed", 2)
        assert len(server.streams) == 1
        server.push([LDS])
        assert (await staying.receive()).nonce == "n4"


@BOTH
async def test_what_is_no_request_ends_its_stream_alone(variant: Variant) -> None:
    shelf = Shelf()
    method = "StreamAggregatedResources" if variant is Variant.SOTW else "DeltaAggregatedResources"
    path = f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}"
    async with serving(shelf, variant) as (server, staying):
        await staying.ask(LDS)
        async with grpc.aio.insecure_channel(server.address) as channel:
            call = channel.stream_stream(path)()
            await call.write(b"\xff\xff\xff")
            assert await call.code() is grpc.StatusCode.INTERNAL
            assert "not a discovery request" in (await call.details() or "")
        server.push([LDS])
        assert (await staying.receive()).nonce == "n2"


@BOTH
async def test_a_source_that_breaks_breaks_the_stream_instead_of_leaving_it_silent(
    variant: Variant, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (_, client):
        shelf.broken = True
        with caplog.at_level(logging.CRITICAL, "grpc._cython.cygrpc"):
            await client.send(client.request(LDS))
            assert (await client.ended())[0] is grpc.StatusCode.UNKNOWN
        await shelf.wait_for("closed")


async def test_a_taken_port_is_a_problem_of_the_environment() -> None:
    shelf = Shelf()
    async with ads_server(shelf, shelf) as server:
        with pytest.raises(EnvironmentProblem, match=server.address) as raised:
            async with ads_server(shelf, shelf, server.address):
                pass
        assert "port 0" in (raised.value.hint or "")


@BOTH
async def test_a_unix_socket_is_served_as_well(variant: Variant, tmp_path: Path) -> None:
    shelf = Shelf()
    address = f"unix:{tmp_path}/xds.sock"
    async with ads_server(shelf, shelf, address) as server:
        assert server.address == address
        async with ads_client(address, variant) as client:
            assert (await client.ask(LDS)).nonce == "n1"


async def test_the_port_is_free_again_once_the_server_is_left() -> None:
    shelf = Shelf()
    async with ads_server(shelf, shelf) as server:
        address = server.address
    async with ads_server(shelf, shelf, address) as again, ads_client(again.address, Variant.SOTW) as client:
        assert (await client.ask(LDS)).nonce == "n1"


@BOTH
async def test_a_pushs_types_arrive_in_the_order_it_names_them(variant: Variant) -> None:
    shelf = Shelf()
    async with serving(shelf, variant) as (server, client):
        await client.ask(ECDS, "a")
        await client.ask(LDS)
        server.push([LDS, ECDS])
        assert [(await client.receive()).type_url for _ in range(2)] == [LDS, ECDS]

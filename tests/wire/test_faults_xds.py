"""xDS faults on a link between our ADS server and a client that knows the specification alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from sim.model import ECDS, LDS
from sim.scenario.faults import FaultBoard, FaultSpec, FaultyLink
from sim.trace import Trace
from sim.xds import METHODS, SERVICE, AdsServer, Variant, ads_server
from tests.wire.ads_peers import PATIENCE_S, AdsClient, ads_client
from tests.wire.test_ads_server import Shelf, bodies, version_of

BOTH = pytest.mark.parametrize("variant", list(Variant))


@dataclass
class World:
    """A server, a link before it, and a client that took the first version of `a`."""

    shelf: Shelf
    server: AdsServer
    link: FaultyLink
    board: FaultBoard
    trace: Trace
    client: AdsClient

    async def inject(self, **spec: Any) -> None:
        await self.board.inject(FaultSpec.model_validate({"on": "discovery-agent", **spec}))

    def push(self, *type_urls: str) -> None:
        """The next version of these types, or of the extensions."""
        self.shelf.version += 1
        self.server.push(type_urls or [ECDS])

    async def hit(self, count: int = 1) -> Any:
        """The hit of that number, once it has come."""
        hits: list[Any] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(hits) < count:
                since = hits[-1].seq + 1 if hits else 0
                hits.append(await self.trace.wait_for(lambda e: e.event == "fault.hit", since))
        return hits[-1]


@asynccontextmanager
async def world(variant: Variant, listen: str = "127.0.0.1:0", serve_at: str = "127.0.0.1:0") -> AsyncIterator[World]:
    shelf, trace = Shelf(), Trace()
    async with (
        ads_server(shelf, shelf, serve_at) as server,
        FaultyLink("discovery-agent", listen, server.address, xds=True) as link,
        ads_client(link.address, variant) as client,
    ):
        made = World(shelf, server, link, FaultBoard(trace, {link.name: link}), trace, client)
        first = await client.ask(ECDS, "a")
        await client.acknowledge(first, "a")
        await shelf.wait_for("ack")
        yield made


@BOTH
async def test_without_a_fault_a_stream_goes_on_as_without_a_link(variant: Variant) -> None:
    async with world(variant) as on:
        on.push()
        second = await on.client.receive()
        assert (version_of(second), bodies(second)) == ("2", [b"aaa"])
        await on.client.acknowledge(second, "a")
        await on.shelf.wait_for("ack", 2)
        await on.client.done()
        assert (await on.client.ended())[0] is grpc.StatusCode.OK


@BOTH
async def test_a_link_may_be_unix_sockets_on_both_sides(variant: Variant, tmp_path: Path) -> None:
    async with world(variant, f"unix:{tmp_path}/a", f"unix:{tmp_path}/b") as on:
        on.push()
        assert version_of(await on.client.receive()) == "2"


@BOTH
async def test_a_large_response_passes(variant: Variant) -> None:
    async with world(variant) as on:
        on.shelf.size_bytes = 6_000_000
        on.push()
        assert [len(body) for body in bodies(await on.client.receive())] == [6_000_000]


@BOTH
async def test_a_dropped_ack_is_missed_and_the_stream_goes_on(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(drop_ack={"type": "ecds", "count": 1})
        on.push()
        await on.client.acknowledge(await on.client.receive(), "a")
        hit = await on.hit()
        assert (hit.type_url, hit.nonce, hit.data["left"], hit.data["stream"]) == (ECDS, "n2", 0, 1)
        on.push()
        third = await on.client.receive()
        # Its next subscription names a response that the server never heard to be taken.
        grown = on.client.request(
            ECDS, *(("a", "b") if variant is Variant.SOTW else ("b",)), response_nonce=third.nonce
        )
        await on.client.send(grown)
        assert bodies(await on.client.receive()) == [b"bbb"]
        assert on.shelf.count("ack") == 1


@BOTH
async def test_a_nack_is_heard_by_the_server_alone(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(nack={"type": "ecds", "count": 1, "message": "no such module"})
        on.push()
        await on.client.acknowledge(await on.client.receive(), "a")
        await on.shelf.wait_for("nack")
        (stream,) = on.server.streams.values()
        assert stream.watches[ECDS].error == "no such module"
        assert stream.watches[ECDS].version_acked == "1"
        on.push()
        await on.client.acknowledge(await on.client.receive(), "a")
        await on.shelf.wait_for("ack", 2)
        assert stream.watches[ECDS].error is None


@BOTH
async def test_a_response_comes_behind_the_next_and_both_acks_are_understood(variant: Variant) -> None:
    async with world(variant) as on:
        await on.client.acknowledge(await on.client.ask(LDS))
        await on.shelf.wait_for("ack", 2)
        await on.inject(reorder={"type": "ecds", "count": 1})
        on.push(ECDS, LDS)
        told = [await on.client.receive(), await on.client.receive()]
        assert [response.type_url for response in told] == [LDS, ECDS]
        for response in told:
            await on.client.acknowledge(response, *(["a"] if response.type_url == ECDS else []))
        await on.shelf.wait_for("ack", 4)


@BOTH
async def test_an_older_response_of_the_same_type_comes_last_and_its_ack_is_stale(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(reorder={"type": "ecds", "behind": "ecds", "count": 1})
        on.push()
        await on.hit()
        on.push()
        told = [await on.client.receive(), await on.client.receive()]
        assert [version_of(response) for response in told] == ["3", "2"]
        for response in told:
            await on.client.acknowledge(response, "a")
        await on.shelf.wait_for("stale")
        on.push()
        last = await on.client.receive()
        await on.client.acknowledge(last, "a")
        await on.shelf.wait_for("ack", 3)
        assert version_of(last) == "4"


@BOTH
async def test_what_was_held_back_comes_when_the_fault_is_cleared(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(name="held", reorder={"type": "ecds"})
        on.push()
        await on.hit()
        await on.board.clear("held")
        assert version_of(await on.client.receive()) == "2"


@BOTH
async def test_a_stale_version_is_acknowledged_as_the_new_one(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(stale_version={"type": "ecds", "count": 1})
        on.push()
        stale = await on.client.receive()
        assert (version_of(stale), stale.nonce) == ("1", "n2")
        await on.client.acknowledge(stale, "a")
        await on.shelf.wait_for("ack", 2)
        on.push()
        assert version_of(await on.client.receive()) == "3"


@BOTH
async def test_a_duplicate_is_acknowledged_twice_and_answered_by_nothing(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(duplicate={"type": "ecds", "count": 1})
        on.push()
        told = [await on.client.receive(), await on.client.receive()]
        assert [response.nonce for response in told] == ["n2", "n2"]
        for response in told:
            await on.client.acknowledge(response, "a")
        await on.shelf.wait_for("ack", 3)
        on.push()
        assert (await on.client.receive()).nonce == "n3"


@BOTH
async def test_a_disconnect_ends_open_streams_and_the_client_may_come_again(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(disconnect={})
        assert await on.client.ended() == (grpc.StatusCode.UNAVAILABLE, "ended by the fault disconnect")
        await on.shelf.wait_for("closed")
        async with ads_client(on.link.address, variant) as again:
            assert version_of(await again.ask(ECDS, "a")) == "1"


@BOTH
async def test_a_disconnect_comes_behind_the_response_it_waited_for(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(disconnect={"after": 1, "count": 1, "code": "RESOURCE_EXHAUSTED"})
        on.push()
        assert version_of(await on.client.receive()) == "2"
        assert (await on.client.ended())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with ads_client(on.link.address, variant) as again:
            first = await again.ask(ECDS, "a")
            await again.acknowledge(first, "a")
            assert version_of(await again.ask(LDS)) == "2"


@BOTH
async def test_one_of_several_streams_may_be_hit(variant: Variant) -> None:
    async with world(variant) as on, ads_client(on.link.address, variant) as other:
        await other.ask(ECDS, "b")
        await on.inject(stale_version={"type": "ecds", "count": 1})
        on.push()
        versions = [version_of(await client.receive()) for client in (on.client, other)]
        assert sorted(versions) == ["1", "2"]


@BOTH
async def test_faults_of_bytes_meet_the_same_link(variant: Variant) -> None:
    async with world(variant) as on:
        await on.inject(latency={"latency": "1h"})
        await on.inject(duplicate={"type": "ecds"})
        on.push()
        await on.hit()
        await on.board.clear("latency")
        assert [version_of(await on.client.receive()) for _ in range(2)] == ["2", "2"]
        await on.inject(down={})
        assert (await on.client.ended())[0] is grpc.StatusCode.UNAVAILABLE
        await on.shelf.wait_for("closed")
        await on.board.clear("down")
        async with ads_client(on.link.address, variant) as again:
            assert version_of(await again.ask(LDS)) == "2"


@BOTH
async def test_a_server_that_is_not_there_is_unavailable(variant: Variant, unused_tcp_port: int) -> None:
    async with (
        FaultyLink("discovery-agent", "127.0.0.1:0", f"127.0.0.1:{unused_tcp_port}", xds=True) as link,
        ads_client(link.address, variant) as client,
    ):
        assert (await client.ended())[0] is grpc.StatusCode.UNAVAILABLE


@BOTH
async def test_a_servers_own_status_reaches_the_client(variant: Variant) -> None:
    async with world(variant) as on, grpc.aio.insecure_channel(on.link.address) as channel:
        call = channel.stream_stream(f"/{SERVICE}/{METHODS[variant]}")()
        await call.write(b"\xff\xff")
        assert await call.code() is grpc.StatusCode.INTERNAL
        assert "not a discovery request" in await call.details()


async def test_metadata_and_other_services_pass() -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: bytes, context: Any) -> bytes:
        seen.extend(context.invocation_metadata())
        return request[::-1]

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("other.Service", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            FaultyLink("discovery-agent", "127.0.0.1:0", f"127.0.0.1:{port}", xds=True) as link,
            grpc.aio.insecure_channel(link.address) as channel,
        ):
            assert await channel.unary_unary("/other.Service/Call")(b"abc", metadata=(("clusterid", "k8s"),)) == b"cba"
    finally:
        await server.stop(None)
    assert ("clusterid", "k8s") in seen


@BOTH
async def test_a_link_that_is_left_with_open_streams_leaves_no_task(variant: Variant) -> None:
    before = asyncio.all_tasks()
    async with world(variant) as on:
        await on.inject(reorder={"type": "ecds"})
        on.push()
        await on.hit()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not {task.get_name() for task in left if task.get_name().startswith(("link", "xds-fault"))}
    if left:
        # gRPC's own are cancelled, and may need another turn of the loop.
        _, pending = await asyncio.wait(left, timeout=PATIENCE_S)
        assert not pending

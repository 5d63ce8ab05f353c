"""A link and its faults, over real sockets: bytes, order and ends. No fault is measured in time."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from sim.errors import EnvironmentProblem
from sim.scenario.faults import ActiveFault
from sim.scenario.faults.network import (
    Bandwidth,
    Down,
    Latency,
    LimitData,
    Link,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)
from tests.wire.link_rig import Network, Peer, network

#: Longer than any test.
FOR_EVER = "1h"
NOISE = random.Random(7).randbytes(3_000_000)


def fault(kind: Any, name: str = "f", **fields: Any) -> ActiveFault[Any]:
    return ActiveFault(name, kind, **fields)


async def exchange(one: Peer, other: Peer, data: bytes) -> bytes:
    """What `other` receives when `one` sends this."""
    async with asyncio.TaskGroup() as tasks:
        received = tasks.create_task(other.receive(len(data)))
        tasks.create_task(one.send(data))
    return received.result()


async def test_bytes_pass_unchanged_both_ways_at_once() -> None:
    async with network() as net:
        client, server = await net.connect()
        async with asyncio.TaskGroup() as tasks:
            up = tasks.create_task(exchange(client, server, NOISE))
            down = tasks.create_task(exchange(server, client, NOISE[::-1]))
        assert up.result() == NOISE
        assert down.result() == NOISE[::-1]


async def test_a_link_may_be_a_unix_socket_on_either_side(tmp_path: Path) -> None:
    async with network(f"unix:{tmp_path}/a", f"unix:{tmp_path}/b") as net:
        assert net.link.address == f"unix:{tmp_path}/a"
        client, server = await net.connect()
        assert await exchange(client, server, b"question") == b"question"
        assert await exchange(server, client, b"answer") == b"answer"
    assert not (tmp_path / "a").exists()


async def test_a_client_that_has_no_more_to_say_still_gets_its_answer() -> None:
    async with network() as net:
        client, server = await net.connect()
        await client.send(b"question")
        client.half_close()
        assert await server.rest() == b"question"
        await server.send(b"answer")
        server.half_close()
        assert await client.rest() == b"answer"


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_of_one_end_is_a_reset_of_the_other(who: str) -> None:
    async with network() as net:
        client, server = await net.connect()
        one, other = (client, server) if who == "client" else (server, client)
        assert await exchange(one, other, b"x") == b"x"
        linger = b"\x01\0\0\0\0\0\0\0"
        one.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        one.writer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await other.rest()


async def test_a_server_that_is_not_there_closes_the_clients_connection(unused_tcp_port: int) -> None:
    async with Link("127.0.0.1:0", f"127.0.0.1:{unused_tcp_port}") as link:
        host, _, port = link.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_taken_address_is_the_environments_problem() -> None:
    async with network() as net:
        with pytest.raises(EnvironmentProblem, match="can't listen"):
            async with Link(net.link.address, "127.0.0.1:1"):
                pass


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(EnvironmentProblem, match="write host:port"):
        async with Link("somewhere", "127.0.0.1:1"):
            pass


async def test_a_link_that_is_left_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Latency(latency=FOR_EVER)))
        await exchange(client, server, b"x")
        await server.send(NOISE)
        await net.link.__aexit__(None, None, None)
        assert not {task for task in asyncio.all_tasks() - before if task.get_name().startswith("link")}
        with pytest.raises(ConnectionRefusedError):
            await net.client()
    assert asyncio.all_tasks() == before


async def test_latency_holds_one_direction_until_it_is_cleared() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Latency(latency=FOR_EVER)))
        await server.send(b"late")
        assert await exchange(client, server, b"in time") == b"in time"
        await net.link.remove("f")
        await server.send(b" and after it")
        assert await client.receive(17) == b"late and after it"


async def test_a_short_latency_comes_to_an_end_by_itself() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Latency(latency="1ms", jitter="1ms"), stream="upstream"))
        assert await exchange(client, server, NOISE) == NOISE
        client.half_close()
        assert await server.rest() == b""


async def test_a_fault_also_meets_connections_that_open_later() -> None:
    async with network() as net:
        await net.link.add(fault(LimitData(bytes=3)))
        client, server = await net.connect()
        await server.send(b"12345")
        assert await client.rest() == b"123"


async def test_bandwidth_lets_a_little_through_and_the_rest_when_it_is_cleared() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Bandwidth(rate=1)))
        sending = asyncio.create_task(server.send(NOISE))
        assert await client.receive(100) == NOISE[:100]
        await net.link.clear()
        assert await client.receive(len(NOISE) - 100) == NOISE[100:]
        await sending


async def test_slices_come_one_by_one_and_the_rest_when_it_is_cleared() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Slicer(average_size=10, size_variation=3, delay=FOR_EVER)))
        await server.send(NOISE[:1000])
        first = await client.receive(1)
        await net.link.remove("f")
        assert first + await client.receive(999) == NOISE[:1000]


async def test_slices_without_a_pause_hold_all_bytes() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Slicer(average_size=50, size_variation=20)))
        assert await exchange(server, client, NOISE[:300_000]) == NOISE[:300_000]


async def test_a_slow_close_holds_the_end_alone() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(SlowClose(delay=FOR_EVER), stream="upstream"))
        await client.send(b"last words")
        client.half_close()
        assert await server.receive(10) == b"last words"
        assert await exchange(server, client, b"still here") == b"still here"
        assert not server.has_ended
        await net.link.remove("f")
        assert await server.rest() == b""


async def test_a_timeout_of_none_swallows_until_it_is_cleared_and_closes_then() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Timeout(timeout="0ms")))
        await server.send(b"lost")
        assert await exchange(client, server, b"heard") == b"heard"
        assert not client.has_ended
        await net.link.remove("f")
        assert await client.rest() == b""


async def test_a_timeout_closes_by_itself() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Timeout(timeout="10ms")))
        await server.send(b"lost")
        assert await client.rest() == b""
        assert await server.rest() == b""


async def test_a_timeout_swallows_what_a_latency_still_holds() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Latency(latency=FOR_EVER), "slow"))
        await server.send(b"held, then lost")
        assert await exchange(client, server, b"x") == b"x"
        await net.link.add(fault(Timeout(timeout="0ms"), "silent"))
        await net.link.remove("slow")
        assert await exchange(client, server, b"y") == b"y"
        await net.link.remove("silent")
        assert await client.rest() == b""


@pytest.mark.parametrize("after", ["0ms", "1ms"])
async def test_a_reset_peer_resets_both_ends_at_the_first_data(after: str) -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(ResetPeer(timeout=after)))
        assert await exchange(client, server, b"the other way") == b"the other way"
        await server.send(b"lost")
        for peer in (client, server):
            with pytest.raises(ConnectionResetError):
                await peer.rest()


async def test_a_reset_that_is_on_its_way_is_not_called_back() -> None:
    async with network() as net:
        client, server = await net.connect()
        told: list[dict[str, Any]] = []
        resetting = fault(ResetPeer(timeout="50ms"))
        resetting.tell = lambda _, what: told.append(what)
        await net.link.add(resetting)
        await server.send(b"lost")
        assert await exchange(client, server, b"x") == b"x"
        await net.link.remove("f")
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_on_a_unix_socket_a_reset_closes_without_the_data(tmp_path: Path) -> None:
    async with network(f"unix:{tmp_path}/a", f"unix:{tmp_path}/b") as net:
        client, server = await net.connect()
        await net.link.add(fault(ResetPeer()))
        await server.send(b"lost")
        assert await client.rest() == b""


async def test_limited_data_ends_after_exactly_so_many_bytes() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(LimitData(bytes="100KB")))
        server.writer.write(NOISE)
        assert await client.rest() == NOISE[:100_000]


async def test_a_limit_behind_slices_counts_what_comes_out_of_them() -> None:
    async with network() as net:
        client, server = await net.connect()
        await net.link.add(fault(Slicer(average_size=7, delay="0.1ms"), "sliced"))
        await net.link.add(fault(LimitData(bytes=20), "limited"))
        await server.send(NOISE[:100])
        assert await client.rest() == NOISE[:20]


@pytest.mark.parametrize("unix", [False, True])
async def test_down_refuses_and_closes_until_it_is_cleared_and_the_address_stays(unix: bool, tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/a" if unix else "127.0.0.1:0"
    async with network(listen) as net:
        address = net.link.address
        client, server = await net.connect()
        down = fault(Down())
        await net.link.add(down)
        assert await client.rest() == b""
        assert await server.rest() == b""
        assert down.hits == 1
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await net.client()
        await net.link.remove("f")
        assert net.link.address == address
        client, server = await net.connect()
        assert await exchange(client, server, b"again") == b"again"


async def test_two_downs_are_over_when_both_are() -> None:
    async with network() as net:
        await net.link.add(fault(Down(), "one"))
        await net.link.add(fault(Down(), "two"))
        await net.link.remove("one")
        with pytest.raises(ConnectionRefusedError):
            await net.client()
        await net.link.clear()
        await net.connect()


async def hit_connections(net: Network, seed: str, toxicity: float) -> list[int]:
    """Which of twelve connections a fault hits."""
    told: list[int] = []
    limit = fault(LimitData(bytes=1), toxicity=toxicity, seed=seed)
    limit.tell = lambda _, what: told.append(what["connection"])
    await net.link.add(limit)
    for _ in range(12):
        client, server = await net.connect()
        await server.send(b"12")
        assert await client.receive(1) == b"1"
        server.half_close()
        await client.rest()
    return told


async def test_the_same_seed_hits_the_same_connections() -> None:
    async with network() as one, network() as two, network() as three:
        first = await hit_connections(one, "42", 0.5)
        assert 0 < len(first) < 12
        assert await hit_connections(two, "42", 0.5) == first
        assert await hit_connections(three, "43", 0.5) != first


@pytest.mark.parametrize(("toxicity", "hits"), [(0.0, 0), (1.0, 12)])
async def test_toxicity_is_a_share_from_none_to_all(toxicity: float, hits: int) -> None:
    async with network() as net:
        assert len(await hit_connections(net, "1", toxicity)) == hits


async def test_a_fault_tells_of_a_connection_once_and_only_when_it_changed_something() -> None:
    async with network() as net:
        told: list[dict[str, Any]] = []
        limit = fault(LimitData(bytes=4))
        limit.tell = lambda _, what: told.append(what)
        await net.link.add(limit)
        client, server = await net.connect()
        assert await exchange(server, client, b"123") == b"123"
        assert told == []
        await server.send(b"456")
        assert await client.rest() == b"4"
        assert told == [{"connection": 1, "direction": "downstream"}]


async def test_no_byte_is_lost_or_moved_while_faults_come_and_go() -> None:
    kinds: list[Toxic] = [
        Latency(latency="2ms", jitter="2ms"),
        Slicer(average_size=3000, size_variation=1000),
        Bandwidth(rate=20_000),
        SlowClose(delay="1ms"),
    ]
    lots = random.Random(3)
    async with network() as net:
        client, server = await net.connect()

        async def send() -> None:
            for begin in range(0, len(NOISE), 20_000):
                await server.send(NOISE[begin : begin + 20_000])
                await asyncio.sleep(0)
            server.half_close()

        async def meddle() -> None:
            for turn in range(200):
                await net.link.add(fault(lots.choice(kinds), f"f{turn}"))
                await asyncio.sleep(0.0005)
                if turn >= 3:
                    await net.link.remove(f"f{turn - 3}")
            await net.link.clear()

        async with asyncio.TaskGroup() as tasks:
            received = tasks.create_task(client.rest())
            tasks.create_task(send())
            tasks.create_task(meddle())
        assert received.result() == NOISE

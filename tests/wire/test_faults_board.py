"""The board: names, what a run has and has not, and what the trace is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sim.errors import StepFailed
from sim.oci import Registry
from sim.oci.registry.faults import PullFaults
from sim.scenario.faults import FaultBoard, FaultSpec, FaultyLink
from sim.scenario.faults.board import MOST_HIT_EVENTS
from sim.trace import Trace


def spec(**fields: Any) -> FaultSpec:
    return FaultSpec.model_validate(fields)


LATENCY = {"on": "agent-registry", "latency": {"latency": "1ms"}}


@pytest.fixture
async def trace() -> Trace:
    return Trace()


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    """A server that says hello and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def link(upstream: str) -> AsyncIterator[FaultyLink]:
    async with FaultyLink("agent-registry", "127.0.0.1:0", upstream) as made:
        yield made


async def hello(link: FaultyLink) -> bytes:
    host, _, port = link.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


def told(trace: Trace) -> list[tuple[str, dict[str, Any]]]:
    return [(event.event, event.data) for event in trace]


async def test_the_trace_tells_of_a_fault_from_beginning_to_end(trace: Trace, link: FaultyLink) -> None:
    board = FaultBoard(trace, {"agent-registry": link})
    await board.inject(spec(**LATENCY, name="slow", toxicity=1, stream="downstream"))
    assert list(board.active) == ["slow"]
    assert await hello(link) == b"hello"
    await board.clear("slow")
    assert not board.active
    who = {"fault": "slow", "kind": "latency", "on": "agent-registry"}
    assert told(trace) == [
        (
            "fault.injected",
            {
                **who,
                "attributes": {"latency": "1ms", "jitter": "0ms"},
                "stream": "downstream",
                "toxicity": 1.0,
            },
        ),
        ("fault.hit", {**who, "connection": 1, "direction": "downstream"}),
        ("fault.cleared", {**who, "hits": 1}),
    ]


async def test_a_name_that_is_taken_is_refused_until_it_is_cleared(trace: Trace, link: FaultyLink) -> None:
    board = FaultBoard(trace, {"agent-registry": link})
    await board.inject(spec(**LATENCY))
    with pytest.raises(StepFailed, match="the fault latency is in force already") as refused:
        await board.inject(spec(**LATENCY))
    assert refused.value.hint == "clear it first, or give this one a name: latency-2"
    await board.clear("latency")
    await board.inject(spec(**LATENCY))
    assert [event.event for event in trace] == ["fault.injected", "fault.cleared", "fault.injected"]


async def test_what_is_not_in_force_can_not_be_cleared(trace: Trace, link: FaultyLink) -> None:
    board = FaultBoard(trace, {"agent-registry": link})
    with pytest.raises(StepFailed, match="there is no fault slow") as refused:
        await board.clear("slow")
    assert refused.value.hint == "no fault is in force"
    await board.inject(spec(**LATENCY))
    with pytest.raises(StepFailed) as refused:
        await board.clear("slow")
    assert refused.value.hint == "in force are latency"


async def test_all_clears_whatever_there_is(trace: Trace, link: FaultyLink, tmp_path: Path) -> None:
    async with Registry(tmp_path) as registry:
        board = FaultBoard(trace, {"agent-registry": link}, PullFaults(registry.store))
        await board.clear("all")
        await board.inject(spec(**LATENCY))
        await board.inject(spec(on="registry", status={"code": 503}))
        await board.clear("all")
        assert not board.active
        assert [event.data["fault"] for event in trace if event.event == "fault.cleared"] == ["latency", "status"]


async def test_what_a_run_has_not_can_not_go_wrong(trace: Trace, link: FaultyLink) -> None:
    board = FaultBoard(trace, {"agent-registry": link})
    for fields, words in (
        ({"on": "registry", "status": {"code": 503}}, "this run has no registry of its own"),
        ({"on": "agent-envoy", "down": {}}, "this run has no link agent-envoy"),
    ):
        with pytest.raises(StepFailed, match=words) as refused:
            await board.inject(spec(**fields))
        assert refused.value.hint
    assert not board.active
    assert not trace.events


async def test_a_link_without_xds_takes_no_fault_of_messages(trace: Trace, upstream: str) -> None:
    async with FaultyLink("discovery-agent", "127.0.0.1:0", upstream) as link:
        board = FaultBoard(trace, {"discovery-agent": link})
        with pytest.raises(StepFailed, match="understands no xDS"):
            await board.inject(spec(on="discovery-agent", disconnect={}))
        assert not board.active


async def test_hits_are_told_up_to_a_limit_and_counted_beyond_it(trace: Trace, link: FaultyLink) -> None:
    board = FaultBoard(trace, {"agent-registry": link})
    await board.inject(spec(on="agent-registry", limit_data={"bytes": 1}))
    for _ in range(MOST_HIT_EVENTS + 5):
        assert await hello(link) == b"h"
    await board.clear("all")
    assert sum(event.event == "fault.hit" for event in trace) == MOST_HIT_EVENTS
    assert trace.events[-1].data["hits"] == MOST_HIT_EVENTS + 5


async def hit_by(upstream: str, seed: int, turns: int = 1) -> list[list[int]]:
    """The connections that a fault hits in each of its turns, out of sixteen."""
    trace = Trace()
    async with FaultyLink("agent-registry", "127.0.0.1:0", upstream) as link:
        board = FaultBoard(trace, {"agent-registry": link}, seed=seed)
        hits = []
        for turn in range(turns):
            await board.inject(spec(on="agent-registry", limit_data={"bytes": 1}, toxicity=0.5))
            said = [await hello(link) for _ in range(16)]
            await board.clear("all")
            hits.append([number for number, word in enumerate(said) if word == b"h"])
            told = [e.data["connection"] - 1 - 16 * turn for e in trace if e.event == "fault.hit"]
            assert told[-len(hits[-1]) :] == hits[-1]
        return hits


async def test_a_run_can_be_repeated_by_its_seed(upstream: str) -> None:
    first = await hit_by(upstream, 7, turns=2)
    assert await hit_by(upstream, 7, turns=2) == first
    assert first[0] != first[1]
    assert await hit_by(upstream, 8, turns=2) != first


async def test_a_spent_fault_stays_under_its_name_and_hits_nothing(trace: Trace, tmp_path: Path) -> None:
    async with Registry(tmp_path) as registry:
        faults = PullFaults(registry.store)
        registry.faults.append(faults)
        board = FaultBoard(trace, registry=faults)
        await board.inject(spec(on="registry", status={"code": 503, "count": 1}))
        async with FaultyLink("agent-registry", "127.0.0.1:0", registry.address) as link:
            host, _, port = link.address.rpartition(":")
            answers = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET /v2/ HTTP/1.0\r\n\r\n")
                answers.append((await reader.read()).split()[1])
                writer.close()
                await writer.wait_closed()
        assert answers == [b"503", b"200"]
        assert board.active["status"].spent
        await board.clear("status")
    assert [(event.event, event.data.get("left")) for event in trace] == [
        ("fault.injected", None),
        ("fault.hit", 0),
        ("fault.cleared", None),
    ]

"""The faults of a run with several gateways, each behind a link of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from sim.errors import StepFailed
from sim.scenario.faults import FaultBoard, FaultSpec, FaultyLink
from sim.scenario.run_faults import RunFaults
from sim.trace import Trace


@asynccontextmanager
async def two_gateways(seed: int = 1) -> AsyncIterator[tuple[RunFaults, dict[str, FaultyLink], Trace]]:
    """A server that answers `?` by `!`, and a link to it for each gateway."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            writer.write(b"!")
        writer.close()

    trace = Trace()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await asyncio.start_server(answer, "127.0.0.1", 0))
        host, port = server.sockets[0].getsockname()
        links, boards = {}, {}
        for name in ("east", "west"):
            link = FaultyLink("agent-registry", "127.0.0.1:0", f"{host}:{port}")
            links[name] = await stack.enter_async_context(link)
            own = trace.tagged(gateway=name)
            boards[name] = FaultBoard(own, {"agent-registry": links[name]}, seed=f"{seed}/{name}")
        yield RunFaults(FaultBoard(trace), boards), links, trace


async def reaches(link: FaultyLink) -> bool:
    host, _, port = link.address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.write(b"?")
    try:
        return await reader.read(1) == b"!"
    except OSError:
        return False
    finally:
        writer.close()


def fault(**fields: Any) -> FaultSpec:
    return FaultSpec.model_validate({"on": "agent-registry", **fields})


async def test_a_fault_hits_every_gateway_or_the_one_that_is_named() -> None:
    async with two_gateways() as (faults, links, trace):
        await faults.inject(fault(down={}))
        assert [await reaches(link) for link in links.values()] == [False, False]
        await faults.clear("down")
        assert [await reaches(link) for link in links.values()] == [True, True]
        await faults.inject(fault(down={}), "west")
        assert [await reaches(link) for link in links.values()] == [True, False]
        await faults.clear_all()
        assert [await reaches(link) for link in links.values()] == [True, True]
    told = [(event.event, event.data["gateway"]) for event in trace.events if event.event != "fault.hit"]
    assert told == [
        *(("fault.injected", "east"), ("fault.injected", "west")),
        *(("fault.cleared", "east"), ("fault.cleared", "west")),
        *(("fault.injected", "west"), ("fault.cleared", "west")),
    ]


async def test_a_name_is_in_force_once_in_a_run_whichever_gateway_it_is_on() -> None:
    async with two_gateways() as (faults, _, _):
        await faults.inject(fault(name="slow", bandwidth={"rate": 1}), "east")
        with pytest.raises(StepFailed, match="slow is in force already"):
            await faults.inject(fault(name="slow", bandwidth={"rate": 2}), "west")
        with pytest.raises(StepFailed, match="no fault fast") as unknown:
            await faults.clear("fast")
        assert "in force are slow" in str(unknown.value)
        assert faults.active == ["slow"]


async def test_what_all_share_is_one_place_and_unknown_gateways_have_none() -> None:
    async with two_gateways() as (faults, _, _):
        with pytest.raises(StepFailed, match="no registry of its own"):
            await faults.inject(FaultSpec.model_validate({"on": "registry", "status": {"code": 503}}))
        with pytest.raises(StepFailed, match="there is no gateway north"):
            await faults.inject(fault(down={}), "north")


async def test_gateways_draw_lots_of_their_own_and_the_same_seed_draws_the_same() -> None:
    async def hit(seed: int) -> list[list[bool]]:
        async with two_gateways(seed) as (faults, links, _):
            await faults.inject(fault(reset_peer={}, toxicity=0.5))
            return [[await reaches(link) for _ in range(12)] for link in links.values()]

    first = await hit(1)
    assert first == await hit(1)
    assert first != await hit(2)
    east, west = first
    assert east != west
    assert {*east, *west} == {True, False}

"""Playing what a client asked to a server, and holding what it answers against the recording."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from sim.errors import EnvironmentProblem
from sim.scenario.replay.difference import MISSING, Difference, first_difference
from sim.scenario.replay.script import (
    Pace,
    Request,
    Script,
    described,
    parse_request,
    parse_response,
    response_view,
)
from sim.xds import DiscoveryRequest, channel, open_stream
from sim.xds.client import Call


async def play_client(scripts: Sequence[Script], address: str, pace: Pace) -> list[Difference]:
    """Play every recorded stream to the server, side by side as they were; the first difference of each.

    Raises EnvironmentProblem when nobody listens there in time, grpc's AioRpcError when the server breaks a stream.
    """
    if not scripts:
        return []
    begin_ns = min(script.lines[0].t_ns for script in scripts)
    async with channel(address) as connection:
        try:
            async with asyncio.timeout(pace.within_s):
                await connection.channel_ready()
        except TimeoutError:
            raise EnvironmentProblem(
                f"nobody listens at {address}", hint="start the server first, or give it more time by --within"
            ) from None
        async with asyncio.TaskGroup() as tasks:
            played = [tasks.create_task(_play(script, connection, pace, begin_ns)) for script in scripts]
    return [found for task in played if (found := task.result()) is not None]


async def _play(script: Script, connection: grpc.aio.Channel, pace: Pace, begin_ns: int) -> Difference | None:
    await pace.gap(script.lines[0].t_ns - begin_ns)
    call = open_stream(connection, script.variant)
    try:
        return await _Played(script, call, pace).run()
    finally:
        call.cancel()


class _Played:
    """One stream as it goes."""

    def __init__(self, script: Script, call: Call, pace: Pace) -> None:
        self._script = script
        self._call = call
        self._pace = pace
        #: By type, in the order of their coming.
        self._received: dict[str, list[Any]] = {}
        self._count = 0
        self._news = asyncio.Event()

    async def run(self) -> Difference | None:
        reading = asyncio.create_task(self._read(), name="replay-read")
        try:
            before_ns = self._script.lines[0].t_ns
            for index, line in enumerate(self._script.lines):
                if line.speaker == "client":
                    request = parse_request(self._script.variant, line.body)
                    if not await self._can_follow(request, self._script.before(index, "server"), reading):
                        break
                    await self._pace.gap(line.t_ns - before_ns)
                    await self._call.write(self._translated(request).SerializeToString())
                before_ns = line.t_ns
            await self._until(lambda: self._count >= len(self._script.of("server")), reading)
            return self._compare()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                response = parse_response(self._script.variant, message)
                self._received.setdefault(response.type_url, []).append(response)
                self._count += 1
                self._news.set()
        finally:
            self._news.set()

    async def _can_follow(self, request: Request, before: int, reading: asyncio.Task[None]) -> bool:
        """Wait for the response that the request answers; for one that answers none, for as many as came before it."""
        answered = self._script.nonces.get(request.response_nonce)
        if answered is None:
            return await self._until(lambda: self._count >= before, reading)
        type_url, position = answered
        return await self._until(lambda: len(self._received.get(type_url, ())) > position, reading)

    async def _until(self, there: Any, reading: asyncio.Task[None]) -> bool:
        try:
            async with asyncio.timeout(self._pace.within_s):
                while not there():
                    if reading.done():
                        reading.result()
                        return False
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _translated(self, request: Request) -> Request:
        """The request with the nonce and version that this server gave, in the place of the recorded ones."""
        answered = self._script.nonces.get(request.response_nonce)
        if answered is not None:
            type_url, position = answered
            response = self._received[type_url][position]
            request.response_nonce = response.nonce
            if isinstance(request, DiscoveryRequest) and request.version_info and not request.HasField("error_detail"):
                request.version_info = response.version_info
        return request

    def _compare(self) -> Difference | None:
        """Responses are compared type by type, resource by resource."""
        seen: Counter[str] = Counter()
        for line in self._script.of("server"):
            recorded = parse_response(self._script.variant, line.body)
            position = seen[recorded.type_url]
            seen[recorded.type_url] += 1
            there = self._received.get(recorded.type_url, [])
            now = response_view(there[position]) if position < len(there) else MISSING
            found = first_difference(response_view(recorded), now)
            if found is not None:
                name = described("server", recorded.type_url, position)
                return Difference(self._script.number, name, *found)
        for type_url, responses in self._received.items():
            if len(responses) > seen[type_url]:
                name = described("server", type_url, seen[type_url])
                extra = response_view(responses[seen[type_url]])
                return Difference(self._script.number, name, "(all of it)", MISSING, extra)
        return None

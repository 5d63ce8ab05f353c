"""Playing what a server said to whoever connects, and holding what they ask against the recording."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from sim.scenario.replay.difference import MISSING, Difference, first_difference
from sim.scenario.replay.script import Pace, Script, described, parse_request, request_view
from sim.xds import METHODS, SERVICE, Variant, serving


class PlayedServer:
    """Serves each recorded stream once, to the next client of its variant. `begun` is set when the first is asked for,
    `done` when all have been played.

    `differences` has the first of each stream.
    """

    def __init__(self, scripts: Sequence[Script], pace: Pace) -> None:
        self.differences: list[Difference] = []
        self.begun = asyncio.Event()
        self.done = asyncio.Event()
        self.address = ""
        self._waiting = list(scripts)
        self._open = len(scripts)
        self._pace = pace
        self._handlers: set[asyncio.Task[Any]] = set()
        if not scripts:
            self.done.set()

    @property
    def unasked(self) -> int:
        """How many of the streams no client has asked for yet."""
        return len(self._waiting)

    def handlers(self) -> grpc.GenericRpcHandler:
        def handler(variant: Variant) -> grpc.RpcMethodHandler:
            async def serve(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
                await self._serve(variant, context)

            return grpc.stream_stream_rpc_method_handler(serve)

        return grpc.method_handlers_generic_handler(SERVICE, {METHODS[each]: handler(each) for each in Variant})

    async def drain(self) -> None:
        """Cancel and await the streams that are open."""
        for task in tuple(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve(self, variant: Variant, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        script = next((each for each in self._waiting if each.variant is variant), None)
        if script is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"no {variant} stream of the recording is left")
            return
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._waiting.remove(script)
        self.begun.set()
        try:
            difference = await _Played(script, context, self._pace).run()
            if difference is not None:
                self.differences.append(difference)
        finally:
            self._handlers.discard(task)
            self._open -= 1
            if not self._open:
                self.done.set()
        # The client may hold on to what it has; the stream stays until it goes, or we do.
        await asyncio.Event().wait()


class _Played:
    """One stream as it goes."""

    def __init__(self, script: Script, context: grpc.aio.ServicerContext[bytes, bytes], pace: Pace) -> None:
        self._script = script
        self._context = context
        self._pace = pace
        self._received: list[bytes] = []
        self._news = asyncio.Event()

    async def run(self) -> Difference | None:
        reading = asyncio.create_task(self._read(), name="replay-read")
        try:
            before_ns = self._script.lines[0].t_ns
            for index, line in enumerate(self._script.lines):
                if line.speaker == "client":
                    if not await self._until(self._script.before(index, "client") + 1):
                        break
                else:
                    await self._pace.gap(line.t_ns - before_ns)
                    await self._context.write(line.body)
                before_ns = line.t_ns
            return self._compare()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        while (message := await self._context.read()) is not grpc.aio.EOF:
            self._received.append(message)
            self._news.set()

    async def _until(self, count: int) -> bool:
        """Wait for so many requests; False when they do not come in time."""
        try:
            async with asyncio.timeout(self._pace.within_s):
                while len(self._received) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _compare(self) -> Difference | None:
        """Requests are compared type by type: in what order two types are asked for is nobody's business."""
        recorded = [parse_request(self._script.variant, line.body) for line in self._script.of("client")]
        actual = [parse_request(self._script.variant, body) for body in self._received]
        seen: Counter[str] = Counter()
        by_type: dict[str, list[Any]] = {}
        for request in actual:
            by_type.setdefault(request.type_url, []).append(request_view(request, self._answered(request)))
        for request in recorded:
            position = seen[request.type_url]
            seen[request.type_url] += 1
            there = by_type.get(request.type_url, [])
            then = request_view(request, self._answered(request))
            now = there[position] if position < len(there) else MISSING
            found = first_difference(then, now)
            if found is not None:
                name = described("client", request.type_url, position)
                return Difference(self._script.number, name, *found)
        for type_url, views in by_type.items():
            if len(views) > seen[type_url]:
                name = described("client", type_url, seen[type_url])
                return Difference(self._script.number, name, "(all of it)", MISSING, views[seen[type_url]])
        return None

    def _answered(self, request: Any) -> int | None:
        found = self._script.nonces.get(request.response_nonce)
        return None if found is None else found[1] + 1


@asynccontextmanager
async def play_server(scripts: Sequence[Script], listen: str, pace: Pace) -> AsyncIterator[PlayedServer]:
    """The played server, up while inside. Raises EnvironmentProblem when it can't listen."""
    played = PlayedServer(scripts, pace)
    async with serving(played.handlers(), listen, played.drain) as played.address:
        yield played

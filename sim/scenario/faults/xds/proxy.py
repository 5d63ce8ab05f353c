"""A gRPC proxy in front of an ADS server: bytes both ways, and faults of single messages."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self

import grpc
import grpc.aio

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.conversation import Conversation
from sim.scenario.faults.xds.effect import XdsFault
from sim.scenario.faults.xds.message import Break, Request, Response
from sim.xds import METHODS, SERVICE, Variant, channel, serving

#: grpc.aio's context of a call that is served, and a call that was made; the library has no types.
Context = Any
Call = Any

_VARIANTS = {f"/{SERVICE}/{method}": variant for variant, method in METHODS.items()}


class Hold(Protocol):
    """Asked before each message of an ADS stream crosses; it crosses when that returns."""

    async def request(self, message: Request) -> None: ...
    async def response(self, message: Response) -> None: ...


class XdsProxy:
    """Passes every gRPC call to `upstream`; faults act on ADS streams, state of the world and delta.

    Each call has a connection of its own to the server, which is opened when the client's comes, and ends as that one
    ends. An async context manager: entered, it listens on `address`; left, it is gone. Raises EnvironmentProblem when
    it can't listen.
    """

    def __init__(self, listen: str, upstream: str, hold: Hold | None = None) -> None:
        self.address = listen
        self.upstream = upstream
        self._hold = hold
        self._faults: dict[str, ActiveFault[XdsFault]] = {}
        self._streams: dict[int, _Stream] = {}
        self._numbers = itertools.count(1)
        self._serving: set[asyncio.Task[Any]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.address = await self._stack.enter_async_context(serving(_Handlers(self), self.address, self._drain))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def add(self, fault: ActiveFault[XdsFault]) -> None:
        """Let an xDS fault act on open streams and on later ones; several act in the order they came in."""
        self._faults[fault.name] = fault
        for stream in tuple(self._streams.values()):
            stream.add(fault)

    def remove(self, name: str) -> None:
        """End a fault. What it held back goes on at once. Raises KeyError when there is none of this name."""
        del self._faults[name]
        for stream in tuple(self._streams.values()):
            stream.remove(name)

    async def serve(self, method: str, context: Context) -> None:
        """Carry one call."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        stream: _Stream | None = None
        try:
            async with channel(self.upstream) as connection:
                metadata = [pair for pair in context.invocation_metadata() or () if _is_the_clients(pair[0])]
                call = connection.stream_stream(method)(metadata=metadata, wait_for_ready=False)
                stream = _Stream(next(self._numbers), _VARIANTS.get(method), context, call, self._hold)
                if stream.conversation is not None:
                    self._streams[stream.number] = stream
                    for fault in self._faults.values():
                        stream.conversation.add(fault, to_open_stream=False)
                ended = await stream.run()
        finally:
            if stream is not None:
                self._streams.pop(stream.number, None)
            self._serving.discard(task)
        if ended.code is not grpc.StatusCode.OK:
            await context.abort(ended.code, ended.details)

    async def _drain(self) -> None:
        """Cancel and await the calls that `server.stop` leaves running."""
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


class _Handlers:
    """Every method of every service, as gRPC asks a generic handler for it."""

    def __init__(self, proxy: XdsProxy) -> None:
        self._proxy = proxy

    def service(self, call: Any) -> grpc.RpcMethodHandler:
        method: str = call.method

        async def serve(_: object, context: Context) -> None:
            await self._proxy.serve(method, context)

        return grpc.stream_stream_rpc_method_handler(serve)


class _Ended(Exception):
    """The call is over."""

    def __init__(self, how: Break) -> None:
        super().__init__(how.details)
        self.how = how


class _Stream:
    """One call, from the client to the server and back. It has a conversation if it is one of ADS."""

    def __init__(
        self, number: int, variant: Variant | None, context: Context, call: Call, hold: Hold | None = None
    ) -> None:
        self.number = number
        self.conversation = None if variant is None else Conversation(number, variant)
        self._hold = hold
        self._context = context
        self._call = call
        # Written by one task, because a cleared fault may also have something to send. Not bounded: it holds no more
        # than the server sends without an acknowledgement.
        self._to_client: asyncio.Queue[bytes | Break] = asyncio.Queue()

    def add(self, fault: ActiveFault[XdsFault]) -> None:
        if self.conversation is not None:
            self._send(self.conversation.add(fault, to_open_stream=True))

    def remove(self, name: str) -> None:
        if self.conversation is not None:
            self._send(self.conversation.remove(name))

    def _send(self, items: list[bytes | Break]) -> None:
        for item in items:
            self._to_client.put_nowait(item)

    async def run(self) -> Break:
        """Carry messages until a side, or a fault, ends the call; how it is to end for the client."""
        how = Break(grpc.StatusCode.OK, "")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._upstream(), name=f"xds-fault-up-{self.number}")
                tasks.create_task(self._downstream(), name=f"xds-fault-down-{self.number}")
                tasks.create_task(self._write(), name=f"xds-fault-write-{self.number}")
        except* _Ended as ended:
            # If more than one end came at once, a fault's or the server's says the most.
            found = [error.how for error in ended.exceptions if isinstance(error, _Ended)]
            how = next((one for one in found if one.code is not grpc.StatusCode.OK), how)
        finally:
            self._call.cancel()
        return how

    async def _upstream(self) -> None:
        while (message := await self._context.read()) is not grpc.aio.EOF:
            requests = [message] if self.conversation is None else self.conversation.request(message)
            if self._hold is not None and self.conversation is not None and self.conversation.asked is not None:
                await self._hold.request(self.conversation.asked)
            for request in requests:
                if not await self._written(request):
                    return
        await self._call.done_writing()

    async def _written(self, request: bytes) -> bool:
        """Whether the server could be told; where not, it has ended the call, and whoever reads it tells the client."""
        try:
            await self._call.write(request)
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            return False
        return True

    async def _downstream(self) -> None:
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                if self._hold is not None and self.conversation is not None:
                    read = self.conversation.read(message)
                    if read is not None:
                        await self._hold.response(read)
                self._send([message] if self.conversation is None else self.conversation.response(message))
            code, details = await self._call.code(), await self._call.details()
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details()
        self._to_client.put_nowait(Break(code, details or ""))

    async def _write(self) -> None:
        while not isinstance(item := await self._to_client.get(), Break):
            try:
                await self._context.write(item)
            except grpc.aio.BaseError:
                # The client is gone, and gRPC has not cancelled this call yet.
                item = Break(grpc.StatusCode.OK, "")
                break
        raise _Ended(item)


def _is_the_clients(key: str) -> bool:
    """Whether a metadata key is the client's own word, and not the transport's."""
    return not key.startswith((":", "grpc-")) and key not in ("user-agent", "content-type", "te")

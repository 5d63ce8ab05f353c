"""An ADS server on grpc.aio, both variants on one port. Resources come from a `Source`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from sim.errors import EnvironmentProblem
from sim.model import Node
from sim.xds.messages import Answer, DeltaDiscoveryRequest, DiscoveryRequest, EnvoyNode, Tap, Variant
from sim.xds.subscription import DeltaSubscriptions, Reaction, SotwSubscriptions, Subscriptions, Watch

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHODS = {Variant.SOTW: "StreamAggregatedResources", Variant.DELTA: "DeltaAggregatedResources"}

#: pilot-agent and istiod lift gRPC's 4 MB limit; so do we.
GRPC_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # Istio's clients ping every 30 s while nothing is said; gRPC's own limit of one in 5 minutes would cut them off.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 15_000),
]


class Answers(Protocol):
    """A state of the world."""

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        """The resources of a type for a node, all (`names` None) or the named ones that exist.

        None when the type is unknown: such a request is answered by nothing.
        """
        ...


class Source(Answers, Protocol):
    """Where a server's resources come from."""

    def nonce(self) -> str:
        """A nonce that was never given before."""
        ...


class Observer(Protocol):
    """What a server tells about its streams; called synchronously, so it must not dawdle."""

    def opened(self, stream: ServerStream) -> None: ...
    def received(self, stream: ServerStream, reaction: Reaction) -> None: ...
    def sent(self, stream: ServerStream, answer: Answer, nonce: str, pushed: bool) -> None: ...
    def closed(self, stream: ServerStream) -> None: ...


@dataclass(frozen=True, slots=True)
class _Due:
    """Why a type waits to be sent: the names that requests asked for (None: all), or a push."""

    names: frozenset[str] | None
    pushed: bool


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out next, noted as sent. `pushed` tells a push from the answer to a request."""

    answer: Answer
    nonce: str
    message: bytes
    pushed: bool


class ServerStream:
    """One client's stream: its node, its watches, and the slot of types that wait to be pushed."""

    def __init__(self, stream_id: int, variant: Variant) -> None:
        self.id = stream_id
        self.variant = variant
        self.node = Node(id="")
        #: As the client's metadata has them; empty where it says nothing.
        self.cluster_id = self.istio_version = ""
        self._sotw = SotwSubscriptions()
        self._delta = DeltaSubscriptions()
        # Insertion order is the order of sending. A type stands here once, however often it changed: the
        # newest state wins.
        self._due: dict[str, _Due] = {}
        self._wake = asyncio.Event()

    @property
    def watches(self) -> dict[str, Watch]:
        return self._machine.watches

    @property
    def _machine(self) -> Subscriptions:
        return self._sotw if self.variant is Variant.SOTW else self._delta

    def prepare(self, world: Answers, type_urls: Collection[str]) -> None:
        """Make and encode what a push of these types from `world` will send, if nothing changes until then."""
        for type_url in type_urls:
            watch = self.watches.get(type_url)
            if watch is None or watch.wants_nothing:
                continue
            answer = world.answer(self.node, type_url, None if watch.wildcard else frozenset(watch.names))
            if answer is not None:
                self._machine.prepare(answer)

    def push(self, type_urls: Collection[str]) -> None:
        """Ask for a push of these types, in this order, of those that the client watches."""
        for type_url in type_urls:
            if type_url in self.watches:
                self._due.pop(type_url, None)
                self._due[type_url] = _Due(None, pushed=True)
        if self._due:
            self._wake.set()

    def receive(self, message: bytes) -> Reaction:
        """Take a request from the wire. Raises DecodeError for what is not one."""
        if self.variant is Variant.SOTW:
            sotw = DiscoveryRequest.FromString(message)
            self._identify(sotw.node)
            reaction = self._sotw.receive(sotw)
        else:
            delta = DeltaDiscoveryRequest.FromString(message)
            self._identify(delta.node)
            reaction = self._delta.receive(delta)
        if reaction.answer:
            waiting = self._due.get(reaction.type_url)
            names = reaction.names
            if waiting is not None:
                names = None if names is None or waiting.names is None else names | waiting.names
            self._due[reaction.type_url] = _Due(names, pushed=waiting is not None and waiting.pushed)
            self._wake.set()
        return reaction

    def _identify(self, node: EnvoyNode) -> None:
        # A client names itself in its first request only; an absent node is an empty one.
        if node.id and not self.node.id:
            fields = node.metadata.fields
            labels = fields["LABELS"].struct_value.fields if "LABELS" in fields else {}
            self.node = Node(node.id, {key: labels[key].string_value for key in labels})
            self.cluster_id, self.istio_version = (
                fields[key].string_value if key in fields else "" for key in ("CLUSTER_ID", "ISTIO_VERSION")
            )

    async def due(self) -> None:
        """Returns once something waits to be sent."""
        while not self._due:
            self._wake.clear()
            await self._wake.wait()

    @property
    def has_more(self) -> bool:
        """Whether something waits to be sent at this moment."""
        return bool(self._due)

    def respond(self, source: Source) -> Response | None:
        """Take the next response out of the slot; None when nothing in it is to be sent any more."""
        while self._due:
            type_url = next(iter(self._due))
            due = self._due.pop(type_url)
            watch = self.watches.get(type_url)
            if watch is None or watch.wants_nothing:
                continue
            names: Collection[str] | None = None if watch.wildcard else frozenset(watch.names)
            if due.names is not None:
                # The client may have thought better of a name since.
                names = frozenset(filter(watch.wants, due.names))
                if not names:
                    continue
            answer = source.answer(self.node, type_url, names)
            if answer is None:
                continue
            nonce = source.nonce()
            message = self._machine.encode(answer, nonce, None if due.names is None else frozenset(names or ()))
            return Response(answer, nonce, message, due.pushed)
        return None


class AdsServer:
    """The running server: its streams, and the switch that pushes to all of them.

    With `needs_node` a client that does not say who it is in its first request is refused, as by istiod.
    """

    def __init__(self, source: Source, observer: Observer, *, needs_node: bool = False) -> None:
        self._source = source
        self._needs_node = needs_node
        self._observer = observer
        self._ids = itertools.count(1)
        self.streams: dict[int, ServerStream] = {}
        #: Whoever records what is said.
        self.tap: Tap | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self.address = ""

    def push(self, type_urls: Collection[str]) -> None:
        """Push these types to every stream that watches them, in this order."""
        for stream in tuple(self.streams.values()):
            stream.push(type_urls)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The gRPC handler of both methods; messages stay bytes."""

        def handler(variant: Variant) -> grpc.RpcMethodHandler:
            async def serve(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
                await self._serve(variant, context)

            return grpc.stream_stream_rpc_method_handler(serve)

        return grpc.method_handlers_generic_handler(
            SERVICE, {METHODS[variant]: handler(variant) for variant in Variant}
        )

    async def _serve(self, variant: Variant, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        stream = ServerStream(next(self._ids), variant)
        self.streams[stream.id] = stream
        self._observer.opened(stream)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(stream, context), name=f"ads-write-{stream.id}")
                broken = await self._read(stream, context)
                writer.cancel()
        finally:
            del self.streams[stream.id]
            self._observer.closed(stream)
            self._handlers.discard(task)
        if broken is not None:
            await context.abort(*broken)

    async def _read(
        self, stream: ServerStream, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> tuple[grpc.StatusCode, str] | None:
        """Take requests until the client has no more, or sends what can't be taken: then why."""
        while True:
            message = await context.read()
            if message is grpc.aio.EOF:
                return None
            if self.tap is not None:
                self.tap(stream.id, stream.variant, "client", message)
            try:
                reaction = stream.receive(message)
            except DecodeError as error:
                return grpc.StatusCode.INTERNAL, f"not a discovery request: {error}"
            if self._needs_node and not stream.node.id:
                return grpc.StatusCode.INVALID_ARGUMENT, "missing node information"
            self._observer.received(stream, reaction)

    async def _write(self, stream: ServerStream, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                await stream.due()
                response = stream.respond(self._source)
                if response is None:
                    continue
                self._observer.sent(stream, response.answer, response.nonce, response.pushed)
                if self.tap is not None:
                    self.tap(stream.id, stream.variant, "server", response.message)
                # gRPC takes one write at a time; the next response is made while this one is on its way.
                if writing is not None:
                    await writing
                    writing = None
                if stream.has_more:
                    writing = asyncio.create_task(context.write(response.message), name=f"ads-send-{stream.id}")
                    await asyncio.sleep(0)  # lets the write begin
                else:
                    await context.write(response.message)
        except grpc.aio.BaseError:
            # The client is gone; reading says so too, and ends the stream.
            pass
        finally:
            if writing is not None:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def drain(self) -> None:
        """Cancel and await the handlers that `server.stop` leaves running."""
        for task in tuple(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)


@asynccontextmanager
async def serving(handlers: grpc.GenericRpcHandler, listen: str, drain: Callable[[], Any]) -> AsyncIterator[str]:
    """A gRPC server on `host:port` (port 0 asks the kernel) or `unix:/path`; yields the bound address.

    Raises EnvironmentProblem when the address can't be had.
    """
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((handlers,))
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise EnvironmentProblem(
            f"can't listen on {listen}: {error}", hint="choose another address, or port 0 for a free one"
        ) from error
    await server.start()
    try:
        yield listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
    finally:
        stopping = asyncio.ensure_future(server.stop(grace=None))
        await drain()
        await stopping


@asynccontextmanager
async def ads_server(
    source: Source, observer: Observer, listen: str = "127.0.0.1:0", *, needs_node: bool = False
) -> AsyncIterator[AdsServer]:
    """An ADS server that is up while inside; `server.address` is where."""
    server = AdsServer(source, observer, needs_node=needs_node)
    async with serving(server.handlers(), listen, server.drain) as address:
        server.address = address
        yield server

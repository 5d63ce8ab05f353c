"""The other end of our wires: an ADS client and an MCP server, from the xDS specification and xds-protos alone."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as ProtoAny

from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.xds import Variant
from tests.independent import discovery_message

_SERVICES: Any = importlib.import_module("envoy.service.discovery.v3.ads_pb2_grpc")
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
_MCP_TYPE = "type.googleapis.com/istio.mcp.v1alpha1.Resource"

#: How long a test waits for what must come; nothing waits for what must not.
PATIENCE_S = 10.0


class AdsClient:
    """One stream. Requests and responses are xds-protos messages; nothing is acknowledged by itself."""

    def __init__(self, call: Any, variant: Variant) -> None:
        self._call = call
        self.variant = variant

    def request(self, type_url: str, *names: str, **fields: Any) -> Any:
        """A request for these names (in delta: to subscribe to)."""
        if self.variant is Variant.SOTW:
            made = discovery_message("DiscoveryRequest")
            made.resource_names.extend(names)
        else:
            made = discovery_message("DeltaDiscoveryRequest")
            made.resource_names_subscribe.extend(names)
        made.type_url = type_url
        for name, value in fields.items():
            setattr(made, name, value)
        return made

    async def send(self, request: Any) -> None:
        await self._call.write(request)

    async def ask(self, type_url: str, *names: str, **fields: Any) -> Any:
        """Send a request and give the next response."""
        await self.send(self.request(type_url, *names, **fields))
        return await self.receive()

    async def receive(self) -> Any:
        """The next response. Raises EOFError when the server ended the stream, grpc's error when it broke it."""
        async with asyncio.timeout(PATIENCE_S):
            response = await self._call.read()
        if response is grpc.aio.EOF:
            raise EOFError
        return response

    async def acknowledge(self, response: Any, *names: str) -> None:
        """ACK; SotW repeats the names."""
        request = self.request(response.type_url, response_nonce=response.nonce)
        if self.variant is Variant.SOTW:
            request.version_info = response.version_info
            request.resource_names.extend(names)
        await self.send(request)

    async def done(self) -> None:
        await self._call.done_writing()

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the call ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._call.code(), await self._call.details()

    def cancel(self) -> None:
        self._call.cancel()


@asynccontextmanager
async def ads_client(address: str, variant: Variant) -> AsyncIterator[AdsClient]:
    """A stream on a connection of its own."""
    async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
        stub = _SERVICES.AggregatedDiscoveryServiceStub(channel)
        method = stub.StreamAggregatedResources if variant is Variant.SOTW else stub.DeltaAggregatedResources
        call = method(wait_for_ready=True)
        try:
            yield AdsClient(call, variant)
        finally:
            call.cancel()


class McpServer:
    """A source of Istio resources: answers each first request of a type, and pushes what a test sets.

    `requests` are all that came, on whichever stream.
    """

    def __init__(self) -> None:
        self.resources: dict[str, list[mcp.Resource]] = {}
        self.requests: list[Any] = []
        self.streams: list[Any] = []
        self._came = asyncio.Condition()
        self._nonces = 0

    async def set(self, kind: str, resources: Iterable[mcp.Resource]) -> None:
        """The resources of a kind from now on, pushed to whoever asked for it."""
        self.resources[kind] = list(resources)
        for context, asked in self.streams:
            for type_url in asked:
                if type_url.rpartition("/")[2] == kind:
                    await context.write(self.response(type_url))

    def response(self, type_url: str) -> bytes:
        self._nonces += 1
        held = self.resources.get(type_url.rpartition("/")[2], [])
        made = discovery_message("DiscoveryResponse")
        made.type_url, made.version_info, made.nonce = type_url, f"v{self._nonces}", str(self._nonces)
        made.resources.extend(ProtoAny(type_url=_MCP_TYPE, value=r.SerializeToString()) for r in held)
        return bytes(made.SerializeToString())

    async def send_raw(self, body: bytes) -> None:
        """These bytes on every open stream."""
        for context, _ in self.streams:
            await context.write(body)

    async def wait_for_requests(self, count: int) -> None:
        """Until as many requests have come in all."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)

    async def _serve(self, _: object, context: Any) -> None:
        asked: list[str] = []
        stream = (context, asked)
        self.streams.append(stream)
        try:
            while (body := await context.read()) is not grpc.aio.EOF:
                request = discovery_message("DiscoveryRequest", body)
                self.requests.append(request)
                if request.type_url not in asked:
                    asked.append(request.type_url)
                    await context.write(self.response(request.type_url))
                async with self._came:
                    self._came.notify_all()
        finally:
            self.streams.remove(stream)

    @asynccontextmanager
    async def serving(self, listen: str) -> AsyncIterator[str]:
        """Up at `listen` while inside; gives the address."""
        server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(self._serve)
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        handlers = grpc.method_handlers_generic_handler(service, {"StreamAggregatedResources": method})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port(listen)
        await server.start()
        try:
            yield listen if listen.startswith("unix:") else f"127.0.0.1:{port}"
        finally:
            await server.stop(None)

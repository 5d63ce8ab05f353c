"""Discovery's MCP client: one SotW stream to Core, every kind asked for, every response acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.trace import Trace
from sim.xds import DiscoveryRequest, DiscoveryResponse, EnvoyNode, Variant, channel, open_stream

#: The identity under which istiod reads its configuration source.
NODE_ID = "sidecar~192.0.2.2~istiod.istio-system~istio-system.svc.cluster.local"
_RETRY_S = 0.2

#: Called with a kind (the type URL's last word), the response's version and its resources.
Handler = Callable[[str, str, Sequence[mcp.Resource]], None]


class McpClient:
    """Keeps the stream up; `synced` is set once every type was answered at least once."""

    def __init__(self, address: str, type_urls: Sequence[str], handle: Handler, trace: Trace) -> None:
        self._address = address
        self._type_urls = type_urls
        self._handle = handle
        self._trace = trace
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Read for ever; a lost stream is opened again and answered with the full state."""
        async with channel(self._address) as connection:
            while True:
                call = open_stream(connection, Variant.SOTW)
                try:
                    await self._converse(call)
                    reason = "the server closed the stream"
                except grpc.aio.AioRpcError as error:
                    reason = f"{error.code().name}: {error.details()}"
                except DecodeError as error:
                    reason = f"the server sent no discovery response: {error}"
                finally:
                    call.cancel()
                self._trace.emit("discovery.mcp_disconnected", reason=reason)
                await asyncio.sleep(_RETRY_S)

    async def _converse(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        node: EnvoyNode | None = _node()
        for type_url in self._type_urls:
            # istiod sends a timestamp as the nonce of its first requests; a server must not mind.
            first = DiscoveryRequest(node=node, type_url=type_url, response_nonce=datetime.now(UTC).isoformat(sep=" "))
            await call.write(first.SerializeToString())
            node = None
        waiting = set(self._type_urls)
        while True:
            message = await call.read()
            if message is grpc.aio.EOF:
                return
            response = DiscoveryResponse.FromString(message)
            resources = self._resources(response)
            # What was not asked for is acknowledged and counts for nothing, whatever its last word.
            if response.type_url in self._type_urls:
                self._handle(response.type_url.rsplit("/", 1)[-1], response.version_info, resources)
            waiting.discard(response.type_url)
            if not waiting:
                self.synced.set()
            acknowledged = DiscoveryRequest(
                node=_node(),
                version_info=response.version_info,
                type_url=response.type_url,
                response_nonce=response.nonce,
            )
            await call.write(acknowledged.SerializeToString())

    def _resources(self, response: DiscoveryResponse) -> list[mcp.Resource]:
        """What can be read of them: istiod leaves out the others and acknowledges all the same."""
        resources = []
        for item in response.resources:
            if item.type_url.rpartition("/")[2] != mcp.Resource.DESCRIPTOR.full_name:
                error = f"{item.type_url or 'nothing'!r} is no MCP resource"
                self._trace.emit("discovery.mcp_refused", type_url=response.type_url, error=error)
                continue
            try:
                resources.append(mcp.Resource.FromString(item.value))
            except DecodeError as error:
                self._trace.emit("discovery.mcp_refused", type_url=response.type_url, error=str(error))
        return resources


def _node() -> EnvoyNode:
    node = EnvoyNode(id=NODE_ID)
    node.metadata.update({"ISTIO_VERSION": "65536.65536.65536", "GENERATOR": "api"})
    return node

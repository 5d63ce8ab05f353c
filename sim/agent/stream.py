"""One Envoy's stream through the agent: its own upstream stream, bytes for bytes, ECDS responses intercepted.

Imitates pilot-agent's pkg/istio-agent/xds_proxy.go and xds_proxy_delta.go.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from sim.agent.ecds import AgentState, EcdsInterceptor
from sim.agent.responses import Response, rendered, version_of
from sim.model import ECDS, TYPE_PREFIX
from sim.proto_gen.envoy_discovery_pb2 import Status
from sim.trace import Payload
from sim.xds import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DeltaSubscriptions,
    DiscoveryRequest,
    DiscoveryResponse,
    SotwSubscriptions,
    Variant,
    channel,
    open_stream,
)
from sim.xds.client import Call

#: grpc.aio.ServicerContext[bytes, bytes]; the library has no types.
Context = Any

_ENVOYS = TYPE_PREFIX + "envoy."
#: How a stream may end without the agent counting an error.
_EXPECTED = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})


class ProxiedStream:
    """The conversation of one Envoy with Discovery, and what the agent does in the middle."""

    def __init__(self, stream_id: int, variant: Variant, state: AgentState) -> None:
        self.id = stream_id
        self.variant = variant
        self.node_id = ""
        self._state = state
        self._trace = state.trace
        # The same machines that a server uses, here only to tell an ACK from a subscription.
        self._sotw = SotwSubscriptions()
        self._delta = DeltaSubscriptions()
        # Written by one task. As in the real agent one response waits for Envoy while another is on its way; then
        # nothing more is read, and Discovery, which keeps only the newest, holds back. None is the last.
        self._to_send: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._ended = False
        self._told_to_end = asyncio.Event()
        self._upstream: Call = None
        self._upstream_sending = asyncio.Lock()
        self._ecds_last_version = ""
        self._ecds = EcdsInterceptor(
            state, stream_id, lambda: self.node_id, self._deliver, self._nack, lambda: self._ended
        )

    def end(self) -> None:
        """End both streams in good order."""
        self._told_to_end.set()

    async def run(self, downstream: Context, discovery: str) -> None:
        """Carry messages both ways until either side ends; Envoy is told how the upstream ended."""
        failure: grpc.aio.AioRpcError | None = None
        garbled: str | None = None
        async with channel(discovery) as connection:
            self._upstream = open_stream(connection, self.variant, wait_for_ready=False)
            sending = asyncio.create_task(self._send(downstream), name=f"agent-down-{self.id}")
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._to_discovery(downstream), name=f"agent-up-{self.id}")
                    tasks.create_task(_ended(sending), name=f"agent-down-watch-{self.id}")
                    tasks.create_task(self._until_told(), name=f"agent-end-watch-{self.id}")
                    await self._to_envoy()
            except* grpc.aio.AioRpcError as errors:
                failure = next(e for e in errors.exceptions if isinstance(e, grpc.aio.AioRpcError))
            except* _StreamEnded:
                pass
            except* DecodeError as errors:
                garbled = str(errors.exceptions[0])
            finally:
                self._ended = True
                self._upstream.cancel()
                # Not cancelled: gRPC can't tell Envoy how a stream ends while a message to it is under way.
                await self._finish(sending)
        self._count_end(failure)
        if garbled is not None:
            error = f"not a discovery message: {garbled}"
            self._trace.emit("agent.stream_broken", node_id=self.node_id or None, error=error, stream=self.id)
            await downstream.abort(grpc.StatusCode.INTERNAL, error)
        if failure is not None:
            self._trace.emit(
                "agent.upstream_failed",
                node_id=self.node_id or None,
                code=failure.code().name,
                error=failure.details(),
            )
            await downstream.abort(failure.code(), failure.details() or "")

    async def _until_told(self) -> None:
        await self._told_to_end.wait()
        raise _StreamEnded

    def _count_end(self, failure: grpc.aio.AioRpcError | None) -> None:
        # Whichever side went first, the agent takes leave of the other one.
        expected = failure is None or failure.code() in _EXPECTED
        self._state.metrics.discovery_ends["cancelled" if expected else "error"] += 1
        self._state.metrics.envoy_ends["cancelled"] += 1

    async def _finish(self, sending: asyncio.Task[None]) -> None:
        """Wait until what is left has gone to Envoy, or Envoy has."""
        last = asyncio.create_task(self._to_send.put(None), name=f"agent-last-{self.id}")
        try:
            await asyncio.wait([sending])
        finally:
            last.cancel()

    # -- Envoy → Discovery ----------------------------------------------------------------------------------

    async def _to_discovery(self, downstream: Context) -> None:
        while True:
            message = await downstream.read()
            if message is grpc.aio.EOF:
                raise _StreamEnded
            if self._state.tap is not None:
                self._state.tap(self.id, self.variant, "client", message)
            request = self._request_of(message)
            self._state.metrics.requests += 1
            await self._write_upstream(message)
            self._observe_request(request)

    async def _write_upstream(self, message: bytes) -> None:
        try:
            async with self._upstream_sending:
                await self._upstream.write(message)
        except asyncio.InvalidStateError:
            # Discovery has ended the stream; whoever reads it is about to say how.
            return

    def _request_of(self, message: bytes) -> DiscoveryRequest | DeltaDiscoveryRequest:
        if self.variant is Variant.SOTW:
            return DiscoveryRequest.FromString(message)
        return DeltaDiscoveryRequest.FromString(message)

    def _observe_request(self, request: DiscoveryRequest | DeltaDiscoveryRequest) -> None:
        if isinstance(request, DiscoveryRequest):
            reaction = self._sotw.receive(request)
        else:
            reaction = self._delta.receive(request)
        if request.node.id:
            self.node_id = request.node.id
        if request.type_url == ECDS and isinstance(request, DiscoveryRequest) and request.version_info:
            self._ecds_last_version = request.version_info
        if request.response_nonce:
            # Not by the machine's reaction: an answer counts, whatever else the request says.
            rejected = request.HasField("error_detail")
            self._state.answered.add(request.type_url)
            if request.type_url == ECDS:
                self._state.in_use.acknowledged(self.node_id, request.response_nonce, rejected=rejected)
        # These are Envoy's words; the agent is only where they are heard.
        self._trace.emit(
            f"envoy.{reaction.kind}",
            node_id=self.node_id,
            type_url=reaction.type_url,
            version_info=reaction.version_info or None,
            nonce=reaction.nonce or None,
            stream=self.id,
            names=sorted(_names(request)) or None,
            error=reaction.error,
        )

    # -- Discovery → Envoy ----------------------------------------------------------------------------------

    async def _to_envoy(self) -> None:
        parse = (DiscoveryResponse if self.variant is Variant.SOTW else DeltaDiscoveryResponse).FromString
        while True:
            message = await self._upstream.read()
            if message is grpc.aio.EOF:
                code = await self._upstream.code()
                if code is not grpc.StatusCode.OK:
                    raise grpc.aio.AioRpcError(
                        code, grpc.aio.Metadata(), grpc.aio.Metadata(), await self._upstream.details() or ""
                    )
                raise _StreamEnded
            response: Response = parse(message)
            self._state.metrics.responses += 1
            if response.type_url == ECDS:
                item = self._ecds.receive(response)
                self._state.convert(self._ecds.handle(item), name=f"agent-ecds-{self.id}")
                continue
            if not response.type_url.startswith(_ENVOYS):
                # What a Discovery says to agents alone.
                self._trace.emit("agent.drop", node_id=self.node_id, type_url=response.type_url, stream=self.id)
                continue
            self._note_sent(response)
            self._trace.emit(
                "agent.forward",
                node_id=self.node_id,
                type_url=response.type_url,
                version_info=version_of(response),
                nonce=response.nonce,
                stream=self.id,
                payloads={"forwarded": _payload(response)},
            )
            await self._to_send.put(message)

    async def _deliver(self, response: Response) -> None:
        self._note_sent(response)
        if not self._ended:
            await self._to_send.put(response.SerializeToString())

    def _note_sent(self, response: Response) -> None:
        machine = self._sotw if self.variant is Variant.SOTW else self._delta
        watch = machine.watches.get(response.type_url)
        if watch is not None:
            watch.sent(response.nonce, version_of(response))

    async def _send(self, downstream: Context) -> None:
        while (message := await self._to_send.get()) is not None:
            if self._state.tap is not None:
                self._state.tap(self.id, self.variant, "server", message)
            try:
                await downstream.write(message)
            except grpc.aio.InternalError:
                # Envoy is gone, and gRPC has not cancelled this stream yet.
                return

    async def _nack(self, response: Response, error: str) -> None:
        """Refuse a response in Envoy's place, which keeps what it has."""
        detail = Status(code=self._state.nack_code, message=error)
        request: DiscoveryRequest | DeltaDiscoveryRequest
        if self.variant is Variant.SOTW:
            request = DiscoveryRequest(
                version_info=self._ecds_last_version,
                type_url=ECDS,
                response_nonce=response.nonce,
                error_detail=detail,
            )
        else:
            request = DeltaDiscoveryRequest(type_url=ECDS, response_nonce=response.nonce, error_detail=detail)
        self._state.metrics.requests += 1
        await self._write_upstream(request.SerializeToString())


class _StreamEnded(Exception):
    """One side ended its stream in good order; so does the other."""


async def _ended(sending: asyncio.Task[None]) -> None:
    """Ends the stream when nothing can be sent to Envoy any more."""
    await asyncio.shield(sending)
    raise _StreamEnded


def _payload(response: Response) -> Payload:
    return Payload(lambda: rendered(response))


def _names(request: DiscoveryRequest | DeltaDiscoveryRequest) -> list[str]:
    if isinstance(request, DiscoveryRequest):
        return list(request.resource_names)
    return list(request.resource_names_subscribe)

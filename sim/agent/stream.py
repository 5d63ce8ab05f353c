"""One Envoy's stream through the agent: its own upstream stream, bytes for bytes, ECDS responses intercepted.

Imitates pilot-agent's pkg/istio-agent/xds_proxy.go, its flaw included: each ECDS response is converted on its
own, so a slow pull that a newer response has overtaken is still delivered, last.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from sim.agent.convert import Converter, Refused
from sim.model import ECDS
from sim.proto_gen.envoy_discovery_pb2 import Status
from sim.trace import Payload, Trace
from sim.xds import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DeltaSubscriptions,
    DiscoveryRequest,
    DiscoveryResponse,
    ProtoAny,
    SotwSubscriptions,
    Variant,
    channel,
    open_stream,
)
from sim.xds.client import Call
from sim.xds.packing import to_json

Response = DiscoveryResponse | DeltaDiscoveryResponse
#: grpc.aio.ServicerContext[bytes, bytes]; the library has no types.
Context = Any


class ProxiedStream:
    """The conversation of one Envoy with Discovery, and what the agent does in the middle."""

    def __init__(self, stream_id: int, variant: Variant, converter: Converter, trace: Trace) -> None:
        self.id = stream_id
        self.variant = variant
        self.node_id = ""
        self._converter = converter
        self._trace = trace
        # The same machines that a server uses, here only to tell an ACK from a subscription.
        self._sotw = SotwSubscriptions()
        self._delta = DeltaSubscriptions()
        # Written by one task, so that reading goes on while Envoy's end is slow. Not bounded: like the real agent's
        # queue of requests it holds no more than Discovery sends without an acknowledgement.
        self._to_send: asyncio.Queue[bytes] = asyncio.Queue()
        self._upstream_sending = asyncio.Lock()
        self._ecds_last_version = ""

    async def run(self, downstream: Context, discovery: str) -> None:
        """Carry messages both ways until either side ends; Envoy is told how the upstream ended."""
        async with channel(discovery) as connection:
            upstream = open_stream(connection, self.variant, wait_for_ready=False)
            try:
                async with asyncio.TaskGroup() as tasks:
                    carriers = [
                        tasks.create_task(self._to_discovery(downstream, upstream), name=f"agent-up-{self.id}"),
                        tasks.create_task(self._send(downstream), name=f"agent-down-{self.id}"),
                    ]
                    try:
                        await self._to_envoy(upstream, tasks)
                    finally:
                        for carrier in carriers:
                            carrier.cancel()
            except* grpc.aio.AioRpcError as errors:
                first = next(e for e in errors.exceptions if isinstance(e, grpc.aio.AioRpcError))
                self._trace.emit(
                    "agent.upstream_failed", node_id=self.node_id or None, code=first.code().name, error=first.details()
                )
                await downstream.abort(first.code(), first.details() or "")
            except* _StreamEnded:
                pass
            finally:
                upstream.cancel()

    # -- Envoy → Discovery ----------------------------------------------------------------------------------

    async def _to_discovery(self, downstream: Context, upstream: Call) -> None:
        while True:
            message = await downstream.read()
            if message is grpc.aio.EOF:
                raise _StreamEnded
            async with self._upstream_sending:
                await upstream.write(message)
            self._observe_request(message)

    def _observe_request(self, message: bytes) -> None:
        request: DiscoveryRequest | DeltaDiscoveryRequest
        if self.variant is Variant.SOTW:
            request = DiscoveryRequest.FromString(message)
            reaction = self._sotw.receive(request)
        else:
            request = DeltaDiscoveryRequest.FromString(message)
            reaction = self._delta.receive(request)
        if request.node.id:
            self.node_id = request.node.id
        if reaction.type_url == ECDS and reaction.kind == "ack" and isinstance(request, DiscoveryRequest):
            self._ecds_last_version = request.version_info
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

    async def _to_envoy(self, upstream: Call, tasks: asyncio.TaskGroup) -> None:
        parse = (DiscoveryResponse if self.variant is Variant.SOTW else DeltaDiscoveryResponse).FromString
        while True:
            message = await upstream.read()
            if message is grpc.aio.EOF:
                code = await upstream.code()
                if code is not grpc.StatusCode.OK:
                    raise grpc.aio.AioRpcError(
                        code, grpc.aio.Metadata(), grpc.aio.Metadata(), await upstream.details() or ""
                    )
                raise _StreamEnded
            response: Response = parse(message)
            if response.type_url == ECDS:
                tasks.create_task(self._intercept(response, upstream), name=f"agent-ecds-{self.id}")
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
            self._to_send.put_nowait(message)

    async def _intercept(self, response: Response, upstream: Call) -> None:
        common: dict[str, Any] = {
            "node_id": self.node_id,
            "type_url": ECDS,
            "version_info": version_of(response),
            "nonce": response.nonce,
        }
        self._trace.emit("agent.intercept", **common, stream=self.id, resources=len(response.resources))
        converted = await self._converter.convert(resources_of(response), node_id=self.node_id, nonce=response.nonce)
        refused = [item for item in converted if isinstance(item, Refused)]
        if refused:
            error = "; ".join(f"{item.name}: {item.error}" for item in refused)
            self._trace.emit("agent.nack", **common, stream=self.id, error=error)
            async with self._upstream_sending:
                await upstream.write(self._nack(response, error).SerializeToString())
            return
        replace_resources(response, [item for item in converted if isinstance(item, ProtoAny)])
        self._note_sent(response)
        encoded = response.SerializeToString()
        self._trace.emit(
            "agent.deliver",
            **common,
            stream=self.id,
            payloads={"delivered": _payload(response)},
        )
        self._to_send.put_nowait(encoded)

    def _note_sent(self, response: Response) -> None:
        machine = self._sotw if self.variant is Variant.SOTW else self._delta
        watch = machine.watches.get(response.type_url)
        if watch is not None:
            watch.sent(response.nonce, version_of(response))

    async def _send(self, downstream: Context) -> None:
        while True:
            await downstream.write(await self._to_send.get())

    def _nack(self, response: Response, error: str) -> DiscoveryRequest | DeltaDiscoveryRequest:
        detail = Status(message=error)
        if self.variant is Variant.SOTW:
            return DiscoveryRequest(
                version_info=self._ecds_last_version,
                type_url=ECDS,
                response_nonce=response.nonce,
                error_detail=detail,
            )
        return DeltaDiscoveryRequest(type_url=ECDS, response_nonce=response.nonce, error_detail=detail)


class _StreamEnded(Exception):
    """One side ended its stream in good order; so does the other."""


def version_of(response: Response) -> str:
    """The response's version, under either variant's name for it."""
    return response.version_info if isinstance(response, DiscoveryResponse) else response.system_version_info


def resources_of(response: Response) -> list[ProtoAny]:
    """The resources' Any, whichever the variant."""
    if isinstance(response, DiscoveryResponse):
        return list(response.resources)
    return [item.resource for item in response.resources]


def replace_resources(response: Response, resources: list[ProtoAny]) -> None:
    """Put these, in the same order, where `resources_of` took them from."""
    for held, fresh in zip(resources_of(response), resources, strict=True):
        held.CopyFrom(fresh)


def rendered(response: Response) -> list[object]:
    """The response's resources as JSON."""
    return [to_json(item.type_url, item.value) for item in resources_of(response)]


def _payload(response: Response) -> Payload:
    return Payload(lambda: rendered(response))


def _names(request: DiscoveryRequest | DeltaDiscoveryRequest) -> list[str]:
    if isinstance(request, DiscoveryRequest):
        return list(request.resource_names)
    return list(request.resource_names_subscribe)

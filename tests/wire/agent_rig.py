"""An agent between a scripted Discovery and a scripted Envoy, both written from the xDS protocol with xds-protos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2

from sim.agent import Agent, AgentOptions, agent
from sim.clock import SkewedClock
from sim.profiles import load_profile
from sim.trace import Trace
from sim.xds import ProtoAny, Variant
from tests.independent import message, to_json
from tests.unit.agent.resources import Shelf

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHODS = {"StreamAggregatedResources": Variant.SOTW, "DeltaAggregatedResources": Variant.DELTA}
NODE_ID = "router~127.0.0.1~gw-1.higress-system~higress-system.svc.cluster.local"
#: Field 1023, which no xDS message has.
UNKNOWN_FIELD = b"\xfa\x3f\x03odd"
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_PREFIX = "type.googleapis.com/envoy.service.discovery.v3."


def xds(name: str, body: bytes = b"") -> Any:
    """An xDS message, such as DiscoveryRequest."""
    return message(_PREFIX + name, body)


def request(variant: Variant, type_url: str, names: Iterable[str] = (), **fields: Any) -> bytes:
    """A subscription, ACK or NACK; `names` are subscribed to."""
    if variant is Variant.SOTW:
        made = xds("DiscoveryRequest")
        made.resource_names.extend(names)
    else:
        made = xds("DeltaDiscoveryRequest")
        made.resource_names_subscribe.extend(names)
        fields.pop("version_info", None)
    made.type_url = type_url
    made.node.id = fields.pop("node_id", NODE_ID)
    made.response_nonce = fields.pop("nonce", "")
    if "error" in fields:
        made.error_detail.code = 13
        made.error_detail.message = fields.pop("error")
    for key, value in fields.items():
        setattr(made, key, value)
    encoded: bytes = made.SerializeToString()
    return encoded


def response(
    variant: Variant,
    type_url: str,
    resources: Mapping[str, ProtoAny | any_pb2.Any] | None = None,
    *,
    version: str = "v1",
    nonce: str = "n1",
    removed: Iterable[str] = (),
) -> bytes:
    """A response; in delta a resource's version is its name's."""
    if variant is Variant.SOTW:
        made = xds("DiscoveryResponse")
        made.version_info = version
        made.resources.extend((resources or {}).values())
    else:
        made = xds("DeltaDiscoveryResponse")
        made.system_version_info = version
        for name, resource in (resources or {}).items():
            made.resources.add(name=name, version=f"version of {name}", resource=resource)
        made.removed_resources.extend(removed)
    made.type_url = type_url
    made.nonce = nonce
    encoded: bytes = made.SerializeToString()
    return encoded


class Told:
    """A response as Envoy reads it. `resources` are JSON by name."""

    def __init__(self, variant: Variant, body: bytes) -> None:
        self.raw = xds("DiscoveryResponse" if variant is Variant.SOTW else "DeltaDiscoveryResponse", body)
        sotw = variant is Variant.SOTW
        self.type_url: str = self.raw.type_url
        self.version: str = self.raw.version_info if sotw else self.raw.system_version_info
        self.nonce: str = self.raw.nonce
        anys = self.raw.resources if sotw else [item.resource for item in self.raw.resources]
        self.resources = {item["name"]: item for item in (to_json(a.type_url, a.value) for a in anys)}

    def file(self, name: str) -> Path | None:
        """The module file of an extension, None if it is no Wasm."""
        config = self.resources[name]["typed_config"].get("config")
        return Path(config["vm_config"]["code"]["local"]["filename"]) if config else None


class DiscoveryStream:
    """Discovery's side of one stream. `closed` is set when the agent has ended it."""

    def __init__(self, variant: Variant, context: Any) -> None:
        self.variant = variant
        self._context = context
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()
        self.ending: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()

    async def read(self) -> None:
        while (body := await self._context.read()) is not grpc.aio.EOF:
            self._requests.put_nowait(body)
        if not self.ending.done():
            self.ending.set_result((grpc.StatusCode.OK, ""))

    async def receive(self) -> bytes:
        return await self._requests.get()

    async def send(self, body: bytes) -> None:
        await self._context.write(body)

    async def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, details: str = "") -> None:
        self.ending.set_result((code, details))
        await self.closed.wait()


class ScriptedDiscovery:
    """An ADS server that does what a test says."""

    def __init__(self) -> None:
        self.address = ""
        self._streams: asyncio.Queue[DiscoveryStream] = asyncio.Queue()

    async def stream(self) -> DiscoveryStream:
        """The next stream that the agent opened."""
        return await self._streams.get()

    async def serve(self, variant: Variant, context: Any) -> None:
        stream = DiscoveryStream(variant, context)
        self._streams.put_nowait(stream)
        reading = asyncio.create_task(stream.read())
        try:
            code, details = await stream.ending
            if code is not grpc.StatusCode.OK:
                await context.abort(code, details)
        finally:
            reading.cancel()
            stream.closed.set()


@asynccontextmanager
async def scripted_discovery() -> AsyncIterator[ScriptedDiscovery]:
    made = ScriptedDiscovery()

    def handler(variant: Variant) -> grpc.RpcMethodHandler:
        async def serve(_: object, context: Any) -> None:
            await made.serve(variant, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    server = grpc.aio.server(options=_UNLIMITED)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {name: handler(variant) for name, variant in METHODS.items()}),)
    )
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield made
    finally:
        await server.stop(grace=None)


class EnvoyStream:
    """Envoy's side of one stream."""

    def __init__(self, variant: Variant, call: Any) -> None:
        self.variant = variant
        self._call = call

    async def send(self, body: bytes) -> None:
        await self._call.write(body)

    async def receive(self) -> bytes:
        body: bytes = await self._call.read()
        assert body is not grpc.aio.EOF
        return body

    async def told(self) -> Told:
        return Told(self.variant, await self.receive())

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the agent ended the stream."""
        return await self._call.code(), await self._call.details()

    async def half_close(self) -> None:
        await self._call.done_writing()

    def cancel(self) -> None:
        self._call.cancel()


@dataclass
class Rig:
    """The agent and what is around it."""

    agent: Agent
    discovery: ScriptedDiscovery
    shelf: Shelf
    trace: Trace
    clock: SkewedClock
    channel: Any
    directory: Path

    def envoy(self, variant: Variant) -> EnvoyStream:
        """A new Envoy stream."""
        name = next(name for name, known in METHODS.items() if known is variant)
        return EnvoyStream(variant, self.channel.stream_stream(f"/{SERVICE}/{name}")())

    async def connect(self, variant: Variant) -> tuple[EnvoyStream, DiscoveryStream]:
        """A new Envoy stream and the upstream stream that it led to."""
        return self.envoy(variant), await self.discovery.stream()

    def files(self) -> set[Path]:
        """The module files that are there."""
        return set(self.directory.rglob("*.wasm"))


@asynccontextmanager
async def agent_rig(
    directory: Path, profile: str = "istio-1.27", *fixed: str, discovery_address: str | None = None
) -> AsyncIterator[Rig]:
    """An agent on a Unix socket whose modules come from a shelf; a failed pull is tried again after a millisecond."""
    trace, shelf, clock = Trace(), Shelf(), SkewedClock()
    async with scripted_discovery() as discovery:
        options = AgentOptions(
            profile=load_profile(profile),
            discovery_address=discovery_address or discovery.address,
            listen=f"unix:{directory}/xds.sock",
            data_dir=directory / "data",
            module_expiry_s=60.0,
            fixed=frozenset(fixed),
            retry_pauses_s=lambda: repeat(0.001),
        )
        # The channel is the outer one: who waits for the end of a stream sees the agent leave.
        async with (
            grpc.aio.insecure_channel(options.listen, options=_UNLIMITED) as channel,
            agent(options, trace, clock, shelf) as part,
        ):
            yield Rig(part, discovery, shelf, trace, clock, channel, options.data_dir)

"""Discovery, the part: reads MCP, debounces, serves ADS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sim.clock import Clock, SystemClock
from sim.discovery.debounce import Debounce, DebounceTimes
from sim.discovery.gateway import ListenerFactory
from sim.discovery.mcp_client import McpClient
from sim.discovery.plugins import PullSecrets
from sim.discovery.state import KINDS, Configuration, PushContext, new_nonce, pushed_for
from sim.discovery.warm import warm_up
from sim.model import ECDS, Node
from sim.profiles import Profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.trace import Payload, Trace
from sim.xds import AdsServer, Answer, Reaction, ServerStream, ads_server
from sim.xds.packing import to_json


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """How Discovery is set up. `bind` is where the listeners it makes bind."""

    profile: Profile
    mcp_address: str
    listen: str = "127.0.0.1:0"
    debounce: DebounceTimes = field(default_factory=DebounceTimes)
    bind: str = "127.0.0.1"
    secrets: PullSecrets = field(default_factory=lambda: PullSecrets({}))


class Discovery:
    """The running part. `address` is its ADS endpoint."""

    def __init__(self, options: DiscoveryOptions, trace: Trace, clock: Clock | None = None) -> None:
        self._options = options
        self._trace = trace
        self._clock = clock or SystemClock()
        self._configuration = Configuration(validates=options.profile.plugin_validation)
        self._debounce = Debounce(options.debounce, self._push, trace, self._prepare)
        self._pushes = 0
        self._settled = False
        self._listeners = ListenerFactory(options.profile, options.bind)
        self.context = self._new_context()
        self._prepared: PushContext | None = None
        self.ads = AdsServer(self, self)
        self.mcp = McpClient(options.mcp_address, options.profile.mcp_types, self._receive, trace)

    @property
    def address(self) -> str:
        return self.ads.address

    @property
    def configuration(self) -> Configuration:
        """What was received over MCP, pushed already or not."""
        return self._configuration

    @property
    def profile(self) -> Profile:
        return self._options.profile

    # -- MCP in ---------------------------------------------------------------------------------------------

    def _receive(self, kind: str, version_info: str, resources: Sequence[mcp.Resource]) -> None:
        if kind not in KINDS:
            return
        received = self._configuration.replace(kind, resources)
        plugins = sorted(received.changed | received.removed) if kind == "WasmPlugin" else []
        self._trace.emit(
            "discovery.received",
            type_url=kind,
            version_info=version_info,
            resource=plugins[0] if len(plugins) == 1 else None,
            changed=sorted(received.changed),
            removed=sorted(received.removed),
            refused=dict(received.refused) or None,
        )
        if received:
            self._prepared = None
            if self._settled:
                self._debounce.changed(kind)

    def _prepare(self, kinds: frozenset[str]) -> None:
        """Make what the push after the debounce will send, while it waits. The push itself only stamps it."""
        context = self._prepared = self._new_context()
        for stream in self.ads.streams.values():
            stream.prepare(context, pushed_for(kinds))

    def _push(self, kinds: frozenset[str]) -> None:
        self._pushes += 1
        self.context, self._prepared = self._prepared or self._new_context(), None
        self.context.stamp(self._pushes, self._clock.now())
        self.ads.push(pushed_for(kinds))

    def _new_context(self) -> PushContext:
        state, plugins = self._configuration.freeze()
        return PushContext(
            version="",
            number=0,
            profile=self._options.profile,
            state=state,
            plugins=plugins,
            secrets=self._options.secrets,
            listeners=self._listeners,
        )

    # -- ADS out: the server's Source -----------------------------------------------------------------------

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        return self.context.answer(node, type_url, names)

    def nonce(self) -> str:
        return new_nonce(self.context.version)

    # -- and its Observer -----------------------------------------------------------------------------------

    def opened(self, stream: ServerStream) -> None:
        self._trace.emit("discovery.stream_opened", stream=stream.id, variant=str(stream.variant))

    def received(self, stream: ServerStream, reaction: Reaction) -> None:
        self._trace.emit(
            f"discovery.{reaction.kind}",
            node_id=stream.node.id,
            type_url=reaction.type_url,
            version_info=reaction.version_info or None,
            nonce=reaction.nonce or None,
            stream=stream.id,
            error=reaction.error,
        )

    def sent(self, stream: ServerStream, answer: Answer, nonce: str, pushed: bool) -> None:
        context = self.context
        images = {}
        if answer.type_url == ECDS:
            by_name = {plugin.extension_name(context.profile): plugin for plugin in context.plugins}
            images = {by_name[n].key: by_name[n].url for n in answer.names if n in by_name}
        self._trace.emit(
            "discovery.push",
            node_id=stream.node.id,
            type_url=answer.type_url,
            version_info=answer.version_info,
            nonce=nonce,
            payloads={
                "sent": Payload(lambda: [to_json(r.type_url, r.body) for r in answer.resources]),
            },
            stream=stream.id,
            resources=answer.names,
            reason="push" if pushed else "request",
            images=images or None,
        )

    def closed(self, stream: ServerStream) -> None:
        self._trace.emit("discovery.stream_closed", node_id=stream.node.id or None, stream=stream.id)

    def plugin_spec(self, key: str) -> ext.WasmPlugin | None:
        """The Istio WasmPlugin that Discovery holds under `namespace/name`."""
        found = self._configuration.by_kind["WasmPlugin"].get(key)
        return found if isinstance(found, ext.WasmPlugin) else None

    def settle(self) -> None:
        """Make push 1, of which nobody hears, of all that was received; from now on changes are debounced.

        So the first proxy is not served half a world.
        """
        self._settled = True
        self._push(frozenset())

    def close(self) -> None:
        self._debounce.close()


@asynccontextmanager
async def discovery(options: DiscoveryOptions, trace: Trace) -> AsyncIterator[Discovery]:
    """Discovery, up while inside. Like istiod it serves nobody before its MCP server has answered everything."""
    warm_up(options.profile)
    part = Discovery(options, trace)
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(part.mcp.run(), name="discovery-mcp")
        try:
            await part.mcp.synced.wait()
            part.settle()
            async with ads_server(part, part, options.listen, needs_node=True) as part.ads:
                yield part
        finally:
            reader.cancel()
            part.close()

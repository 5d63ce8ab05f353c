"""Core, the part: its controller, served as MCP over xDS (Istio's `istio.mcp.v1alpha1`)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from google.protobuf.json_format import MessageToDict

from sim.core.controller import KINDS, Controller, Kind, McpResource
from sim.core.options import CoreOptions
from sim.core.store import Store
from sim.model import TYPE_PREFIX, Node
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.trace import Payload, Trace
from sim.xds import AdsServer, Answer, Reaction, Resource, ServerStream, ads_server

_RESOURCE = TYPE_PREFIX + "istio.mcp.v1alpha1.Resource"


def kind_of(type_url: str) -> str:
    """`WasmPlugin` of `extensions.istio.io/v1alpha1/WasmPlugin`: the version in the middle is the client's choice."""
    return type_url.rpartition("/")[2]


class Core:
    """The running part. Put objects into `store`; what follows, follows."""

    def __init__(self, options: CoreOptions, trace: Trace, store: Store | None = None) -> None:
        self.store = store or Store()
        self.controller = Controller(self.store, options, trace)
        self._trace = trace
        self._nonces = itertools.count(1)
        self._answers: dict[tuple[str, int], Answer] = {}
        #: By stream: the plugins that changed since WasmPlugins last went out on it.
        self._changed_plugins: dict[int, frozenset[str]] = {}
        self.ads = AdsServer(self, self)
        self._stop = self.controller.listen(self._push)

    @property
    def address(self) -> str:
        return self.ads.address

    def _push(self, kinds: frozenset[Kind], plugins: frozenset[str]) -> None:
        for stream in self.ads.streams:
            self._changed_plugins[stream] = self._changed_plugins.get(stream, frozenset()) | plugins
        self.ads.push([url for stream in self.ads.streams.values() for url in stream.watches if kind_of(url) in kinds])

    # -- the server's Source: every type is answered, with an empty list where Core has nothing ----------------

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        revision = self.controller.revision
        key = (type_url, revision)
        if key not in self._answers:
            # Only the present revision is worth keeping.
            self._answers = {held: made for held, made in self._answers.items() if held[1] == revision}
            self._answers[key] = Answer(type_url, str(revision), self._resources(kind_of(type_url)))
        return self._answers[key]

    def nonce(self) -> str:
        return str(next(self._nonces))

    def _resources(self, kind: str) -> list[Resource]:
        for known in KINDS:
            if known == kind:
                return [Resource(r.name, _RESOURCE, envelope(r)) for r in self.controller.resources(known)]
        return []

    # -- and its Observer --------------------------------------------------------------------------------------

    def opened(self, stream: ServerStream) -> None:
        self._trace.emit("core.stream_opened", stream=stream.id)

    def received(self, stream: ServerStream, reaction: Reaction) -> None:
        self._trace.emit(
            f"core.{reaction.kind}",
            node_id=stream.node.id,
            type_url=reaction.type_url,
            version_info=reaction.version_info or None,
            nonce=reaction.nonce or None,
            stream=stream.id,
            error=reaction.error,
        )

    def sent(self, stream: ServerStream, answer: Answer, nonce: str, pushed: bool) -> None:
        changed: list[str] = []
        if kind_of(answer.type_url) == "WasmPlugin":
            changed = sorted(self._changed_plugins.pop(stream.id, ()))
        self._trace.emit(
            "core.mcp_push",
            node_id=stream.node.id,
            type_url=answer.type_url,
            version_info=answer.version_info,
            nonce=nonce,
            plugin=changed[0] if len(changed) == 1 else None,
            payloads={"sent": Payload(lambda: [_rendered(r) for r in answer.resources])} if answer.resources else None,
            stream=stream.id,
            resources=answer.names,
            reason="push" if pushed else "request",
            changed=changed or None,
        )

    def closed(self, stream: ServerStream) -> None:
        self._changed_plugins.pop(stream.id, None)
        self._trace.emit("core.stream_closed", stream=stream.id)

    def close(self) -> None:
        self._stop()
        self.controller.close()


def envelope(resource: McpResource) -> bytes:
    """The MCP resource around a message."""
    wrapped = mcp.Resource(metadata=mcp.Metadata(name=resource.name))
    if resource.create_time is not None:
        wrapped.metadata.create_time.FromDatetime(resource.create_time)
    # Maps have no order on the wire; without `deterministic` the same state could have two encodings.
    wrapped.body.Pack(resource.body, deterministic=True)
    return wrapped.SerializeToString(deterministic=True)


def _rendered(resource: Resource) -> object:
    return MessageToDict(mcp.Resource.FromString(resource.body))


@asynccontextmanager
async def core(
    options: CoreOptions, trace: Trace, *, listen: str = "127.0.0.1:0", store: Store | None = None
) -> AsyncIterator[Core]:
    """Core, up while inside."""
    part = Core(options, trace, store)
    try:
        async with ads_server(part, part, listen) as part.ads:
            yield part
    finally:
        part.close()

"""What Discovery holds: the MCP resources by kind, and what a proxy gets of them. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from sim.discovery import gateway
from sim.discovery.plugins import Plugin, PullSecrets, normalise_url
from sim.model import CDS, ECDS, EDS, LDS, RDS, Node
from sim.profiles import Profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from sim.xds import Answer, Resource

KINDS: dict[str, Callable[[], ProtoMessage]] = {
    "WasmPlugin": ext.WasmPlugin,
    "Gateway": net.Gateway,
    "VirtualService": net.VirtualService,
    "ServiceEntry": net.ServiceEntry,
}

#: What istiod pushes when a kind changed, in the order of sending.
PUSH_ORDER = (CDS, EDS, LDS, RDS, ECDS)
_PUSHED_FOR = {
    "WasmPlugin": {LDS, ECDS},
    "Gateway": {LDS, RDS},
    "VirtualService": {LDS, RDS},
    "ServiceEntry": {CDS, EDS, LDS, RDS},
}


def pushed_for(kinds: Collection[str]) -> list[str]:
    """The type URLs that a change of these kinds pushes, in order."""
    wanted = set().union(*(_PUSHED_FOR.get(kind, set()) for kind in kinds))
    return [type_url for type_url in PUSH_ORDER if type_url in wanted]


@dataclass(frozen=True, slots=True)
class Received:
    """What one MCP response changed: names added or changed, and names gone."""

    kind: str
    changed: frozenset[str]
    removed: frozenset[str]
    refused: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


class Configuration:
    """The resources received over MCP. A plugin's resource version changes with its spec, never without."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[str, ProtoMessage]] = {kind: {} for kind in KINDS}
        self.versions: dict[str, str] = {}
        self._stamps = 0

    def replace(self, kind: str, resources: Collection[mcp.Resource]) -> Received:
        """Take a whole MCP response for a kind: what it lacks is deleted."""
        held = self.by_kind[kind]
        fresh: dict[str, ProtoMessage] = {}
        refused: dict[str, str] = {}
        given: dict[str, str] = {}
        for item in resources:
            name = item.metadata.name
            message = KINDS[kind]()
            try:
                message.ParseFromString(item.body.value)
            except DecodeError as error:
                refused[name] = str(error)
                continue
            fresh[name] = message
            given[name] = item.metadata.version
        changed = {name for name, message in fresh.items() if held.get(name) != message}
        removed = held.keys() - fresh.keys()
        if kind == "WasmPlugin":
            for name in changed:
                self._stamps += 1
                self.versions[name] = given[name] or str(self._stamps)
        self.by_kind[kind] = fresh
        return Received(kind, frozenset(changed), frozenset(removed), refused)

    def freeze(self) -> tuple[gateway.GatewayState, list[Plugin]]:
        """What a push is made of; later changes do not reach it."""
        state = gateway.GatewayState(
            gateways={n: m for n, m in self.by_kind["Gateway"].items() if isinstance(m, net.Gateway)},
            virtual_services={
                n: m for n, m in self.by_kind["VirtualService"].items() if isinstance(m, net.VirtualService)
            },
            service_entries={n: m for n, m in self.by_kind["ServiceEntry"].items() if isinstance(m, net.ServiceEntry)},
        )
        plugins = []
        for key in sorted(self.by_kind["WasmPlugin"]):
            spec = self.by_kind["WasmPlugin"][key]
            assert isinstance(spec, ext.WasmPlugin)
            url = normalise_url(spec.url)
            if url is None:
                continue
            namespace, _, name = key.partition("/")
            plugins.append(Plugin(namespace, name, spec, self.versions.get(key, ""), url))
        return state, plugins


@dataclass(slots=True)
class PushContext:
    """An immutable state of the world and its version; answers are made once and remembered."""

    version: str
    number: int
    profile: Profile
    state: gateway.GatewayState
    plugins: list[Plugin]
    secrets: PullSecrets
    listeners: gateway.ListenerFactory
    _whole: dict[tuple[str, str, frozenset[tuple[str, str]]], list[Resource]] = field(default_factory=dict)
    _answers: dict[tuple[str, str, frozenset[tuple[str, str]], frozenset[str] | None], Answer] = field(
        default_factory=dict
    )

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        """The resources of a type for a node; None for a type that Discovery does not know."""
        if type_url not in PUSH_ORDER:
            return None
        group = (type_url, node.namespace, frozenset(node.labels.items()))
        key = (*group, None if names is None else frozenset(names))
        made = self._answers.get(key)
        if made is None:
            if group not in self._whole:
                self._whole[group] = self._generate(node, type_url)
            resources = [r for r in self._whole[group] if names is None or r.name in names]
            made = self._answers[key] = Answer(type_url, self.version, resources)
        return made

    def _generate(self, node: Node, type_url: str) -> list[Resource]:
        if type_url == CDS:
            return gateway.clusters(self.state)
        if type_url == EDS:
            return gateway.load_assignments(self.state)
        if type_url == LDS:
            return self.listeners.listeners(self.state, self.plugins, node)
        if type_url == RDS:
            return gateway.route_configurations(self.state, node)
        ports = gateway.gateway_ports(self.state, node) or [0]
        return [
            plugin.extension(self.profile, self.secrets)
            for plugin in self.plugins
            if any(plugin.selects(node, port) for port in ports)
        ]


def push_version(number: int, now: datetime) -> str:
    """`2026-01-31T12:00:00Z/7`, as istiod writes it."""
    return f"{now.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}/{number}"


def new_nonce(version: str) -> str:
    """istiod's nonce: the version and a random UUID."""
    return f"{version}{uuid.uuid4()}"

"""What Discovery holds: the MCP resources by kind, and what a proxy gets of them. No I/O."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from sim.discovery import gateway
from sim.discovery.plugins import Plugin, PullSecrets
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
        self._plugins: dict[str, Plugin] = {}
        self._stamps = 0
        self._gateway: gateway.GatewayState | None = None

    def replace(self, kind: str, resources: Collection[mcp.Resource]) -> Received:
        """Take a whole MCP response for a kind: what it lacks, or holds but can't be read, is deleted."""
        held = self.by_kind[kind]
        fresh: dict[str, ProtoMessage] = {}
        refused: dict[str, str] = {}
        metadata: dict[str, mcp.Metadata] = {}
        for item in resources:
            name = item.metadata.name
            message = KINDS[kind]()
            try:
                _read(item, message)
            except (DecodeError, ValueError) as error:
                refused[name] = str(error)
                continue
            fresh[name], metadata[name] = message, item.metadata
        changed = frozenset(name for name, message in fresh.items() if held.get(name) != message)
        removed = frozenset(held.keys() - fresh.keys())
        self.by_kind[kind] = fresh
        if kind == "WasmPlugin":
            self._follow(changed, metadata)
        else:
            self._gateway = None
        return Received(kind, changed, removed, refused)

    def _follow(self, changed: Collection[str], metadata: Mapping[str, mcp.Metadata]) -> None:
        """Keep the plugins of the unchanged specs, and make the others."""
        kept, self._plugins = self._plugins, {}
        for key in sorted(metadata):
            before = kept.get(key)
            created_s = metadata[key].create_time.seconds + metadata[key].create_time.nanos / 1e9
            if key in changed:
                self._stamps += 1
                version = metadata[key].version or str(self._stamps)
            elif before is None:
                # What istiod discards stays discarded.
                continue
            elif before.created_s == created_s:
                self._plugins[key] = before
                continue
            else:
                version = before.version
            namespace, _, name = key.partition("/")
            spec = self.by_kind["WasmPlugin"][key]
            assert isinstance(spec, ext.WasmPlugin)
            # istiod says in its log alone that it discards a plugin.
            with contextlib.suppress(ValueError):
                self._plugins[key] = Plugin(namespace, name, spec, version, created_s)

    def freeze(self) -> tuple[gateway.GatewayState, list[Plugin]]:
        """What a push is made of; later changes do not reach it."""
        if self._gateway is None:
            self._gateway = self._gateway_state()
        return self._gateway, list(self._plugins.values())

    def _gateway_state(self) -> gateway.GatewayState:
        return gateway.GatewayState(
            gateways={n: m for n, m in self.by_kind["Gateway"].items() if isinstance(m, net.Gateway)},
            virtual_services={
                n: m for n, m in self.by_kind["VirtualService"].items() if isinstance(m, net.VirtualService)
            },
            service_entries={n: m for n, m in self.by_kind["ServiceEntry"].items() if isinstance(m, net.ServiceEntry)},
        )


def _read(resource: mcp.Resource, message: ProtoMessage) -> None:
    """Fill the message. Raises DecodeError or ValueError for what istiod leaves out."""
    if resource.metadata.name.count("/") != 1:
        raise ValueError("its name is not namespace/name")
    expected = message.DESCRIPTOR.full_name
    if resource.body.type_url.rpartition("/")[2] != expected:
        raise ValueError(f"{resource.body.type_url or 'nothing'!r} is no {expected}")
    message.ParseFromString(resource.body.value)


@dataclass(slots=True)
class PushContext:
    """An immutable state of the world; answers are made once and remembered. Its version it gets when it is pushed."""

    version: str
    number: int
    profile: Profile
    state: gateway.GatewayState
    plugins: list[Plugin]
    secrets: PullSecrets
    listeners: gateway.ListenerFactory
    _whole: dict[tuple[str, str, str, frozenset[tuple[str, str]]], list[Resource]] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str, frozenset[tuple[str, str]], frozenset[str] | None], Answer] = field(
        default_factory=dict
    )

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        """The resources of a type for a node; None for a type that Discovery does not know."""
        if type_url not in PUSH_ORDER:
            return None
        bind = self.listeners.bind_of(node) if type_url == LDS else ""
        group = (type_url, bind, node.namespace, frozenset(node.labels.items()))
        key = (*group, None if names is None else frozenset(names))
        made = self._answers.get(key)
        if made is None:
            if group not in self._whole:
                self._whole[group] = self._generate(node, type_url)
            resources = [r for r in self._whole[group] if names is None or r.name in names]
            made = self._answers[key] = Answer(type_url, self.version, resources)
        return made

    @property
    def encodings(self) -> int:
        """How many different responses were encoded, their nonces apart."""
        return sum(len(answer.encoded) for answer in self._answers.values())

    def stamp(self, number: int, now: datetime) -> None:
        """Make this the push with that number."""
        self.number, self.version = number, push_version(number, now)
        for answer in self._answers.values():
            answer.version_info = self.version

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

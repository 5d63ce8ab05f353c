"""What Discovery holds: the MCP resources by kind, and what a proxy gets of them. No I/O."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from sim.discovery import gateway
from sim.discovery.plugins import Plugin, PullSecrets
from sim.discovery.validation import refusal
from sim.model import CDS, ECDS, EDS, LDS, RDS, Node
from sim.profiles import Profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from sim.xds import Answer, Resource

KINDS: dict[str, type[ProtoMessage]] = {
    "WasmPlugin": ext.WasmPlugin,
    "Gateway": net.Gateway,
    "VirtualService": net.VirtualService,
    "ServiceEntry": net.ServiceEntry,
}

_BY_NAME = {message.DESCRIPTOR.full_name: message for message in KINDS.values()}

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


@dataclass(slots=True)
class _Kept:
    """One resource as istiod's store has it. `marked`: its labels or annotations name istio.io."""

    message: ProtoMessage
    version: str
    created_s: float
    marked: bool


class Configuration:
    """The resources received over MCP, kept as istiod's store keeps them (pkg/adsc, pilot/pkg/config/memory).

    A resource that comes without a version is stamped anew by *each* response that holds it. Nothing is pushed for
    that, but the next push of plugins, whichever of them it is for, tells the new versions of all. One that comes with
    the version that is kept is not even looked at.

    `validates`: a WasmPlugin that istiod refuses leaves the one that it is to replace in force.
    """

    def __init__(self, *, validates: bool = False) -> None:
        self.by_kind: dict[str, dict[str, ProtoMessage]] = {kind: {} for kind in KINDS}
        self._kept: dict[str, dict[str, _Kept]] = {kind: {} for kind in KINDS}
        self._validates = validates
        #: None: to be made of what is kept at the next push.
        self._plugins: list[Plugin] | None = []
        self._stamps = 0
        self._gateway: gateway.GatewayState | None = None

    def replace(self, kind: str, resources: Collection[mcp.Resource]) -> Received:
        """Take a whole MCP response for a kind: what it lacks, or holds but can't be read, is deleted."""
        kept = self._kept[kind]
        changed: set[str] = set()
        named: set[str] = set()
        refused: dict[str, str] = {}
        for item in resources:
            name, before = item.metadata.name, kept.get(item.metadata.name)
            try:
                message = _read(item)
            except (DecodeError, ValueError) as error:
                refused[name] = str(error)
                continue
            named.add(name)
            if before is not None and item.metadata.version and item.metadata.version == before.version:
                continue
            problem = self._problem(message, kind)
            if problem is not None:
                refused[name] = problem
                continue
            kept[name] = made = self._keep(message, item.metadata)
            if before is None or before.message != made.message or before.marked or made.marked:
                changed.add(name)
        removed = frozenset(kept.keys() - named)
        for name in removed:
            del kept[name]
        self.by_kind[kind] = {name: held.message for name, held in kept.items()}
        if kind != "WasmPlugin":
            self._gateway = None
        elif changed or removed:
            self._plugins = None
        return Received(kind, frozenset(changed), removed, refused)

    def _problem(self, message: ProtoMessage, kind: str) -> str | None:
        if not isinstance(message, KINDS[kind]):
            return f"a {message.DESCRIPTOR.full_name} is no {kind}"
        return refusal(message) if self._validates and isinstance(message, ext.WasmPlugin) else None

    def _keep(self, message: ProtoMessage, metadata: mcp.Metadata) -> _Kept:
        version = metadata.version
        if not version and isinstance(message, ext.WasmPlugin):
            self._stamps += 1
            version = str(self._stamps)
        return _Kept(
            message,
            version,
            metadata.create_time.seconds + metadata.create_time.nanos / 1e9,
            any("istio.io" in key for keys in (metadata.labels, metadata.annotations) for key in keys),
        )

    def freeze(self) -> tuple[gateway.GatewayState, list[Plugin]]:
        """What a push is made of; later changes do not reach it."""
        if self._gateway is None:
            self._gateway = self._gateway_state()
        if self._plugins is None:
            self._plugins = list(self._made_plugins())
        return self._gateway, list(self._plugins)

    def _made_plugins(self) -> Iterator[Plugin]:
        for key, kept in sorted(self._kept["WasmPlugin"].items()):
            namespace, _, name = key.partition("/")
            assert isinstance(kept.message, ext.WasmPlugin)
            # istiod says in its log alone that it discards a plugin.
            with contextlib.suppress(ValueError):
                yield Plugin(namespace, name, kept.message, kept.version, kept.created_s)

    def _gateway_state(self) -> gateway.GatewayState:
        return gateway.GatewayState(
            gateways={n: m for n, m in self.by_kind["Gateway"].items() if isinstance(m, net.Gateway)},
            virtual_services={
                n: m for n, m in self.by_kind["VirtualService"].items() if isinstance(m, net.VirtualService)
            },
            service_entries={n: m for n, m in self.by_kind["ServiceEntry"].items() if isinstance(m, net.ServiceEntry)},
        )


def _read(resource: mcp.Resource) -> ProtoMessage:
    """The message inside. Raises DecodeError or ValueError for what istiod can't read."""
    if resource.metadata.name.count("/") != 1:
        raise ValueError("its name is not namespace/name")
    full_name = resource.body.type_url.rpartition("/")[2]
    if full_name not in _BY_NAME:
        raise ValueError(f"{resource.body.type_url or 'nothing'!r} is not known")
    return _BY_NAME[full_name].FromString(resource.body.value)


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
        return [
            plugin.extension(self.profile, self.secrets) for plugin in self.plugins if plugin.served(node, self.profile)
        ]


def push_version(number: int, now: datetime) -> str:
    """`2026-01-31T12:00:00Z/7`, as istiod writes it."""
    return f"{now.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}/{number}"


def new_nonce(version: str) -> str:
    """istiod's nonce: the version and a random UUID."""
    return f"{version}{uuid.uuid4()}"

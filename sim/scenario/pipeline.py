"""The parts of a run, put together: registry, Core, Discovery, and agent and Envoy of each gateway, upstream first."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.affinity import on_one_core
from sim.agent import Agent, AgentOptions, FetchOptions, agent
from sim.clock import SkewedClock
from sim.core import CoreOptions, Store
from sim.core.mcp import Core, core
from sim.discovery import DebounceTimes, Discovery, DiscoveryOptions, discovery
from sim.envoy import (
    BootstrapOptions,
    Envoy,
    EnvoyBinary,
    EnvoyOptions,
    envoy,
    reserved_port,
    responder_bootstrap,
)
from sim.envoy.log import WasmLogLevel
from sim.errors import EnvironmentProblem, InvalidInput, StepFailed
from sim.model import Node, gateway_node
from sim.oci import Image, Reference, Registry, push
from sim.profiles import Profile
from sim.scenario.embedded_registry import EmbeddedRegistry
from sim.scenario.external import OURS, ExternalParts
from sim.scenario.faults import FaultBoard, FaultyLink, LinkName
from sim.scenario.pull_secrets import ClusterSecrets
from sim.scenario.readiness import SOCKET_BEHIND, XDS_SOCKET, accepts, gateway_ready, state_directory, synced
from sim.scenario.recording import Recorder, recording_path
from sim.scenario.registry_spec import RegistrySpec
from sim.scenario.run_faults import RunFaults
from sim.scenario.slots import Part, Slot
from sim.scenario.stops import Stops
from sim.trace import Trace
from sim.traffic.echo import Echo
from sim.xds import Tap

#: Pushes an image to the run's registry, as a user who may. Raises EnvironmentProblem.
PushImage = Callable[[Image, Reference], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """One gateway. `name` tells it from others; the only one of a run needs none."""

    name: str = ""
    workers: int = 2
    labels: dict[str, str] = field(default_factory=dict)
    wasm_log: WasmLogLevel = "info"


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a pipeline is made of. `hosts` are the registries' names that the run's registry answers for;
    `allowed_registries` those that an agent asks themselves.

    `fixed` names bugs of the profile that are not reproduced; the parts of `external` run already. `stock` may push
    images before anybody can ask for one. `links` are those that faults may be put on, each with whether it must
    understand xDS; where there is none, the parts talk to each other directly. `seed` is for the lots of faults.
    """

    profile: Profile
    envoy: EnvoyBinary
    directory: Path
    gateways: tuple[GatewayOptions, ...] = (GatewayOptions(),)
    gateway_port: int = 0
    debounce: DebounceTimes = field(default_factory=DebounceTimes)
    hosts: frozenset[str] = frozenset()
    allowed_registries: frozenset[str] = frozenset()
    echo_upstream: bool = False
    fixed: frozenset[str] = frozenset()
    external: ExternalParts = OURS
    stock: Callable[[PushImage], Awaitable[None]] | None = None
    module_expiry_s: float = 24 * 3600.0
    registry: RegistrySpec = field(default_factory=RegistrySpec)
    links: Mapping[LinkName, bool] = field(default_factory=dict)
    seed: int = 0
    #: Whether the embedded registry answers for every host there is, beside those of `hosts`.
    every_host: bool = False
    #: Where a rollout is held, step by step; None where it never is.
    stops: Stops | None = None
    #: Hops of which every message is kept, in `streams/` of the directory.
    record: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ElsewherePart:
    """A part that somebody else runs."""

    address: str


@dataclass(slots=True)
class GatewayParts:
    """One gateway: its agent and its Envoy. `directory` has what Envoy leaves behind, `data_dir` the modules."""

    options: GatewayOptions
    node: Node
    host: str
    port: int
    directory: Path
    data_dir: Path
    trace: Trace
    #: The agent's.
    clock: SkewedClock
    agent_slot: Slot[Agent]
    envoy_slot: Slot[Envoy]
    faults: FaultBoard

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def agent(self) -> Agent:
        return self.agent_slot.part

    @property
    def envoy(self) -> Envoy:
        return self.envoy_slot.part

    async def ready(self) -> bool:
        """Whether its listener takes connections at this moment."""
        if not self.envoy_slot.running:
            return False
        try:
            listening = await self.envoy.admin.listener_ready(f"0.0.0.0_{self.port}")
        except EnvironmentProblem:
            return False
        return listening and await accepts(self.host, self.port)


@dataclass(slots=True)
class Pipeline:
    """The parts, running. One that is external has an address alone."""

    options: PipelineOptions
    trace: Trace
    gateway_port: int
    upstream_port: int
    #: The manifests, which outlive Core as they do in a cluster.
    store: Store
    #: None where the run uses another.
    embedded: EmbeddedRegistry | None
    registry_slot: Slot[Registry] | None = None
    core_slot: Slot[Core] | None = None
    discovery_slot: Slot[Discovery] | None = None
    gateways: list[GatewayParts] = field(default_factory=list)
    #: On what all gateways share; None until all parts are up.
    shared_faults: FaultBoard | None = None

    @property
    def registry(self) -> Registry | ElsewherePart:
        return _part(self.registry_slot, self.options.external.registry)

    @property
    def discovery(self) -> Discovery | ElsewherePart:
        return _part(self.discovery_slot, self.options.external.discovery)

    @property
    def faults(self) -> RunFaults:
        """All the faults that there are and can be."""
        assert self.shared_faults is not None
        return RunFaults(self.shared_faults, {gateway.name: gateway.faults for gateway in self.gateways})

    async def push(self, image: Image, reference: Reference) -> None:
        """Push an image, as a user who may, past every fault.

        Raises EnvironmentProblem, and StepFailed while the registry is down.
        """
        address = self.registry.address
        if self.embedded is None:
            await push(image, reference, address)
        else:
            await self.embedded.push(image, reference, address)

    @property
    def gateway(self) -> GatewayParts:
        """The first one."""
        return self.gateways[0]

    def gateway_named(self, name: str | None) -> GatewayParts:
        """The gateway of that name, the first for None, the only one for any. Raises StepFailed when there is none."""
        if name is None or len(self.gateways) == 1:
            return self.gateway
        for found in self.gateways:
            if found.name == name:
                return found
        raise StepFailed(f"there is no gateway {name}")

    @property
    def core(self) -> Core:
        """Our own Core. Raises InvalidInput when the run uses another; `ExternalParts.check` says so beforehand."""
        if self.core_slot is None:
            raise InvalidInput(
                "the Core is not ours, so no manifest can be applied to it", hint="leave --with out, or such steps"
            )
        return self.core_slot.part

    @property
    def slots(self) -> list[Slot[Any]]:
        """Every part that this run has started, upstream first."""
        shared = [slot for slot in (self.registry_slot, self.core_slot, self.discovery_slot) if slot is not None]
        return [*shared, *(slot for each in self.gateways for slot in (each.agent_slot, each.envoy_slot))]

    def slot(self, name: str) -> Slot[Any]:
        """The part of that name: `core`, `discovery`, `registry`, `agent`, `envoy`, `agent/<gateway>`, ….

        Raises StepFailed for one that is not ours or that there is not.
        """
        part, _, gateway = name.partition("/")
        if part in ("agent", "envoy"):
            parts = self.gateway_named(gateway or None)
            return parts.agent_slot if part == "agent" else parts.envoy_slot
        slots: dict[str, Slot[Any] | None] = {
            "core": self.core_slot,
            "discovery": self.discovery_slot,
            "registry": self.registry_slot,
        }
        found = slots.get(name)
        if found is None:
            raise StepFailed(f"{name} is not a part that this run has started")
        return found


def _part(slot: Slot[Part] | None, elsewhere: str | None) -> Part | ElsewherePart:
    return slot.part if slot is not None else ElsewherePart(elsewhere or "")


@asynccontextmanager
async def pipeline(options: PipelineOptions, trace: Trace) -> AsyncIterator[Pipeline]:
    """Every part up and every gateway's listener open; all gone when left.

    What a part dies of is raised in a group, from wherever the pipeline is used.
    """
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        stack.enter_context(on_one_core())
        made = _Assembly(options, trace, tasks, stack, Path(stack.enter_context(state_directory())))
        running = await made.run()
        # What was imported and set up stays: without this the collector goes through all of it in the middle of a
        # rollout, and stops the parts for tens of milliseconds.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        yield running


class _Assembly:
    """Puts the parts together, each in a slot that the stack empties."""

    def __init__(
        self, options: PipelineOptions, trace: Trace, tasks: asyncio.TaskGroup, stack: AsyncExitStack, state: Path
    ) -> None:
        self._options = options
        self._trace = trace
        self._tasks = tasks
        self._stack = stack
        self._state = state
        self._recorders: dict[Path, Recorder] = {}

    async def run(self) -> Pipeline:
        options, external = self._options, self._options.external
        hosts = [f"127.0.0.{number + 1}" for number in range(len(options.gateways))]
        gateway_port = self._stack.enter_context(reserved_port(options.gateway_port, hosts[0]))
        for host in hosts[1:]:
            self._stack.enter_context(reserved_port(gateway_port, host))
        responder_port = self._stack.enter_context(reserved_port())
        upstream_port = responder_port
        if options.echo_upstream:
            upstream_port = (await self._stack.enter_async_context(Echo())).port
        elif len(hosts) > 1:
            await self._upstream_envoy(responder_port)
        embedded = None
        if external.registry is None:
            embedded = EmbeddedRegistry(options.registry, self._state / "registry", self._trace)
        running = Pipeline(
            options=options,
            trace=self._trace,
            gateway_port=gateway_port,
            upstream_port=upstream_port,
            store=Store(),
            embedded=embedded,
        )
        if embedded is not None:
            running.registry_slot = await self._registry(embedded)
        if options.stock is not None:
            await options.stock(running.push)
        if external.own_core:
            core_options = CoreOptions(gateway_port=gateway_port, upstream=("127.0.0.1", upstream_port))
            running.core_slot = await self._core(running.store, core_options)
        mcp = running.core_slot.part.address if running.core_slot is not None else external.core
        links: dict[LinkName, FaultyLink] = {}
        if mcp is not None:
            mcp = await self._through("core-discovery", mcp, links)
            running.discovery_slot = await self._discovery(mcp, running.store)
        running.shared_faults = FaultBoard(
            self._trace, links, embedded.pull_faults if embedded is not None else None, seed=options.seed
        )
        for host, each in zip(hosts, options.gateways, strict=True):
            responder = responder_port if len(hosts) == 1 else None
            running.gateways.append(await self._gateway(running, each, host, responder))
        for gateway in running.gateways:
            await gateway_ready(gateway.envoy, gateway.port, gateway.trace, gateway.host)
        return running

    @asynccontextmanager
    async def _recorded(
        self,
        starting: AbstractAsyncContextManager[Part],
        hop: str,
        listen_in: Callable[[Part, Tap], None],
        gateway: str = "",
    ) -> AsyncIterator[Part]:
        """The part, with what it says on its side of the hop kept, if that is wanted."""
        async with starting as part:
            if hop in self._options.record:
                path = recording_path(self._options.directory, hop, gateway)
                if path not in self._recorders:
                    self._recorders[path] = self._stack.enter_context(Recorder(path))
                listen_in(part, self._recorders[path].tap())
            yield part

    async def _through(
        self, name: LinkName, upstream: str, links: dict[LinkName, FaultyLink], listen: str = "127.0.0.1:0"
    ) -> str:
        """Where clients reach `upstream`: at a link where this run may put faults on one, else directly."""
        if name not in self._options.links:
            return upstream
        stops = self._options.stops
        hold = stops.on_link(name) if stops is not None else None
        link = FaultyLink(name, listen, upstream, xds=self._options.links[name], hold=hold)
        links[name] = await self._stack.enter_async_context(link)
        return link.address

    async def _up(self, slot: Slot[Any]) -> None:
        self._stack.push_async_callback(slot.down)
        await slot.up()

    async def _registry(self, embedded: EmbeddedRegistry) -> Slot[Registry]:
        def make(address: str) -> AbstractAsyncContextManager[Registry]:
            return embedded.serving(_port_of(address))

        slot = Slot("registry", self._tasks, make, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _core(self, store: Store, options: CoreOptions) -> Slot[Core]:
        def make(address: str) -> AbstractAsyncContextManager[Core]:
            starting = core(options, self._trace, listen=address or "127.0.0.1:0", store=store)
            return self._recorded(starting, "core-discovery", lambda part, tap: setattr(part.ads, "tap", tap))

        slot = Slot("core", self._tasks, make, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _discovery(self, mcp_address: str, store: Store) -> Slot[Discovery]:
        secrets = ClusterSecrets(store)

        @asynccontextmanager
        async def make(address: str) -> AsyncIterator[Discovery]:
            async with AsyncExitStack() as stack:
                yield await synced(
                    stack,
                    discovery(
                        DiscoveryOptions(
                            profile=self._options.profile,
                            mcp_address=mcp_address,
                            listen=address or "127.0.0.1:0",
                            debounce=self._options.debounce,
                            secrets=secrets,
                        ),
                        self._trace,
                    ),
                    mcp_address,
                )

        def recorded(address: str) -> AbstractAsyncContextManager[Discovery]:
            return self._recorded(make(address), "discovery-agent", lambda part, tap: setattr(part.ads, "tap", tap))

        slot = Slot("discovery", self._tasks, recorded, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _gateway(
        self, running: Pipeline, options: GatewayOptions, host: str, responder: int | None
    ) -> GatewayParts:
        run = self._options
        several = len(run.gateways) > 1
        state = self._state / options.name if several else self._state
        directory = run.directory / "gateways" / options.name if several else run.directory
        state.mkdir(exist_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        trace = self._trace.tagged(gateway=options.name) if several else self._trace
        node = gateway_node(options.name or "gateway-1", host, options.labels)
        clock = SkewedClock()
        links: dict[LinkName, FaultyLink] = {}
        own_registry, embedded = running.registry.address, running.embedded
        registry = await self._through("agent-registry", own_registry, links)
        discovery_address = await self._through("discovery-agent", running.discovery.address, links)
        xds_socket = f"unix:{state}/{XDS_SOCKET}"
        agent_socket = f"unix:{state}/{SOCKET_BEHIND}" if "agent-envoy" in run.links else xds_socket
        await self._through("agent-envoy", agent_socket, links, xds_socket)

        def make_agent(_: str) -> AbstractAsyncContextManager[Agent]:
            starting = agent(
                AgentOptions(
                    profile=run.profile,
                    discovery_address=discovery_address,
                    listen=agent_socket,
                    data_dir=state / "modules",
                    fetch=FetchOptions(
                        mirrors=Mirrors(
                            run.hosts,
                            embedded.mirror(registry) if embedded is not None else registry,
                            every_host=run.every_host,
                            but=run.allowed_registries,
                        ),
                        allowed_registries=run.allowed_registries | {own_registry},
                        ssl_context=embedded.trust if embedded is not None else None,
                    ),
                    fixed=run.fixed,
                    module_expiry_s=run.module_expiry_s,
                    before=run.stops.reach if run.stops is not None else None,
                ),
                trace,
                clock,
            )
            gateway = options.name if several else ""
            return self._recorded(starting, "agent-envoy", lambda part, tap: part.listen_in(tap), gateway)

        def make_envoy(_: str) -> AbstractAsyncContextManager[Envoy]:
            return envoy(
                EnvoyOptions(
                    binary=run.envoy,
                    bootstrap=BootstrapOptions(
                        node=node,
                        xds_address=xds_socket,
                        delta=run.profile.xds_variant == "delta",
                        upstream_port=responder,
                    ),
                    directory=directory,
                    workers=options.workers,
                    wasm_log=options.wasm_log,
                ),
                trace,
            )

        suffix = f"/{options.name}" if several else ""
        parts = GatewayParts(
            options=options,
            node=node,
            host=host,
            port=running.gateway_port,
            directory=directory,
            data_dir=state / "modules",
            trace=trace,
            clock=clock,
            faults=FaultBoard(trace, links, seed=f"{run.seed}/{options.name}"),
            agent_slot=Slot(f"agent{suffix}", self._tasks, make_agent),
            envoy_slot=Slot(f"envoy{suffix}", self._tasks, lambda _: _watched(make_envoy(""))),
        )
        await self._up(parts.agent_slot)
        await self._up(parts.envoy_slot)
        return parts

    async def _upstream_envoy(self, port: int) -> None:
        """What answers behind several gateways: none of them, since each may be killed."""
        directory = self._options.directory / "upstream"
        directory.mkdir(parents=True, exist_ok=True)
        options = EnvoyOptions(
            binary=self._options.envoy, bootstrap=responder_bootstrap(port), directory=directory, workers=1
        )
        slot = Slot(
            "upstream", self._tasks, lambda _: _watched(envoy(options, self._trace.tagged(gateway="(upstream)")))
        )
        await self._up(slot)


@asynccontextmanager
async def _watched(starting: AbstractAsyncContextManager[Envoy]) -> AsyncIterator[Envoy]:
    """An Envoy whose unasked death is raised."""
    async with starting as running, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_until_dead(running), name="watch-envoy")
        try:
            yield running
        finally:
            watching.cancel()


async def _until_dead(running: Envoy) -> None:
    raise await asyncio.shield(running.died)


class Mirrors(dict[str, str]):
    """The agent's mirror table: the registry at `address` answers for these hosts, or for any at all `but` some."""

    def __init__(
        self, hosts: Collection[str], address: str, *, every_host: bool, but: Collection[str] = frozenset()
    ) -> None:
        super().__init__(dict.fromkeys(hosts, address))
        self._address = address if every_host else None
        self._but = but

    def get(self, host: str, default: Any = None) -> Any:
        """The address, `default` for a host that is answered for by nobody."""
        return super().get(host, default if host in self._but else self._address or default)


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2]) if address else 0

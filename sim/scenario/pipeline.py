"""The parts of a run, put together: registry, Core, Discovery, and agent and Envoy of each gateway, upstream first."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
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
from sim.errors import EnvironmentProblem, InvalidInput, StepFailed
from sim.model import LDS, Node, gateway_node
from sim.oci import Registry
from sim.profiles import Profile
from sim.scenario.external import OURS, ExternalParts
from sim.scenario.pull_secrets import ClusterSecrets
from sim.scenario.slots import Part, Slot
from sim.trace import Trace
from sim.traffic.echo import Echo

_READY_S = 20.0
_SOCKET = "xds.sock"
#: Of `sun_path` (unix(7)), without the end mark.
_MOST_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """One gateway. `name` tells it from others; the only one of a run needs none."""

    name: str = ""
    workers: int = 2
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a pipeline is made of. `hosts` are the registries' names that the embedded one answers for.

    `fixed` names bugs of the profile that are not reproduced; the parts of `external` run already. `stock` is given
    the registry's address before anybody can ask for an image.
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
    stock: Callable[[str], Awaitable[None]] | None = None
    module_expiry_s: float = 24 * 3600.0


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
        return listening and await _accepts(self.host, self.port)


@dataclass(slots=True)
class Pipeline:
    """The parts, running. One that is external has an address alone."""

    options: PipelineOptions
    trace: Trace
    gateway_port: int
    upstream_port: int
    registry_slot: Slot[Registry] | None
    core_slot: Slot[Core] | None
    discovery_slot: Slot[Discovery] | None
    gateways: list[GatewayParts]
    #: The manifests, which outlive Core as they do in a cluster.
    store: Store

    @property
    def registry(self) -> Registry | ElsewherePart:
        return _part(self.registry_slot, self.options.external.registry)

    @property
    def discovery(self) -> Discovery | ElsewherePart:
        return _part(self.discovery_slot, self.options.external.discovery)

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
        registry_slot = None if external.registry is not None else await self._registry()
        registry = registry_slot.part.address if registry_slot is not None else external.registry or ""
        if options.stock is not None:
            await options.stock(registry)
        store = Store()
        core_slot = None
        if external.own_core:
            core_slot = await self._core(
                store, CoreOptions(gateway_port=gateway_port, upstream=("127.0.0.1", upstream_port))
            )
        mcp = core_slot.part.address if core_slot is not None else external.core
        discovery_slot = None if mcp is None else await self._discovery(mcp, store)
        xds = discovery_slot.part.address if discovery_slot is not None else external.discovery or ""
        running = Pipeline(
            options=options,
            trace=self._trace,
            gateway_port=gateway_port,
            upstream_port=upstream_port,
            registry_slot=registry_slot,
            core_slot=core_slot,
            discovery_slot=discovery_slot,
            gateways=[],
            store=store,
        )
        for host, each in zip(hosts, options.gateways, strict=True):
            responder = responder_port if len(hosts) == 1 else None
            running.gateways.append(await self._gateway(each, host, gateway_port, xds, registry, responder))
        for gateway in running.gateways:
            await gateway_ready(gateway.envoy, gateway.port, gateway.trace, gateway.host)
        return running

    async def _up(self, slot: Slot[Any]) -> None:
        self._stack.push_async_callback(slot.down)
        await slot.up()

    async def _registry(self) -> Slot[Registry]:
        def make(address: str) -> AbstractAsyncContextManager[Registry]:
            return Registry(self._state / "registry", self._trace, port=_port_of(address))

        slot = Slot("registry", self._tasks, make, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _core(self, store: Store, options: CoreOptions) -> Slot[Core]:
        def make(address: str) -> AbstractAsyncContextManager[Core]:
            return core(options, self._trace, listen=address or "127.0.0.1:0", store=store)

        slot = Slot("core", self._tasks, make, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _discovery(self, mcp_address: str, store: Store) -> Slot[Discovery]:
        secrets = ClusterSecrets(store)

        @asynccontextmanager
        async def make(address: str) -> AsyncIterator[Discovery]:
            async with AsyncExitStack() as stack:
                yield await _synced(
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

        slot = Slot("discovery", self._tasks, make, lambda part: part.address)
        await self._up(slot)
        return slot

    async def _gateway(
        self,
        options: GatewayOptions,
        host: str,
        port: int,
        discovery_address: str,
        registry: str,
        responder: int | None,
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
        socket = f"unix:{state}/{_SOCKET}"

        def make_agent(_: str) -> AbstractAsyncContextManager[Agent]:
            return agent(
                AgentOptions(
                    profile=run.profile,
                    discovery_address=discovery_address,
                    listen=socket,
                    data_dir=state / "modules",
                    fetch=FetchOptions(
                        mirrors=dict.fromkeys(run.hosts, registry),
                        allowed_registries=run.allowed_registries | {registry},
                    ),
                    fixed=run.fixed,
                    module_expiry_s=run.module_expiry_s,
                ),
                trace,
                clock,
            )

        def make_envoy(_: str) -> AbstractAsyncContextManager[Envoy]:
            return envoy(
                EnvoyOptions(
                    binary=run.envoy,
                    bootstrap=BootstrapOptions(
                        node=node,
                        xds_address=socket,
                        delta=run.profile.xds_variant == "delta",
                        upstream_port=responder,
                    ),
                    directory=directory,
                    workers=options.workers,
                ),
                trace,
            )

        suffix = f"/{options.name}" if several else ""
        parts = GatewayParts(
            options=options,
            node=node,
            host=host,
            port=port,
            directory=directory,
            data_dir=state / "modules",
            trace=trace,
            clock=clock,
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


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2]) if address else 0


async def _synced(
    stack: AsyncExitStack, starting: AbstractAsyncContextManager[Discovery], mcp_address: str
) -> Discovery:
    """Discovery, which waits for its MCP server; only another one than ours keeps it waiting."""
    try:
        async with asyncio.timeout(_READY_S):
            return await stack.enter_async_context(starting)
    except TimeoutError:
        raise EnvironmentProblem(
            f"the Core at {mcp_address} did not answer everything that Discovery asked for within {_READY_S:g} s",
            hint="see whether it speaks MCP over xDS, and its log",
        ) from None


def state_directory() -> tempfile.TemporaryDirectory[str]:
    """Where a run's sockets and modules live: in TMPDIR, or in /tmp where TMPDIR is too long for a Unix socket.

    Raises EnvironmentProblem when neither will do.
    """
    for parent in (None, "/tmp"):
        try:
            made = tempfile.TemporaryDirectory(prefix="ecdsim-", dir=parent)
        except OSError as error:
            raise EnvironmentProblem(
                f"no temporary directory can be made: {error}", hint="point TMPDIR at one that can be written"
            ) from error
        if len(os.fsencode(f"{made.name}/{_SOCKET}")) <= _MOST_SOCKET_PATH_BYTES:
            return made
        made.cleanup()
    raise EnvironmentProblem(
        f"{tempfile.gettempdir()} is too long for a Unix socket in it", hint="point TMPDIR at a shorter path"
    )


async def gateway_ready(running: Envoy, port: int, trace: Trace, host: str = "127.0.0.1") -> None:
    """Envoy has taken its listener and accepts connections there."""
    acked = asyncio.create_task(trace.wait_for(lambda e: e.event == "envoy.ack" and e.type_url == LDS))
    try:
        async with asyncio.timeout(_READY_S):
            either: set[asyncio.Future[Any]] = {acked, running.died}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.died.done():
                raise running.died.result()
            # Envoy has no event to tell that its workers listen; it has to be asked.
            while not (await running.admin.listener_ready(f"0.0.0.0_{port}") and await _accepts(host, port)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise EnvironmentProblem(
            f"the gateway's listener on port {port} did not come up within {_READY_S:g} s",
            hint=f"the end of Envoy's log:\n{running.log_tail}",
        ) from None
    finally:
        acked.cancel()
        await asyncio.gather(acked, return_exceptions=True)


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

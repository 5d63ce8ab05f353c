"""The parts of a run, put together: registry, Core, Discovery, agent, Envoy, upstream first."""

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
from sim.core import CoreOptions
from sim.core.mcp import Core, core
from sim.discovery import DebounceTimes, Discovery, DiscoveryOptions, discovery
from sim.envoy import BootstrapOptions, Envoy, EnvoyBinary, EnvoyOptions, envoy, reserved_port
from sim.errors import EnvironmentProblem, InvalidInput
from sim.model import LDS, gateway_node
from sim.oci import Registry
from sim.profiles import Profile
from sim.scenario.external import OURS, ExternalParts
from sim.trace import Trace
from sim.traffic.echo import Echo

_READY_S = 20.0
_SOCKET = "xds.sock"
#: Of `sun_path` (unix(7)), without the end mark.
_MOST_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a pipeline is made of. `hosts` are the registries' names that the embedded one answers for.

    `fixed` names bugs of the profile that are not reproduced; the parts of `external` run already. `stock` is given
    the registry's address before anybody can ask for an image.
    """

    profile: Profile
    envoy: EnvoyBinary
    directory: Path
    workers: int = 2
    gateway_port: int = 0
    debounce: DebounceTimes = field(default_factory=DebounceTimes)
    hosts: frozenset[str] = frozenset()
    allowed_registries: frozenset[str] = frozenset()
    echo_upstream: bool = False
    fixed: frozenset[str] = frozenset()
    external: ExternalParts = OURS
    stock: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class ElsewherePart:
    """A part that somebody else runs."""

    address: str


@dataclass(slots=True)
class Pipeline:
    """The parts, running. One that is external has an address alone."""

    options: PipelineOptions
    trace: Trace
    gateway_port: int
    upstream_port: int
    registry: Registry | ElsewherePart
    discovery: Discovery | ElsewherePart
    agent: Agent
    envoy: Envoy
    #: The agent's module files.
    data_dir: Path
    own_core: Core | None

    @property
    def core(self) -> Core:
        """Our own Core. Raises InvalidInput when the run uses another; `ExternalParts.check` says so beforehand."""
        if self.own_core is None:
            raise InvalidInput(
                "the Core is not ours, so no manifest can be applied to it", hint="leave --with out, or such steps"
            )
        return self.own_core


@asynccontextmanager
async def pipeline(options: PipelineOptions, trace: Trace) -> AsyncIterator[Pipeline]:
    """Every part up and Envoy's gateway listener open; all gone when left."""
    async with AsyncExitStack() as stack:
        stack.enter_context(on_one_core())
        state = Path(stack.enter_context(state_directory()))
        gateway_port = stack.enter_context(reserved_port(options.gateway_port))
        responder_port = stack.enter_context(reserved_port())
        upstream_port = responder_port
        if options.echo_upstream:
            upstream_port = (await stack.enter_async_context(Echo())).port
        external = options.external
        registry: Registry | ElsewherePart
        if external.registry is not None:
            registry = ElsewherePart(external.registry)
        else:
            registry = await stack.enter_async_context(Registry(state / "registry", trace))
        if options.stock is not None:
            await options.stock(registry.address)
        core_part: Core | None = None
        if external.own_core:
            core_part = await stack.enter_async_context(
                core(CoreOptions(gateway_port=gateway_port, upstream=("127.0.0.1", upstream_port)), trace)
            )
        mcp_address = core_part.address if core_part is not None else external.core
        discovery_part: Discovery | ElsewherePart
        if mcp_address is None:
            assert external.discovery is not None
            discovery_part = ElsewherePart(external.discovery)
        else:
            made = discovery(
                DiscoveryOptions(profile=options.profile, mcp_address=mcp_address, debounce=options.debounce), trace
            )
            discovery_part = await _synced(stack, made, mcp_address)
        agent_part = await stack.enter_async_context(
            agent(
                AgentOptions(
                    profile=options.profile,
                    discovery_address=discovery_part.address,
                    listen=f"unix:{state}/{_SOCKET}",
                    data_dir=state / "modules",
                    fetch=FetchOptions(
                        mirrors=dict.fromkeys(options.hosts, registry.address),
                        allowed_registries=options.allowed_registries | {registry.address},
                    ),
                    fixed=options.fixed,
                ),
                trace,
            )
        )
        envoy_part = await stack.enter_async_context(
            envoy(
                EnvoyOptions(
                    binary=options.envoy,
                    bootstrap=BootstrapOptions(
                        node=gateway_node(),
                        xds_address=agent_part.address,
                        delta=options.profile.xds_variant == "delta",
                        upstream_port=responder_port,
                    ),
                    directory=options.directory,
                    workers=options.workers,
                ),
                trace,
            )
        )
        await gateway_ready(envoy_part, gateway_port, trace)
        # What was imported and set up stays: without this the collector goes through all of it in the middle of a
        # rollout, and stops the parts for tens of milliseconds.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        yield Pipeline(
            options=options,
            trace=trace,
            gateway_port=gateway_port,
            upstream_port=upstream_port,
            registry=registry,
            discovery=discovery_part,
            agent=agent_part,
            envoy=envoy_part,
            data_dir=state / "modules",
            own_core=core_part,
        )


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


async def gateway_ready(running: Envoy, port: int, trace: Trace) -> None:
    """Envoy has taken its listener and accepts connections there."""
    acked = asyncio.create_task(trace.wait_for(lambda e: e.event == "envoy.ack" and e.type_url == LDS))
    try:
        async with asyncio.timeout(_READY_S):
            either: set[asyncio.Future[Any]] = {acked, running.died}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.died.done():
                raise running.died.result()
            # Envoy has no event to tell that its workers listen; it has to be asked.
            while not (await running.admin.listener_ready(f"0.0.0.0_{port}") and await _accepts(port)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise EnvironmentProblem(
            f"the gateway's listener on port {port} did not come up within {_READY_S:g} s",
            hint=f"the end of Envoy's log:\n{running.log_tail}",
        ) from None
    finally:
        acked.cancel()
        await asyncio.gather(acked, return_exceptions=True)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

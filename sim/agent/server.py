"""The agent, the part: Envoy's xDS endpoint, the module cache and its purge."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from sim.agent.cache import Fetcher, ModuleCache
from sim.agent.convert import Converter
from sim.agent.ecds import FAILED_ALWAYS, PURGE_IN_USE, AgentState, retry_pauses_s
from sim.agent.fetch import FetchOptions, module_fetcher
from sim.agent.metrics import AgentMetrics
from sim.agent.shim import shim_of
from sim.agent.stream import ProxiedStream
from sim.clock import Clock, SystemClock
from sim.errors import InvalidInput
from sim.model import CDS, LDS
from sim.profiles import Profile
from sim.trace import Trace
from sim.xds import METHODS, SERVICE, Tap, Variant, serving


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How the agent is set up. `listen` is `unix:/path` or `host:port`; `data_dir` holds the modules.

    `fixed` names bugs of the real agent, from the profile's list, that are not to be reproduced:

    | name | what is done instead |
    | --- | --- |
    | `stale-overtakes-new` | a resource is not delivered after a newer one of its name |
    | `purge-in-use` | a module that Envoy was told of last, or has not let go of, is not purged |
    | `failed-always` | a failed pull is not noted, and tried again after `retry_pauses_s`, then delivered |

    Raises InvalidInput for a name that the profile does not list.
    """

    profile: Profile
    discovery_address: str
    listen: str
    data_dir: Path
    fetch: FetchOptions = field(default_factory=FetchOptions)
    module_expiry_s: float = 24 * 3600.0
    purge_interval_s: float = 3600.0
    fixed: frozenset[str] = frozenset()
    retry_pauses_s: Callable[[], Iterator[float]] = retry_pauses_s
    #: Awaited before a module is pulled (7) and, pulled, before it is written (8): the course's steps.
    before: Callable[[int], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        unknown = sorted(self.fixed - self.profile.bugs.keys())
        if unknown:
            known = ", ".join(sorted(self.profile.bugs)) or "none"
            raise InvalidInput(
                f"the profile {self.profile.name} has no bug named {', '.join(unknown)}", hint=f"it lists {known}"
            )


class Agent:
    """The running part."""

    def __init__(self, options: AgentOptions, cache: ModuleCache, trace: Trace, tasks: asyncio.TaskGroup) -> None:
        self._options = options
        self._trace = trace
        self._ids = itertools.count(1)
        self._handlers: set[asyncio.Task[Any]] = set()
        self.cache = cache
        self.converter = Converter(cache, options.profile, trace)
        self._state = AgentState(
            self.converter,
            trace,
            tasks,
            options.profile.agent_nack_code,
            options.fixed,
            options.retry_pauses_s,
            cache.metrics,
        )
        self._connected: ProxiedStream | None = None
        self.address = options.listen

    @property
    def metrics(self) -> AgentMetrics:
        return self.cache.metrics

    def listen_in(self, tap: Tap) -> None:
        """Tell `tap` what Envoy and the agent say from now on."""
        self._state.tap = tap

    @property
    def unanswered(self) -> list[str]:
        """Type URLs that Envoy has to take or refuse once before it counts as ready; empty when it is."""
        return [type_url for type_url in (CDS, LDS) if type_url not in self._state.answered]

    def handlers(self) -> grpc.GenericRpcHandler:
        def handler(variant: Variant) -> grpc.RpcMethodHandler:
            async def serve(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
                await self._serve(variant, context)

            return grpc.stream_stream_rpc_method_handler(serve)

        return grpc.method_handlers_generic_handler(
            SERVICE, {METHODS[variant]: handler(variant) for variant in Variant}
        )

    async def _serve(self, variant: Variant, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        stream = ProxiedStream(next(self._ids), variant, self._state)
        self._trace.emit("agent.stream_opened", stream=stream.id, variant=str(variant))
        # The real agent has one Envoy, which has one stream: a new one puts an end to the one before.
        if self._connected is not None:
            self._connected.end()
        self._connected = stream
        try:
            await stream.run(context, self._options.discovery_address)
        finally:
            self._handlers.discard(task)
            if self._connected is stream:
                self._connected = None
            self._trace.emit("agent.stream_closed", node_id=stream.node_id or None, stream=stream.id)

    async def drain(self) -> None:
        """Cancel and await the streams that are still open, and the pulls that go on."""
        going = [*self._handlers, *self._state.conversions]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def purge_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._options.purge_interval_s)
            self.purge()

    def purge(self) -> None:
        """Delete the modules that have expired; in use or not, as the real agent does, unless that is fixed."""
        keep = self._state.in_use.paths() if PURGE_IN_USE in self._options.fixed else ()
        for path in self.cache.purge(self._options.module_expiry_s, keep):
            self._trace.emit("agent.purge", file=str(path))


@asynccontextmanager
async def agent(
    options: AgentOptions, trace: Trace, clock: Clock | None = None, fetcher: Fetcher | None = None
) -> AsyncIterator[Agent]:
    """The agent, up while inside. `fetcher` is another source of modules than the one that `options.fetch` describes.

    Raises EnvironmentProblem when it can't listen.
    """
    options.data_dir.mkdir(parents=True, exist_ok=True)
    async with module_fetcher(options.fetch) as ordinary:
        cache = ModuleCache(
            options.data_dir,
            fetcher or ordinary,
            clock or SystemClock(),
            notes_before_pull=FAILED_ALWAYS not in options.fixed,
            rewrite=shim_of(options.profile),
            before=options.before,
        )
        async with asyncio.TaskGroup() as tasks:
            part = Agent(options, cache, trace, tasks)
            async with serving(part.handlers(), options.listen, part.drain) as part.address:
                purging = tasks.create_task(part.purge_for_ever(), name="agent-purge")
                try:
                    yield part
                finally:
                    purging.cancel()

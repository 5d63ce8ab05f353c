"""ECDS responses on their way through one stream: converted, then delivered, refused, or tried again.

Imitates pilot-agent's pkg/istio-agent/xds_proxy.go (`rewriteAndForward`), its flaw included: each response is
converted on its own, so a slow pull that a newer response has overtaken is still delivered, last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from sim.agent.convert import Converted, Converter
from sim.agent.deliveries import DeliveryOrder, ModulesInUse
from sim.agent.metrics import AgentMetrics
from sim.agent.responses import Response, picked, rendered, resources_of, version_of
from sim.model import ECDS
from sim.proto_gen.envoy_extension_pb2 import TypedExtensionConfig
from sim.trace import Payload, Trace
from sim.xds import DeltaDiscoveryResponse, ProtoAny, Tap

STALE_OVERTAKES_NEW = "stale-overtakes-new"
PURGE_IN_USE = "purge-in-use"
FAILED_ALWAYS = "failed-always"


def retry_pauses_s(first_s: float = 1.0, most_s: float = 60.0) -> Iterator[float]:
    """Pauses in seconds before a failed pull is tried again: each is twice the one before."""
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, most_s)


@dataclass(slots=True)
class AgentState:
    """What the streams of one agent share. `fixed`: the real agent's bugs that are not reproduced."""

    converter: Converter
    trace: Trace
    tasks: asyncio.TaskGroup
    nack_code: int = 0
    fixed: frozenset[str] = frozenset()
    retry_pauses_s: Callable[[], Iterator[float]] = retry_pauses_s
    metrics: AgentMetrics = field(default_factory=AgentMetrics)
    in_use: ModulesInUse = field(default_factory=ModulesInUse)
    #: Types of which Envoy took or refused a response at least once.
    answered: set[str] = field(default_factory=set)
    #: Responses that are being converted. As in the real agent a pull outlives the stream that it was for, and what
    #: it brings is in the cache when Envoy is back.
    conversions: set[asyncio.Task[None]] = field(default_factory=set)
    #: Whoever records what Envoy and the agent say to each other.
    tap: Tap | None = None

    def convert(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Carry out a conversion in the agent's task group."""
        task = self.tasks.create_task(work, name=name)
        self.conversions.add(task)
        task.add_done_callback(self.conversions.discard)


class EcdsInterceptor:
    """What one stream does with ECDS responses.

    `deliver` takes a response for Envoy, and may wait for it; `refuse` one that Discovery is told is refused, and why;
    `node_id` says who Envoy is, `ended` whether the stream is no more.
    """

    def __init__(
        self,
        state: AgentState,
        stream_id: int,
        node_id: Callable[[], str],
        deliver: Callable[[Response], Awaitable[None]],
        refuse: Callable[[Response, str], Awaitable[None]],
        ended: Callable[[], bool],
    ) -> None:
        self._state = state
        self._stream_id = stream_id
        self._node_id = node_id
        self._to_envoy = deliver
        self._refuse = refuse
        self._ended = ended
        self._order = DeliveryOrder()

    def receive(self, response: Response) -> Intercepted:
        """Note a response as it comes; `handle` is to follow, at any time."""
        names = _names_of(response)
        removed = list(response.removed_resources) if isinstance(response, DeltaDiscoveryResponse) else []
        ticket = self._order.received([*names, *removed])
        common: dict[str, Any] = {
            "node_id": self._node_id(),
            "type_url": ECDS,
            "version_info": version_of(response),
            "nonce": response.nonce,
        }
        self._state.trace.emit("agent.intercept", **common, stream=self._stream_id, resources=len(names))
        return Intercepted(response, ticket, names, removed, common)

    async def handle(self, item: Intercepted) -> None:
        """Convert and deliver it, or refuse it. With `failed-always` fixed this lasts until every pull succeeded."""
        resources = resources_of(item.response)
        converted = await self._convert(item, resources)
        if self._ended():
            return
        whole = any(result.refused for result in converted)
        if whole:
            error = "; ".join(result.error or "" for result in converted if result.refused)
            self._state.trace.emit("agent.nack", **item.common, stream=self._stream_id, error=error)
            await self._refuse(item.response, error)
        else:
            await self._deliver(item, dict(enumerate(converted)), first=True)
        if FAILED_ALWAYS in self._state.fixed:
            await self._try_again(item, resources, converted, whole=whole)

    async def _convert(
        self, item: Intercepted, resources: Sequence[ProtoAny], *, again: bool = False
    ) -> list[Converted]:
        return await self._state.converter.convert(
            resources, node_id=item.common["node_id"], nonce=item.response.nonce, again=again
        )

    async def _deliver(self, item: Intercepted, made: dict[int, Converted], *, first: bool) -> None:
        """Send the resources at these places of the response, in its name; what it removes goes with the first."""
        state = self._state
        if STALE_OVERTAKES_NEW in state.fixed:
            late = [index for index in made if self._order.overtaken(item.ticket, item.names[index])]
            if late:
                names = [item.names[index] for index in late]
                state.trace.emit("agent.overtaken", **item.common, stream=self._stream_id, resources=names)
                made = {index: result for index, result in made.items() if index not in late}
            item.removed[:] = [name for name in item.removed if not self._order.overtaken(item.ticket, name)]
            if late and not made and not item.removed:
                return
        removed = item.removed if first else []
        response = picked(
            item.response,
            {index: result.resource for index, result in made.items() if result.resource is not None},
            removed,
        )
        modules = {item.names[index]: result.module for index, result in made.items()}
        self._order.delivered(item.ticket, [*modules, *removed])
        state.in_use.delivered(item.common["node_id"], item.response.nonce, {**modules, **dict.fromkeys(removed, None)})
        state.trace.emit(
            "agent.deliver",
            **item.common,
            stream=self._stream_id,
            payloads={"delivered": Payload(lambda: rendered(response))},
        )
        await self._to_envoy(response)

    async def _try_again(
        self, item: Intercepted, resources: Sequence[ProtoAny], converted: Sequence[Converted], *, whole: bool
    ) -> None:
        """Pull what failed again until it is here, or a newer response has come for it.

        `whole`: nothing of the response was delivered, and nothing is before no resource is refused any more.
        """
        waiting = [index for index, result in enumerate(converted) if whole or result.pull_failed]
        if whole and any(result.refused and not result.pull_failed for result in converted):
            return
        pauses_s = self._state.retry_pauses_s()
        attempt = 1
        while waiting:
            await asyncio.sleep(next(pauses_s))
            waiting = self._still_wanted(item, waiting)
            if not waiting or self._ended():
                return
            attempt += 1
            names = [item.names[index] for index in waiting]
            self._state.trace.emit(
                "agent.retry", **item.common, stream=self._stream_id, attempt=attempt, resources=names
            )
            results = await self._convert(item, [resources[index] for index in waiting], again=True)
            converted_now = dict(zip(waiting, results, strict=True))
            waiting = self._still_wanted(item, waiting)
            fresh = {index: converted_now[index] for index in waiting}
            if any(result.refused for result in fresh.values()):
                continue
            made = fresh if whole else {index: result for index, result in fresh.items() if not result.pull_failed}
            if made:
                await self._deliver(item, made, first=whole)
            whole = False
            waiting = [index for index, result in fresh.items() if result.pull_failed]

    def _still_wanted(self, item: Intercepted, places: list[int]) -> list[int]:
        return [index for index in places if not self._order.replaced(item.ticket, item.names[index])]


@dataclass(slots=True)
class Intercepted:
    """A response that is being worked on. `names` are its resources', in their order."""

    response: Response
    ticket: int
    names: list[str]
    removed: list[str]
    common: dict[str, Any]


def _names_of(response: Response) -> list[str]:
    if isinstance(response, DeltaDiscoveryResponse):
        return [item.name for item in response.resources]
    return [_name_of(resource) for resource in response.resources]


def _name_of(resource: ProtoAny) -> str:
    try:
        return TypedExtensionConfig.FromString(resource.value).name
    except DecodeError:
        return ""

"""What steps act on, and what they leave for the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.errors import EnvironmentProblem, StepFailed
from sim.scenario.awaited import PluginChange
from sim.scenario.follow import GatewayRecord
from sim.scenario.pipeline import GatewayParts, Pipeline
from sim.scenario.result import Expectation
from sim.scenario.rollouts import Attribution
from sim.traffic.load import Load

_LISTENER_STATS = "^listener_manager\\.listener_(added|modified|removed)$"


@dataclass(slots=True)
class Stage:
    """The running parts, the traffic, and the records of a run.

    `result_now` gives the result as it would be at this moment, as JSON-ready data.
    """

    pipeline: Pipeline
    loads: Mapping[str, Load]
    attribution: Attribution
    #: One for each gateway, in the pipeline's order.
    records: list[GatewayRecord]
    result_now: Callable[[], Awaitable[dict[str, Any]]]
    #: What `check` steps saw.
    checked: list[Expectation] = field(default_factory=list)
    #: By plugin: what steps made of it, in order.
    made: dict[str, list[PluginChange]] = field(default_factory=dict)
    #: The positions of each `core.apply` of which Core made what there was before.
    alike: set[int] = field(default_factory=set)
    #: By gateway: the listener changes of its earlier Envoys.
    _former_listeners: dict[str, int] = field(default_factory=dict)

    def record_of(self, gateway: GatewayParts) -> GatewayRecord:
        return next(record for record in self.records if record.name == gateway.name)

    async def listener_count(self, gateway: GatewayParts) -> int | None:
        """How often this gateway's listeners changed so far; None while its Envoy can't be asked."""
        if not gateway.envoy_slot.running:
            return None
        try:
            stats = await gateway.envoy.admin.stats(_LISTENER_STATS)
        except (EnvironmentProblem, StepFailed):
            return None
        return sum(stats.values()) + self._former_listeners.get(gateway.name, 0)

    async def envoy_goes(self, gateway: GatewayParts) -> None:
        """Note what its Envoy alone knows, before it is gone."""
        count = await self.listener_count(gateway)
        if count is not None:
            self._former_listeners[gateway.name] = count


@dataclass(slots=True)
class Branch:
    """A sequence of steps. `origin`: the position in the trace where its latest change began."""

    origin: int = 0

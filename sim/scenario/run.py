"""A run under way: what is known of it, what it may be told, who watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sim.envoy import EnvoyBinary
from sim.envoy.log import WasmLogLevel
from sim.profiles import AbiShim, Profile
from sim.scenario.external import OURS, ExternalParts
from sim.scenario.follow import GatewayRecord
from sim.scenario.load import LoadedScenario
from sim.scenario.pipeline import GatewayOptions
from sim.scenario.result import ErrorReport, Expectation, GatewayState, Outcome, Result
from sim.scenario.rollouts import Attribution
from sim.scenario.schema import Spec
from sim.scenario.stops import Stops
from sim.trace import Trace
from sim.traffic.load import Load


class Watcher(Protocol):
    """Who shows a run while it goes on. Called synchronously, so it must not dawdle. Steps count from 1."""

    def on_step(self, index: int, total: int, text: str) -> None: ...
    def on_steps_ended(self, well: bool) -> None: ...
    def on_traffic(self, name: str, rate_per_s: float, by_version: dict[str, int], failed: int) -> None: ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to a scenario. `fixed` comes on top of the scenario's.

    `abi_shim` takes the place of the profile's. `warn` is told beforehand of modules that Envoy will refuse.
    """

    runs_dir: Path = Path("runs")
    envoy: str | None = None
    profile: str | None = None
    fixed: frozenset[str] = frozenset()
    external: ExternalParts = OURS
    abi_shim: AbiShim | None = None
    warn: Callable[[str], None] = lambda _: None
    #: Hops of which every message is kept.
    record: frozenset[str] = frozenset()
    #: In place of what the gateways of the scenario say.
    wasm_log: WasmLogLevel | None = None
    #: The steps are not all known beforehand: images may be of any host.
    by_hand: bool = False
    #: With `by_hand`: faults may come on any link, so that each has a proxy on it.
    any_fault: bool = True
    #: Whether the scenario's expectations and thresholds are held against the result.
    hold_expectations: bool = True
    #: Where a rollout can be held, step by step; None where it is never.
    stops: Stops | None = None


@dataclass(slots=True)
class Run:
    """What is known of a run, whatever became of it."""

    loaded: LoadedScenario
    options: RunOptions
    profile: Profile
    directory: Path
    trace: Trace
    attribution: Attribution
    started_ns: int
    binary: EnvoyBinary | None = None
    loads: dict[str, Load] = field(default_factory=dict)
    records: list[GatewayRecord] = field(default_factory=list)
    gateways: dict[str, GatewayState] = field(default_factory=dict)
    checked: list[Expectation] = field(default_factory=list)
    failure: ErrorReport | None = None
    outcome: Outcome = "passed"
    #: How far the trace went when the traffic had ended and the parts had not begun to; what comes later is no news.
    end: int | None = None
    #: What came out of it, once it is over.
    result: Result | None = None

    def ends(self) -> None:
        self.end = len(self.trace.events)


def gateway_options(spec: Spec) -> tuple[GatewayOptions, ...]:
    """The gateways that a scenario asks for. The only one needs no name."""
    if len(spec.gateways) > 1:
        return tuple(
            GatewayOptions(each.name, each.workers, dict(each.labels), each.wasm_log) for each in spec.gateways
        )
    if spec.gateways:
        (only,) = spec.gateways
        return (GatewayOptions("", only.workers, dict(only.labels), only.wasm_log),)
    return (GatewayOptions("", spec.gateway.workers, wasm_log=spec.gateway.wasm_log),)

"""`result.json`, schema 1: what scripts and CI read of a run. A stage that did not happen is null, never 0."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sim.scenario.combination import Combination
from sim.scenario.faults.spec import DEFAULT_SEED

#: The stages of a rollout, in the order in which they follow each other.
STAGES = (
    "convert",
    "mcp",
    "debounce",
    "push",
    "fetch",
    "unpack",
    "rewrite",
    "deliver",
    "load",
    "first_response",
)

Outcome = Literal["passed", "failed", "error"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ErrorReport(_Model):
    """Why a run could not be carried to its end."""

    message: str
    part: str | None = Field(default=None, description="The part that died, where one did")
    where: str | None = Field(default=None, description="file:line of the step")
    log_tail: str | None = Field(default=None, description="The last lines of the part's log")
    hint: str | None = None


class Environment(_Model):
    """On what the run was made."""

    ecdsim: str
    envoy: str | None
    python: str
    workers: int
    seed: int = Field(default=DEFAULT_SEED, description="Of the lots that faults drew")


class WorkerSwitch(_Model):
    """When one of Envoy's workers had the new module, in milliseconds after the manifest was applied."""

    worker: int
    ready_ms: float | None


class Stages(_Model):
    """Milliseconds. Those that are not null follow each other and add up to `effective_ms`."""

    convert: float | None = Field(default=None, description="Higress WasmPlugin → Istio WasmPlugin, in Core")
    mcp: float | None = Field(default=None, description="Core → Discovery, MCP over xDS")
    debounce: float | None = Field(default=None, description="Discovery waits for quiet")
    push: float | None = Field(
        default=None, description="Discovery generates and sends; the agent has the ECDS response"
    )
    fetch: float | None = Field(default=None, description="the agent pulls the image; null when it was cached")
    unpack: float | None = Field(default=None, description="the wasm leaves the archive and is stored")
    rewrite: float | None = Field(default=None, description="remote code becomes a local file")
    deliver: float | None = Field(default=None, description="the agent hands the response to Envoy")
    load: float | None = Field(default=None, description="Envoy compiles; its first worker has the module")
    first_response: float | None = Field(default=None, description="traffic sees it")


class Rollout(_Model):
    """One change of one plugin on its way to traffic."""

    plugin: str = Field(description="namespace/name")
    t_ns: int = Field(default=0, description="When the manifest was applied, on the trace's clock")
    change: Literal["add", "image", "config", "remove", "other"] = Field(description="What the change was")
    from_: str | None = Field(alias="from", description="The URL before, null when the plugin is new")
    to: str | None = Field(description="The URL after, null when the plugin was removed")
    stages_ms: Stages
    effective_ms: float | None = Field(description="Manifest applied → first response by the new version")
    settled_ms: float | None = Field(description="Manifest applied → no response by the old version any more")
    workers: list[WorkerSwitch]
    acked: bool = Field(description="Envoy acknowledged the ECDS response")
    nacked: bool = Field(description="Envoy, or the agent in its place, refused it")
    error: str | None = Field(default=None, description="Why the conversion, the pull or the load failed")
    traffic_tells: bool = Field(
        default=True, description="Whether any traffic there tells the plugin's versions apart, by header or version_by"
    )
    replaced_by: Literal["allow_all", "deny_all"] | None = Field(
        default=None, description="What the agent put in the plugin's place after a failed pull"
    )
    cached: bool | None = Field(default=None, description="Whether the agent had the module; null if it was not asked")
    gateway: str | None = Field(default=None, description="Where, in a run with several gateways")
    listener_updates: int | None = Field(
        default=None, description="How often Envoy's listener changed between this rollout's apply and the next"
    )


class GatewayState(_Model):
    """One gateway at the end of the run, or at the moment of a check."""

    ready: bool = Field(description="Its listener takes connections")
    running: bool = Field(description="Its Envoy is there, not killed")
    workers: int
    listener_updates: int | None = Field(default=None, description="How often its listeners changed in the whole run")
    filters: list[str] | None = Field(
        default=None, description="The HTTP filters of its listener, in order; null where its Envoy does not answer"
    )
    wasm_vms: int | None = Field(default=None, description="Wasm VMs that are alive in its Envoy")
    memory_bytes: int | None = Field(default=None, description="Resident memory of its Envoy")


class Latency(_Model):
    """Milliseconds from the moment a request was due to its last byte."""

    p50: float | None
    p99: float | None
    max: float | None


class Traffic(_Model):
    """What one kind of traffic saw."""

    protocol: str = Field(default="http/1.1", description="What was spoken; a request is a piece of a stream, too")
    gateway: str | None = Field(default=None, description="Where it went, in a run with several gateways")
    requests: int
    failed: int
    by_version: dict[str, int]
    by_status: dict[str, int] = Field(default_factory=dict)
    connections_opened: int
    connections_broken: int = Field(description="Closed by the gateway without a word")
    connections_drained: int = Field(default=0, description="Closed by the gateway after `Connection: close`")
    longest_gap_ms: float | None = Field(default=None, description="The longest time without a good response")
    latency_ms: Latency


class Moment(_Model):
    """One event of the trace, at its time after the step that it came in."""

    t_ns: int = Field(description="On the trace's clock")
    step: str | None = Field(description="The number of the latest step begun by then; before the first, that one's")
    doing: str | None = Field(description="What that step does")
    after_ms: float = Field(description="After the step began; without any step, after the trace did")
    event: str
    text: str = Field(description="What else the event tells, in short")
    left_out: int = Field(default=0, description="So many of the events before this one are not told")

    def line(self) -> str:
        """It in one line: `step 2 +101.2 ms agent.fetch higress-system/request-block …`."""
        step = "" if self.step is None else f"step {self.step} "
        return f"{step}{self.after_ms:+.1f} ms {self.event} {self.text}".rstrip()


class Expectation(_Model):
    """One expectation and what it saw."""

    that: str
    passed: bool
    actual: dict[str, Any] = Field(
        description="The value of every path in the expression; of events how many matched, and the first few"
    )
    where: str = Field(description="file:line")
    line: str | None = Field(default=None, description="The text of that line")
    error: str | None = Field(default=None, description="Why it could not be evaluated")
    trace: list[Moment] = Field(
        default_factory=list,
        description="If it has not passed: the events of what it names, the last ones of the trace if it names none",
    )


def matched_events(actual: Any) -> tuple[int, list[str]] | None:
    """How many events an entry of `actual` tells of, and the first few; None for any other value."""
    if isinstance(actual, dict) and actual.keys() == {"matched", "first"}:
        return actual["matched"], actual["first"]
    return None


class Distribution(_Model):
    """Of the samples that there are, in milliseconds."""

    min: float
    avg: float
    med: float
    p95: float
    max: float


class Threshold(_Model):
    """One threshold, and the samples that it was held against."""

    metric: str = Field(description="effective_ms, settled_ms or stages_ms.<stage>")
    that: str
    over: dict[str, str] = Field(default_factory=dict, description="Only rollouts of this change, plugin or gateway")
    passed: bool
    actual: int | float | None = Field(description="In milliseconds, of count a number; null where there is no sample")
    count: int = Field(description="How many samples there are: rollouts for which the metric is not null")
    rollouts: int = Field(description="Out of how many rollouts")
    distribution: Distribution | None = Field(description="null where there is no sample")
    where: str = Field(description="file:line")
    error: str | None = Field(default=None, description="Why there was nothing to hold it against")


class Result(_Model):
    """A whole run."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    scenario: str
    profile: str
    combination: Combination | None = Field(default=None, description="Which one of the matrix; null without")
    outcome: Outcome
    error: ErrorReport | None = None
    environment: Environment
    rollouts: list[Rollout] = Field(default_factory=list)
    traffic: dict[str, Traffic] = Field(default_factory=dict)
    gateways: dict[str, GatewayState] = Field(default_factory=dict, description="By name; gateway where there is one")
    expectations: list[Expectation] = Field(default_factory=list)
    thresholds: list[Threshold] = Field(default_factory=list)
    duration_ms: float = 0.0
    directory: str | None = Field(default=None, description="The run directory")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data under the schema's names; nulls are kept."""
        return self.model_dump(mode="json", by_alias=True)


def result_schema() -> dict[str, Any]:
    """The JSON Schema of `result.json`."""
    schema = Result.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

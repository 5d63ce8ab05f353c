"""`result.json`, schema 1: what scripts and CI read of a run. A stage that did not happen is null, never 0."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Latency(_Model):
    """Milliseconds from the moment a request was due to its last byte."""

    p50: float | None
    p99: float | None
    max: float | None


class Traffic(_Model):
    """What one kind of traffic saw."""

    requests: int
    failed: int
    by_version: dict[str, int]
    by_status: dict[str, int] = Field(default_factory=dict)
    connections_opened: int
    connections_broken: int = Field(description="Closed by the gateway without a word")
    connections_drained: int = Field(default=0, description="Closed by the gateway after `Connection: close`")
    longest_gap_ms: float | None = Field(default=None, description="The longest time without a good response")
    latency_ms: Latency


class Expectation(_Model):
    """One expectation and what it saw."""

    that: str
    passed: bool
    actual: dict[str, Any] = Field(description="The value of every path in the expression")
    where: str = Field(description="file:line")
    error: str | None = Field(default=None, description="Why it could not be evaluated")


class Result(_Model):
    """A whole run."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    scenario: str
    profile: str
    outcome: Outcome
    error: ErrorReport | None = None
    environment: Environment
    rollouts: list[Rollout] = Field(default_factory=list)
    traffic: dict[str, Traffic] = Field(default_factory=dict)
    gateways: dict[str, GatewayState] = Field(default_factory=dict, description="By name; gateway where there is one")
    expectations: list[Expectation] = Field(default_factory=list)
    duration_ms: float = 0.0
    directory: str | None = Field(default=None, description="The run directory")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data under the schema's names; nulls are kept."""
        return self.model_dump(mode="json", by_alias=True)


def result_schema() -> dict[str, Any]:
    """The JSON Schema of `result.json`."""
    schema = Result.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

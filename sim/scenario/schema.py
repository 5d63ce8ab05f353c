"""A scenario file as typed data; `scenario_schema()` is its JSON Schema, for editors. Loading is `load.py`'s."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from sim.model import parse_duration_s
from sim.profiles import DEFAULT_PROFILE
from sim.scenario.faults.spec import DEFAULT_SEED
from sim.scenario.image_entries import (
    DEFAULT_REPOSITORY,
    AnyImage,
    BundledImage,
    ElsewhereImage,
    FileImage,
    ImageEntry,
)
from sim.scenario.matrix import Matrix
from sim.scenario.quantities import (
    LABEL,
    RESERVED_NAMES,
    TRAFFIC_NAME,
    Duration,
    Headers,
    Host,
    Method,
    PositiveDuration,
    Rate,
    Text,
    UrlPath,
    parse_rate_per_s,
)
from sim.scenario.registry_spec import RegistrySpec
from sim.scenario.step_kinds import (
    STEPS,
    AnyStep,
    Parallel,
    Repeat,
    as_written,
    carried_out,
    step_kinds,
    with_step_definitions,
)
from sim.scenario.step_models import (
    WAIT_CONDITIONS,
    Advance,
    Answer,
    Apply,
    Bump,
    ChangeLoad,
    CheckThat,
    Clear,
    Delete,
    Edit,
    Fault,
    Kill,
    Pause,
    Push,
    Request,
    Restart,
    Sleep,
    Step,
    Wait,
    WaitCondition,
)
from sim.scenario.strict import Strict
from sim.scenario.thresholds import Over, Thresholds, ThresholdsByMetric

__all__ = [
    "API_VERSION",
    "DEFAULT_REPOSITORY",
    "DEFAULT_SEED",
    "KIND",
    "STEPS",
    "WAIT_CONDITIONS",
    "Advance",
    "Answer",
    "AnyImage",
    "AnyStep",
    "Apply",
    "Bump",
    "BundledImage",
    "ChangeLoad",
    "CheckThat",
    "Clear",
    "Debounce",
    "Delete",
    "Edit",
    "ElsewhereImage",
    "Fault",
    "FileImage",
    "Gateway",
    "ImageEntry",
    "Kill",
    "LocalizedText",
    "Matrix",
    "Metadata",
    "NamedGateway",
    "Over",
    "Parallel",
    "Pause",
    "Push",
    "RegistrySpec",
    "Repeat",
    "Request",
    "Restart",
    "Scenario",
    "Sleep",
    "Spec",
    "Step",
    "Thresholds",
    "Traffic",
    "Wait",
    "WaitCondition",
    "as_written",
    "scenario_schema",
    "step_kinds",
]

API_VERSION = "ecdsim/v1"
KIND = "Scenario"
#: What a step with repeats in it may come to: each that is carried out is an event of the trace.
MAX_STEPS = 100_000


class LocalizedText(Strict):
    """The same text in English and Chinese."""

    en: Text = Field(description="English")
    zh: Text | None = Field(default=None, description="中文")


class Metadata(Strict):
    """What the scenario is called and what it teaches."""

    name: Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")] = Field(
        description="Small letters, digits and '-' (RFC 1123); the run directory begins with it"
    )
    title: LocalizedText = Field(description="One line, for lists and reports")
    notes: LocalizedText | None = Field(default=None, description="What to look at, and why it is so")
    labels: list[Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")]] = Field(
        default_factory=list,
        description="Words by which `ecdsim test` selects: -m incident, -m 'not slow'",
        examples=[["slow", "incident"]],
    )


#: Envoy's levels of its component `wasm`.
WasmLog = Literal["trace", "debug", "info"]


class Gateway(Strict):
    """The Envoy that is the gateway."""

    workers: int = Field(default=2, ge=1, le=64, description="Envoy's worker threads (--concurrency)")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="The port it listens on; a free one unless told otherwise"
    )
    wasm_log: WasmLog = Field(
        default="info", description="From which level on what plugins say gets into the trace, for ecdsim logs"
    )


class NamedGateway(Strict):
    """One gateway of several: an agent and an Envoy of its own."""

    name: Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")] = Field(description="Its name", examples=["east"])
    workers: int = Field(default=2, ge=1, le=64, description="Envoy's worker threads (--concurrency)")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of its pod, on top of the Higress gateway's; selectors see them"
    )
    wasm_log: WasmLog = Field(
        default="info", description="From which level on what plugins say gets into the trace, for ecdsim logs"
    )


class Debounce(Strict):
    """How Discovery gathers changes before it pushes."""

    after: Duration | None = Field(default=None, description="So much quiet is waited for (istiod: 100ms)")
    max: Duration | None = Field(default=None, description="But at most so long (istiod: 10s)")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (
            self.after is not None
            and self.max is not None
            and parse_duration_s(self.max) < parse_duration_s(self.after)
        ):
            raise PydanticCustomError("order", "max is shorter than after; make max the longer of the two")
        return self

    @property
    def after_s(self) -> float | None:
        return None if self.after is None else parse_duration_s(self.after)

    @property
    def max_s(self) -> float | None:
        return None if self.max is None else parse_duration_s(self.max)


#: What belongs to the connection, which HTTP/2 has no header for (RFC 9113, 8.2.2).
_CONNECTION_HEADERS = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")


class Traffic(Strict):
    """Requests at a steady rate over connections that stay open for the whole run."""

    gateway: Text | None = Field(default=None, description="To this gateway; the first unless told otherwise")
    rate: Rate = Field(default="100/s", description="Requests a second, over all connections")
    protocol: Literal["http/1.1", "http/2", "stream", "websocket"] = Field(
        default="http/1.1",
        description="What is spoken: requests; or one response on each connection that goes on for the whole run; or"
        " messages over WebSockets. A request is then a piece, or a message, that was due and came",
    )
    connections: int = Field(default=4, ge=1, le=10_000, description="Connections that are kept open")
    path: UrlPath = Field(default="/", description="Path and query")
    method: Method = Field(default="GET", description="The HTTP method")
    host: Host | None = Field(default=None, description="The Host header; the gateway's address unless told otherwise")
    headers: Headers = Field(default_factory=dict, description="Further request headers")
    body: str = Field(default="", description="The request's body")
    timeout: PositiveDuration = Field(default="5s", description="A request without an answer by then has failed")
    fail_status: list[int | str] = Field(
        default=["5xx"],
        description='Statuses that count as failed: codes, and classes such as "5xx"',
    )
    version_by: Text | None = Field(
        default=None,
        description="CEL over `response` (status, headers, body): the plugin's version that answered, which is its"
        " image's tag, or null where the plugin had no part in it. Unless told otherwise the version header of the"
        " bundled plugin",
        examples=['response.headers["x-request-block-version"]', 'response.status == 403 ? "2.0.0" : "1.0.0"'],
    )

    @model_validator(mode="after")
    def _statuses(self) -> Self:
        for status in self.fail_status:
            text = str(status).lower()
            known = text in ("1xx", "2xx", "3xx", "4xx", "5xx") or (text.isdecimal() and 100 <= int(text) <= 599)
            if not known:
                raise PydanticCustomError(
                    "fail_status",
                    "fail_status has {status}, which is no HTTP status;"
                    ' write a code such as 429 or a class such as "5xx"',
                    {"status": repr(status)},
                )
        return self

    @model_validator(mode="after")
    def _headers_of_its_own(self) -> Self:
        """Refuse the headers that the protocol writes itself, or can't carry."""
        for name, value in self.headers.items():
            lowered = name.lower()
            if lowered == "host":
                why = "the Host header has a key of its own; write host: instead"
            elif lowered in ("content-length", "transfer-encoding"):
                why = f"{name} follows from the body; leave it out"
            elif self.protocol == "http/2" and lowered in _CONNECTION_HEADERS:
                why = f"{name} is of the connection, and HTTP/2 has no such header; leave it out, or speak http/1.1"
            elif self.protocol == "http/2" and lowered == "te" and value != "trailers":
                why = f"te: {value} is not possible in HTTP/2; write trailers, or leave it out"
            elif not value.isascii():
                why = f"{value!r} can't be sent as it stands; a header's value is ASCII here"
            else:
                continue
            raise PydanticCustomError("header", "{why}", {"why": why, "path": ("headers", name)})
        return self

    @property
    def lasts(self) -> bool:
        """Whether a connection carries one exchange that lasts, which only the echo upstream can hold."""
        return self.protocol in ("stream", "websocket")

    @property
    def rate_per_s(self) -> float:
        return parse_rate_per_s(self.rate)

    @property
    def timeout_s(self) -> float:
        return parse_duration_s(self.timeout)


class Spec(Strict):
    """What is run, what is done to it, and what must come out."""

    profile: Text = Field(
        default=DEFAULT_PROFILE,
        description="Which real system is reproduced: a bundled profile, or the path of one's own",
        examples=["higress", "higress-1.19", "istio-1.27"],
    )
    include: list[Text] = Field(
        default_factory=list, description="Files with pieces (kind: Piece) that come before what is here"
    )
    matrix: Matrix | None = Field(
        default=None, description="Values to combine: the scenario is run once for each combination"
    )
    fixed: list[Text] = Field(default_factory=list, description="Known bugs of the profile that are switched off")
    gateway: Gateway = Field(default_factory=Gateway, description="The Envoy that is the gateway")
    gateways: list[NamedGateway] = Field(
        default_factory=list, description="Several gateways, instead of gateway; traffic goes to the first"
    )
    debounce: Debounce = Field(default_factory=Debounce, description="How Discovery gathers changes")
    upstream: Literal["responder", "echo"] = Field(
        default="responder",
        description="Who answers behind the gateway: Envoy itself, or a process that tells what arrived",
    )
    registry: RegistrySpec = Field(default_factory=RegistrySpec, description="How the embedded registry is guarded")
    seed: int = Field(
        default=DEFAULT_SEED,
        description="Of the lots that faults draw: which connections are hit, and every jitter; the same seed, the same"
        " lots",
    )
    images: list[ImageEntry] = Field(
        default_factory=list,
        description="Images that are there when the run begins: pushed to the registry, or somebody's already",
    )
    traffic: dict[str, Traffic] = Field(
        default_factory=dict, description="Traffic by name, which is also its name in expectations"
    )
    steps: list[AnyStep] = Field(min_length=1, description="What is done, in order")
    expect: list[Text] = Field(
        default_factory=list,
        description="CEL over result.json and, by events(name), over the trace; each must be true",
        examples=[
            ["traffic.users.failed == 0", "rollouts[1].effective_ms < 1000", 'events("agent.fetch").size() == 1']
        ],
    )
    thresholds: ThresholdsByMetric = Field(
        default_factory=dict,
        description="What the rollouts must keep to together, by metric",
        examples=[{"effective_ms": ["p(95) < 500ms", "max < 1s"]}],
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for index, step in enumerate(self.steps):
            if (times := carried_out(step)) > MAX_STEPS:
                raise PydanticCustomError(
                    "repeats",
                    "the repeats within each other make {times} steps; make it at most {most}",
                    {"times": times, "most": MAX_STEPS, "path": ("steps", index)},
                )
        return self

    @model_validator(mode="after")
    def _traffic_names(self) -> Self:
        for name in self.traffic:
            if name in RESERVED_NAMES:
                raise PydanticCustomError(
                    "traffic_name",
                    "{name} is a word of CEL and can't be the name of traffic; take another, such as users",
                    {"name": repr(name), "path": ("traffic", name)},
                )
            if TRAFFIC_NAME.fullmatch(name) is None:
                raise PydanticCustomError(
                    "traffic_name",
                    "{name} can't be written as traffic.<name> in an expectation; use small letters, digits and '_',"
                    " a letter first",
                    {"name": repr(name), "path": ("traffic", name)},
                )
        return self


class Scenario(Strict):
    """A scenario for `ecdsim run`."""

    api_version: Literal["ecdsim/v1"] = Field(alias="apiVersion", description="The version of this format")
    kind: Literal["Scenario"] = Field(description="Always Scenario")
    metadata: Metadata = Field(description="What the scenario is called and what it teaches")
    spec: Spec = Field(description="What is run, what is done to it, and what must come out")


def scenario_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    schema = with_step_definitions(Scenario.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

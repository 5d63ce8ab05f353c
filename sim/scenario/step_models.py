"""The steps of a scenario as typed objects, each with what it is about."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from sim.model import parse_duration_s
from sim.scenario.faults.spec import ClearSpec, FaultSpec
from sim.scenario.image_entries import AnyImage
from sim.scenario.quantities import (
    Duration,
    Headers,
    Host,
    Method,
    PartName,
    PluginKey,
    PositiveDuration,
    Rate,
    Text,
    UrlPath,
    parse_rate_per_s,
)
from sim.scenario.strict import Strict

WaitCondition = Literal["effective", "settled", "acked", "nacked", "gone"]
WAIT_CONDITIONS: tuple[WaitCondition, ...] = ("effective", "settled", "acked", "nacked", "gone")


Patch = Annotated[
    Annotated[dict[str, Any], Tag("(merge)")] | Annotated[list[dict[str, Any]], Tag("(json)")],
    Discriminator(lambda value: "(json)" if isinstance(value, list) else "(merge)"),
]


class Step(Strict):
    """What every kind of step has: its name in a scenario, and the field that its short form stands for."""

    kind: ClassVar[str]
    shorthand: ClassVar[str | None] = None


class Apply(Step):
    """Apply every object of a manifest file, as kubectl would."""

    kind = "apply"
    shorthand = "file"

    file: Text = Field(description="A manifest, or a folder of them; a relative path starts at the scenario's folder")
    missing: bool = Field(default=False, description="The plugins' images do not exist, and that is the point")


class Bump(Step):
    """Give a plugin another image."""

    kind = "bump"

    plugin: PluginKey = Field(description="namespace/name of an applied WasmPlugin")
    tag: Text | None = Field(default=None, description="The new tag; the repository stays")
    image: Text | None = Field(default=None, description="A whole new reference, instead of a tag")
    missing: bool = Field(default=False, description="The image does not exist, and that is the point")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.tag is None) == (self.image is None):
            raise PydanticCustomError("one_of", "a bump has either tag or image; write one of the two")
        return self


class Edit(Step):
    """Change anything of an applied object."""

    kind = "edit"

    plugin: PluginKey = Field(description="namespace/name of an applied WasmPlugin")
    patch: Patch = Field(
        description="A JSON merge patch (RFC 7386) on the whole object, where null removes a key;"
        " or a list of JSON patch operations (RFC 6902)",
        examples=[
            {"spec": {"defaultConfig": {"block_urls": ["/admin"]}}},
            [{"op": "replace", "path": "/spec/priority", "value": 10}],
        ],
    )
    missing: bool = Field(default=False, description="The image that it names does not exist, and that is the point")


class Delete(Step):
    """Delete a plugin."""

    kind = "delete"
    shorthand = "plugin"

    plugin: PluginKey = Field(description="namespace/name of an applied WasmPlugin")


class Push(Step):
    """Push an image to the registry in the middle of a run."""

    kind = "push"

    image: AnyImage


class Wait(Step):
    """Wait until something has happened; running out of time ends the scenario."""

    kind = "wait"

    effective: PluginKey | None = Field(
        default=None, description="Until the plugin's latest change answers a first request"
    )
    settled: PluginKey | None = Field(
        default=None, description="Until the latest change alone answers, on every connection"
    )
    acked: PluginKey | None = Field(default=None, description="Until Envoy acknowledged the latest change")
    nacked: PluginKey | None = Field(default=None, description="Until Envoy, or the agent, refused the latest change")
    gone: PluginKey | None = Field(default=None, description="Until the plugin answers no request any more")
    event: Text | None = Field(
        default=None,
        description="Until the trace has an event of this name; * stands for anything",
        examples=["agent.fetch", "envoy.*"],
    )
    plugin: PluginKey | None = Field(default=None, description="With event: only this plugin's")
    image: Text | None = Field(default=None, description="With event: only with this image")
    ready: Text | None = Field(
        default=None, description="Until this gateway's listener takes connections", examples=["gateway"]
    )
    gateway: Text | None = Field(
        default=None, description="Only on this gateway; on every one that gets the plugin unless told otherwise"
    )
    span: Literal["started", "completed", "failed"] | None = Field(
        default=None, description="With event: only the beginning, the end or the failure of an operation"
    )
    within: PositiveDuration = Field(default="10s", description="At most so long")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in (*WAIT_CONDITIONS, "event", "ready") if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) if given else "nothing"
            raise PydanticCustomError(
                "one_of",
                "a wait is for exactly one of {known}; this one is for {told}",
                {"known": ", ".join((*WAIT_CONDITIONS, "event", "ready")), "told": told},
            )
        if self.event is None:
            for name in ("plugin", "image", "span"):
                if getattr(self, name) is not None:
                    raise PydanticCustomError(
                        "only_with_event",
                        "{name} belongs to a wait for an event; {given} names its plugin by itself",
                        {"name": name, "given": given[0]},
                    )
        return self

    @property
    def condition(self) -> WaitCondition | None:
        """Which state of a plugin is awaited; None for an event."""
        return next((name for name in WAIT_CONDITIONS if getattr(self, name) is not None), None)

    @property
    def target(self) -> str | None:
        """The plugin that the condition, or the event, is about."""
        condition = self.condition
        if condition is None:
            return self.plugin
        target: str = getattr(self, condition)
        return target

    @property
    def within_s(self) -> float:
        return parse_duration_s(self.within)


class Sleep(Step):
    """Let time pass, for instance so that traffic is measured."""

    kind = "sleep"
    shorthand = "duration"

    duration: Duration = Field(description="How long")

    @property
    def duration_s(self) -> float:
        return parse_duration_s(self.duration)


class Answer(Strict):
    """What a response must be; what is not named may be anything."""

    status: int | None = Field(default=None, ge=100, le=599, description="The exact status")
    headers: dict[str, str | None] = Field(
        default_factory=dict, description="Header name and exact value; null: the header must be absent"
    )
    body_contains: str | None = Field(default=None, description="Text that must be in the body")


class Request(Step):
    """Send one request through the gateway and look at the answer."""

    kind = "request"
    shorthand = "path"

    gateway: Text | None = Field(default=None, description="Through this gateway; the first unless told otherwise")
    path: UrlPath = Field(default="/", description="Path and query")
    method: Method = Field(default="GET", description="The HTTP method")
    host: Host | None = Field(default=None, description="The Host header; the gateway's address unless told otherwise")
    headers: Headers = Field(default_factory=dict, description="Further request headers")
    body: str = Field(default="", description="The request's body")
    timeout: PositiveDuration = Field(default="5s", description="At most so long for one answer")
    within: PositiveDuration | None = Field(
        default=None, description="Ask again until the answer is as expected, at most so long; if not set, ask once"
    )
    expect: Answer = Field(default_factory=Answer, description="What the answer must be")

    @property
    def timeout_s(self) -> float:
        return parse_duration_s(self.timeout)

    @property
    def within_s(self) -> float | None:
        return None if self.within is None else parse_duration_s(self.within)


class CheckThat(Step):
    """Hold an expectation against the result as it is at this moment."""

    kind = "check"
    shorthand = "that"

    that: Text = Field(
        description="CEL over result.json and, by events(name), over the trace; it must be true",
        examples=["traffic.users.failed == 0", 'events("agent.fetch").size() == 1'],
    )


class Fault(FaultSpec, Step):
    """Make something go wrong from now on, until it is cleared."""

    kind = "fault"

    gateway: Text | None = Field(
        default=None, description="Only on this gateway's link; on every gateway's unless told otherwise"
    )


class Clear(ClearSpec, Step):
    """Make a fault, or all of them, well again."""

    kind = "clear"
    shorthand = "name"


class ChangeLoad(Step):
    """Send more requests, or fewer, from now on."""

    kind = "load"

    traffic: Text = Field(description="Which traffic", examples=["users"])
    rate: Rate = Field(description="Requests a second, over all its connections", examples=["500/s"])

    @property
    def rate_per_s(self) -> float:
        return parse_rate_per_s(self.rate)


class Restart(Step):
    """End a part in good order and start it again at the same address; one that is down is started."""

    kind = "restart"
    shorthand = "part"

    part: PartName = Field(description="Which part", examples=["discovery", "agent", "envoy/east"])


class Kill(Step):
    """End a part as a crash would. It stays down until a step restart."""

    kind = "kill"
    shorthand = "part"

    part: PartName = Field(description="Which part", examples=["envoy", "agent/east"])


class Pause(Step):
    """Stop Envoy where it is, for so long; connections stay open, and nothing moves."""

    kind = "pause"

    part: PartName = Field(description="Which Envoy", examples=["envoy", "envoy/east"])
    for_: PositiveDuration = Field(alias="for", description="How long")

    @model_validator(mode="after")
    def _envoy(self) -> Self:
        if self.part.partition("/")[0] != "envoy":
            raise PydanticCustomError(
                "part", "only envoy can be paused; for the others use a fault timeout on the link to them"
            )
        return self

    @property
    def for_s(self) -> float:
        return parse_duration_s(self.for_)


class Advance(Step):
    """Let the agent's clock jump ahead, and have it purge what has expired by then."""

    kind = "advance"
    shorthand = "by"

    by: PositiveDuration = Field(description="How far", examples=["25h"])
    gateway: Text | None = Field(default=None, description="Only this gateway's agent; every one unless told otherwise")

    @property
    def by_s(self) -> float:
        return parse_duration_s(self.by)

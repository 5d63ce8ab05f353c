"""The steps of a scenario as typed objects. `STEPS` is the registry: a new kind is a class added there.

In a file each step is a mapping with one key, the kind: `- bump: {plugin: …, tag: …}`. A kind with a `shorthand`
may also be written with that field's value alone: `- apply: request-block.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sim.model import parse_duration_s
from sim.oci import ImageFormat
from sim.scenario.quantities import Duration, Method, PluginKey, PositiveDuration, Text, UrlPath
from sim.scenario.strict import Strict

WaitCondition = Literal["effective", "settled", "acked", "nacked", "gone"]
WAIT_CONDITIONS: tuple[WaitCondition, ...] = ("effective", "settled", "acked", "nacked", "gone")

DEFAULT_REPOSITORY = "registry.local/plugins"


class BundledImage(Strict):
    """An image of a plugin that comes with ecdsim, with its tag stamped into the module as its version."""

    plugin: Text = Field(description="A bundled plugin, such as request-block", examples=["request-block"])
    tag: Text = Field(description="The image's tag and the version that the plugin tells in its response header")
    format: ImageFormat = Field(default="docker", description="How the module is packed")
    as_: Text | None = Field(
        default=None,
        alias="as",
        description=f"The image's reference; {DEFAULT_REPOSITORY}/<plugin>:<tag> unless told otherwise",
    )

    @property
    def reference_text(self) -> str:
        return self.as_ or f"{DEFAULT_REPOSITORY}/{self.plugin}:{self.tag}"


class FileImage(Strict):
    """An image of one's own module."""

    file: Text = Field(description="A .wasm file; a relative path starts at the scenario's folder")
    as_: Text = Field(alias="as", description="The image's reference", examples=["hub.example.com/team/block:2.0.0"])
    format: ImageFormat = Field(default="docker", description="How the module is packed")

    @property
    def reference_text(self) -> str:
        return self.as_


def _image_kind(value: Any) -> str:
    if isinstance(value, FileImage):
        return "(file)"
    return "(file)" if isinstance(value, Mapping) and "file" in value and "plugin" not in value else "(bundled)"


AnyImage = Annotated[
    Annotated[BundledImage, Tag("(bundled)")] | Annotated[FileImage, Tag("(file)")], Discriminator(_image_kind)
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
    patch: dict[str, Any] = Field(
        description="A JSON merge patch (RFC 7386) on the whole object; null removes a key",
        examples=[{"spec": {"defaultConfig": {"block_urls": ["/admin"]}}}],
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
    span: Literal["started", "completed", "failed"] | None = Field(
        default=None, description="With event: only the beginning, the end or the failure of an operation"
    )
    within: PositiveDuration = Field(default="10s", description="At most so long")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in (*WAIT_CONDITIONS, "event") if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) if given else "nothing"
            raise PydanticCustomError(
                "one_of",
                "a wait is for exactly one of {known}; this one is for {told}",
                {"known": ", ".join((*WAIT_CONDITIONS, "event")), "told": told},
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

    path: UrlPath = Field(default="/", description="Path and query")
    method: Method = Field(default="GET", description="The HTTP method")
    host: Text | None = Field(default=None, description="The Host header; the gateway's address unless told otherwise")
    headers: dict[str, str] = Field(default_factory=dict, description="Further request headers")
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


#: Every kind of step there is.
STEPS: tuple[type[Step], ...] = (Apply, Bump, Edit, Delete, Push, Wait, Sleep, Request)


def step_kinds() -> dict[str, type[Step]]:
    """The registry by name."""
    return {step.kind: step for step in STEPS}


def as_written(step: Step) -> dict[str, Any]:
    """The step as a scenario file has it, without what is not set: `{"bump": {"plugin": …, "tag": …}}`."""
    data = step.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(step, Edit):
        data["patch"] = step.patch
    elif isinstance(step, Request):
        data["expect"]["headers"] = dict(step.expect.headers)
    elif isinstance(step, Push):
        data = data["image"]
    return {step.kind: data}


class _OneKey:
    """The form of a step in a file, for pydantic: which model, how to validate, and the JSON Schema of it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {
            kind: core_schema.no_info_before_validator_function(_unwrap(step), handler.generate_schema(step))
            for kind, step in step_kinds().items()
        }
        return core_schema.tagged_union_schema(
            choices,
            discriminator=_kind_of,
            custom_error_type="step_kind",
            custom_error_message="a step is a mapping with one key, its kind",
            serialization=core_schema.plain_serializer_function_ser_schema(as_written),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        forms = []
        for kind, step in step_kinds().items():
            full = handler(handler_schema) if (handler_schema := _model_schema(schema, kind)) is not None else {}
            if step is Push:
                full = full["properties"]["image"]
            elif step.shorthand is not None:
                short = full["properties"][step.shorthand]
                full = {"anyOf": [short, full]}
            forms.append(
                {
                    "type": "object",
                    "description": (step.__doc__ or "").strip(),
                    "properties": {kind: full},
                    "required": [kind],
                    "additionalProperties": False,
                }
            )
        return {"oneOf": forms}


def _model_schema(schema: CoreSchema, kind: str) -> CoreSchema | None:
    choices: Mapping[str, Any] = schema.get("choices", {})
    choice = choices.get(kind)
    return None if choice is None else choice["schema"]


def _kind_of(value: Any) -> str | None:
    if isinstance(value, Step):
        return value.kind
    if isinstance(value, Mapping) and len(value) == 1:
        kind = next(iter(value))
        return kind if isinstance(kind, str) else None
    return None


def _unwrap(step: type[Step]) -> Any:
    def unwrap(value: Any) -> Any:
        if isinstance(value, Step):
            return value
        inner = value[step.kind]
        if step is Push:
            return {"image": inner}
        if step.shorthand is not None and not isinstance(inner, Mapping):
            return {step.shorthand: inner}
        return inner

    return unwrap


AnyStep = Annotated[Step, _OneKey()]

"""Every kind of step there is, and how a step stands in a file. `STEPS` is the registry: a new kind is added there.

In a file each step is a mapping with one key, the kind: `- bump: {plugin: …, tag: …}`. A kind with a `shorthand`
may also be written with that field's value alone: `- apply: request-block.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sim.scenario.step_models import (
    Advance,
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
)


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
        # Steps hold steps, so each is a reference; `with_step_definitions` puts in what it refers to.
        return {_PLACEHOLDER: True}


#: Stands for a step in a JSON Schema that pydantic made: pydantic knows no definition that is not a model's.
_PLACEHOLDER = "x-ecdsim-step"
_REFERENCE = "#/$defs/{model}"


def with_step_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """A scenario's JSON Schema with the definition of every kind of step."""
    forms = []
    definitions: dict[str, Any] = dict(schema.get("$defs", {}))
    for kind, step in step_kinds().items():
        full = TypeAdapter(step).json_schema(by_alias=True, ref_template=_REFERENCE)
        definitions |= full.pop("$defs", {})
        if "$ref" in full:
            full = definitions[full["$ref"].rpartition("/")[2]]
        if step is Push:
            full = {"description": (step.__doc__ or "").strip(), **full["properties"]["image"]}
        elif step.shorthand is not None:
            full = {"description": (step.__doc__ or "").strip(), "anyOf": [full["properties"][step.shorthand], full]}
        forms.append(
            {
                "type": "object",
                "description": (step.__doc__ or "").strip(),
                "properties": {kind: full},
                "required": [kind],
                "additionalProperties": False,
            }
        )
    definitions["Step"] = {"oneOf": forms}
    whole: dict[str, Any] = _resolved({**schema, "$defs": definitions})
    return whole


def _resolved(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _PLACEHOLDER in value:
            return {"$ref": _REFERENCE.format(model="Step")}
        return {key: _resolved(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return value


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


class Repeat(Step):
    """Carry out steps several times, one round after the other."""

    model_config = ConfigDict(defer_build=True)
    kind = "repeat"

    times: int = Field(ge=1, le=10_000, description="How often")
    steps: list[AnyStep] = Field(min_length=1, description="What is done in each round, in order")


class Parallel(Step):
    """Carry out branches of steps at the same time. It ends when all have; a step that fails ends the others."""

    model_config = ConfigDict(defer_build=True)
    kind = "parallel"
    shorthand = "branches"

    branches: list[list[AnyStep]] = Field(min_length=2, description="Each a step, or a list of steps")

    @model_validator(mode="before")
    @classmethod
    def _single_steps(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("branches"), list):
            lists = [branch if isinstance(branch, list) else [branch] for branch in data["branches"]]
            return {**data, "branches": lists}
        return data


#: Every kind of step there is.
STEPS: tuple[type[Step], ...] = (
    *(Apply, Bump, Edit, Delete, Push),
    *(Wait, Sleep, Request, CheckThat),
    *(Fault, Clear, ChangeLoad),
    *(Restart, Kill, Pause, Advance),
    *(Repeat, Parallel),
)


def step_kinds() -> dict[str, type[Step]]:
    """The registry by name."""
    return {step.kind: step for step in STEPS}


def carried_out(step: Step) -> int:
    """How many steps it comes to, rounds and branches counted."""
    if isinstance(step, Repeat):
        return step.times * sum(map(carried_out, step.steps))
    if isinstance(step, Parallel):
        return sum(carried_out(inner) for branch in step.branches for inner in branch)
    return 1


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

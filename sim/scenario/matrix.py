"""`spec.matrix`: one scenario, run once for each combination of profiles, image formats, workers, Envoys and xDS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from sim.errors import InvalidInput
from sim.manifests import Document
from sim.model import is_release
from sim.oci import ImageFormat
from sim.scenario.combination import AXES, Combination
from sim.scenario.include import Merged
from sim.scenario.problems import suggestion
from sim.scenario.quantities import Text
from sim.scenario.strict import Strict

if TYPE_CHECKING:
    from sim.scenario.load import LoadedScenario

MOST_COMBINATIONS = 100

#: The steps that hold other steps, and the keys under which they do.
_HOLDS_STEPS = ("repeat", "parallel", "steps", "branches")


def _check_envoy(text: str) -> str:
    if "/" not in text and not is_release(text):
        raise ValueError(f"{text!r} is no version of Envoy; write one such as 1.36.4, or a path such as ./{text}")
    return text


class Matrix(Strict):
    """The values that are combined, each axis with each."""

    profile: list[Text] = Field(
        default_factory=list, description="Profiles, instead of spec.profile", examples=[["higress", "istio-1.27"]]
    )
    format: list[ImageFormat] = Field(
        default_factory=list, description="How the images are packed that name no format themselves"
    )
    workers: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=list, description="Worker threads of every gateway, whatever it names itself"
    )
    envoy: list[Annotated[Text, AfterValidator(_check_envoy)]] = Field(
        default_factory=list,
        description="Envoys: versions that `ecdsim envoy install` has fetched, or paths, which start at the"
        " scenario's folder",
        examples=[["1.36.4", "1.40.0"]],
    )
    xds: list[Literal["sotw", "delta"]] = Field(
        default_factory=list, description="What Envoy and the agent speak, instead of the profile's variant"
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for axis in AXES:
            values = getattr(self, axis)
            if axis in self.model_fields_set and not values:
                raise PydanticCustomError(
                    "axis", "{axis} is empty; list values or remove the key", {"axis": axis, "path": (axis,)}
                )
            for index, value in enumerate(values):
                if value in values[:index]:
                    raise PydanticCustomError(
                        "axis",
                        "{value} is listed twice; remove one of the two",
                        {"value": repr(value), "path": (axis, index)},
                    )
        if not self.model_fields_set:
            raise PydanticCustomError("axis", "a matrix without an axis; write for instance profile: [higress]")
        size = math.prod(len(getattr(self, axis)) or 1 for axis in AXES)
        if size > MOST_COMBINATIONS:
            raise PydanticCustomError(
                "axis",
                "{size} combinations are too many; at most {most}",
                {"size": size, "most": MOST_COMBINATIONS},
            )
        names = [combination.name for combination in self.combinations()]
        alike = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if alike is not None:
            raise PydanticCustomError(
                "axis", "two combinations would be called {name}; rename a file", {"name": repr(alike)}
            )
        return self

    def combinations(self) -> Iterator[Combination]:
        """Every combination, the last axis changing fastest."""
        axes = [axis for axis in AXES if getattr(self, axis)]
        for values in product(*(getattr(self, axis) for axis in axes)):
            yield Combination.model_validate(dict(zip(axes, values, strict=True)))


def choose(scenarios: Sequence[LoadedScenario], name: str) -> tuple[LoadedScenario, ...]:
    """The one combination of that name. Raises InvalidInput, with the names that there are."""
    chosen = tuple(each for each in scenarios if each.combination is not None and each.combination.name == name)
    if not chosen:
        names = [each.combination.name for each in scenarios if each.combination is not None]
        there = f"combinations are {', '.join(names)}" if names else "it has no matrix"
        raise InvalidInput(f"{scenarios[0].path} has no combination {name!r}", hint=suggestion(name, names, there))
    return chosen


def without_axes(document: Document, pinned: frozenset[str]) -> Document:
    """The scenario without these axes: the command line says what holds in their place."""
    spec = document.data.get("spec")
    matrix = spec.get("matrix") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(matrix, dict) or not pinned & matrix.keys():
        return document
    left = {axis: values for axis, values in matrix.items() if axis not in pinned}
    rest = {key: value for key, value in spec.items() if key != "matrix"}
    return _with_spec(document, {**rest, "matrix": left} if left else rest, {})


def narrowed(document: Document, combination: Combination) -> Document:
    """A valid scenario as one combination has it; its matrix is this combination alone, so that it reads back so."""
    spec = dict(document.data["spec"])
    matrix = spec["matrix"]
    chosen = {axis: getattr(combination, axis) for axis in AXES if getattr(combination, axis) is not None}
    places = {axis: ("spec", "matrix", axis, list(matrix[axis]).index(value)) for axis, value in chosen.items()}
    moved: dict[tuple[str | int, ...], tuple[str | int, ...]] = {
        ("spec", "matrix", axis, 0): place for axis, place in places.items()
    }
    spec["matrix"] = {axis: [value] for axis, value in chosen.items()}
    if combination.profile is not None:
        spec["profile"] = combination.profile
        moved["spec", "profile"] = places["profile"]
    if combination.workers is not None:
        if spec.get("gateways"):
            spec["gateways"] = [{**gateway, "workers": combination.workers} for gateway in spec["gateways"]]
        else:
            spec["gateway"] = {**(spec.get("gateway") or {}), "workers": combination.workers}
    if combination.format is not None:
        spec["images"] = [_packed(image, combination.format) for image in spec.get("images") or []]
        spec["steps"] = _with_format(spec["steps"], combination.format)
    return _with_spec(document, spec, moved)


def merged_problems(by_combination: Mapping[str, Sequence[InvalidInput]], of: int) -> list[InvalidInput]:
    """Each problem once. One that not all of the `of` combinations have says where it is."""
    found: dict[str, list[tuple[str, InvalidInput]]] = {}
    for name, problems in by_combination.items():
        for problem in problems:
            found.setdefault(str(problem), []).append((name, problem))
    merged = []
    for having in found.values():
        names, problem = [name for name, _ in having], having[0][1]
        told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        message = problem.message if len(names) == of else f"{problem.message} (in {told})"
        merged.append(InvalidInput(message, where=problem.where, hint=problem.hint))
    return merged


def _with_spec(
    document: Document,
    spec: dict[str, Any],
    moved: dict[tuple[str | int, ...], tuple[str | int, ...]],
) -> Document:
    """Another spec at the same places, apart from what was `moved`: by its path now, the path in the file."""
    origins = dict(document.origins) if isinstance(document, Merged) else {}
    return Merged(
        document.file,
        {**document.data, "spec": spec},
        document.start,
        document.positions,
        {**origins, **{here: (document, there) for here, there in moved.items()}},
    )


def _packed(image: dict[str, Any], image_format: str) -> dict[str, Any]:
    return image if "format" in image else {**image, "format": image_format}


def _with_format(steps: Any, image_format: str) -> Any:
    """Steps, with the format in every `push` that names none."""
    if isinstance(steps, list):
        return [_with_format(step, image_format) for step in steps]
    if not isinstance(steps, dict):
        return steps
    made = {}
    for key, value in steps.items():
        if key == "push" and isinstance(value, dict):
            made[key] = _packed(value, image_format)
        else:
            made[key] = _with_format(value, image_format) if key in _HOLDS_STEPS else value
    return made

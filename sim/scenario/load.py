"""From a scenario file to everything that a run needs, all of it checked before anything starts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from sim.errors import InvalidInput, Location
from sim.manifests import Document, Manifest, read_documents
from sim.manifests.reading import read_text
from sim.manifests.scalars import resolve
from sim.profiles import Profile
from sim.scenario.combination import Combination
from sim.scenario.expect import CompiledExpectation
from sim.scenario.images import ForeignImage, ResolvedImage
from sim.scenario.include import PIECE_KIND, with_pieces
from sim.scenario.matrix import merged_problems, narrowed, without_axes
from sim.scenario.places import PlacedStep, StepKey
from sim.scenario.problems import InvalidScenario, explain, near_file
from sim.scenario.schema import API_VERSION, KIND, Scenario, as_written
from sim.scenario.thresholds import PlacedThreshold

SCENARIO_FILE = "scenario.yaml"
MAX_SCENARIO_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario that can be run. Steps are known by their key, as in `PlacedStep`."""

    scenario: Scenario
    #: The file itself, also where a folder was named.
    path: Path
    profile: Profile
    #: What is in the registry when the run begins.
    images: tuple[ResolvedImage, ...]
    #: What registries of somebody else's have, by `ref`.
    elsewhere: tuple[ForeignImage, ...]
    #: The steps with their places, those within others too.
    steps: tuple[PlacedStep, ...]
    #: What the `push` steps push.
    pushes: dict[StepKey, ResolvedImage]
    #: The objects that each `apply`, `bump` and `edit` step puts in force, in order, when it is carried out first.
    manifests: dict[StepKey, tuple[Manifest, ...]]
    #: What each `check` step holds against the result.
    checks: dict[StepKey, CompiledExpectation]
    expectations: tuple[CompiledExpectation, ...]
    thresholds: tuple[PlacedThreshold, ...]
    #: Which combination of its matrix this is; None where it has none.
    combination: Combination | None
    _document: Document = field(repr=False)

    @property
    def name(self) -> str:
        return self.scenario.metadata.name

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @property
    def label(self) -> str:
        """`tag-bump`; with its combination where there are several: `tag-bump[oci]`."""
        return f"{self.name}[{self.combination.name}]" if self.combination is not None else self.name

    @property
    def envoy(self) -> str | None:
        """The Envoy that the combination asks for: a version, or a path from here."""
        asked = self.combination.envoy if self.combination is not None else None
        return str(self.folder / asked) if asked is not None and "/" in asked else asked

    def where(self, *path: str | int) -> Location:
        """The file and line of a key, such as `where("spec", "steps", 2, "bump")`."""
        return self._document.where(*path)

    def every_step(self) -> Iterator[PlacedStep]:
        """All steps, those within others right after these."""
        for step in self.steps:
            yield from step.everything()

    def resolved_yaml(self) -> str:
        """The scenario with every default filled in; file paths and manifests stay as they were written."""
        spec = self.scenario.spec
        data = self.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
        data["spec"].pop("gateway" if spec.gateways else "gateways")
        # What was included is here.
        data["spec"].pop("include")
        if self.combination is not None:
            data["spec"]["matrix"] = {axis: values for axis, values in data["spec"]["matrix"].items() if values}
        data["spec"]["images"] = [
            *(image.as_written() for image in self.images),
            *(image.as_written() for image in self.elsewhere),
        ]
        data["spec"]["steps"] = [as_written(step) for step in spec.steps]
        stream = io.StringIO()
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.width = 4096
        yaml.dump(_quoted(data), stream)
        return stream.getvalue()


def load_scenario(path: Path) -> LoadedScenario:
    """Read and check a scenario: a .yaml file, or a folder with a scenario.yaml in it.

    Of a scenario with a matrix all combinations are checked, and the first is given.
    Raises InvalidScenario, with everything that is wrong, each with file, line, key and a hint.
    """
    return load_scenarios(path)[0]


def load_scenarios(
    path: Path, pinned: frozenset[str] = frozenset(), *, registry: str | None = None
) -> tuple[LoadedScenario, ...]:
    """The scenario once for each combination of its matrix; once where it has none. Raises as `load_scenario` does.

    `pinned` are the axes in whose place the command line says what holds. `registry` (`host:port`) is the one that is
    used in place of the run's own: which images it has nobody but it knows.
    """
    return scenarios_of(read_scenario(path), pinned, registry=registry)


def read_scenario(path: Path) -> Document:
    """What stands in the file, or in the folder's scenario.yaml. Raises InvalidScenario for what is no scenario."""
    return _document(_file(path))


def scenarios_of(
    document: Document, pinned: frozenset[str] = frozenset(), *, registry: str | None = None
) -> tuple[LoadedScenario, ...]:
    """As `load_scenarios`, of what was read already, or never stood in a file."""
    whole = with_pieces(document, _piece)
    document = without_axes(whole, pinned)
    matrix = _validated(document).spec.matrix
    if matrix is None:
        # An axis that the command line has decided may be named all the same.
        return (_checked(document, None, registry, combined=document is not whole),)
    loaded, refused = [], {}
    for combination in matrix.combinations():
        try:
            loaded.append(_checked(narrowed(document, combination), combination, registry))
        except InvalidScenario as error:
            refused[combination.name] = error.problems
    if refused:
        raise InvalidScenario(merged_problems(refused, of=len(loaded) + len(refused)))
    return tuple(loaded)


def _validated(document: Document) -> Scenario:
    try:
        return Scenario.model_validate(document.data)
    except ValidationError as error:
        raise InvalidScenario(explain(error, document)) from error


def _checked(
    document: Document, combination: Combination | None, registry: str | None, *, combined: bool = True
) -> LoadedScenario:
    from sim.scenario.check import Check

    scenario = _validated(document)
    check = Check(scenario, Path(document.file).parent, document, registry, combined=combined)
    check.run()
    if check.problems:
        raise InvalidScenario(check.problems)
    assert check.profile is not None
    return LoadedScenario(
        scenario=scenario,
        path=Path(document.file),
        profile=check.profile,
        images=tuple(check.images),
        elsewhere=tuple(check.elsewhere),
        steps=check.steps,
        checks=check.checks,
        pushes=check.pushes,
        manifests=check.manifests,
        expectations=tuple(check.expectations),
        thresholds=check.thresholds,
        combination=combination,
        _document=document,
    )


def _file(path: Path) -> Path:
    if path.is_dir():
        if (path / SCENARIO_FILE).is_file():
            return path / SCENARIO_FILE
        others = sorted(entry.name for entry in path.iterdir() if entry.suffix in (".yaml", ".yml"))
        hint = (
            f"name a file: {', '.join(str(path / name) for name in others)}"
            if others
            else f"name one of the folders in it; all of them are checked by ecdsim test {path} --list"
            if any(path.glob(f"*/{SCENARIO_FILE}"))
            else f"put a {SCENARIO_FILE} there"
        )
        raise _refused(path, f"there is no {SCENARIO_FILE} in this folder", hint)
    if not path.exists():
        near = near_file(path)
        hint = f"did you mean {path.parent / near}?" if near else "name a scenario's .yaml file, or its folder"
        raise _refused(path, "there is no such scenario", hint)
    return path


def _piece(file: Path) -> Document:
    return _only_document(file, "begin with apiVersion: ecdsim/v1 and kind: Piece")


def _only_document(file: Path, begin: str) -> Document:
    """The one document of a file."""
    try:
        text = read_text(file, MAX_SCENARIO_BYTES, "a scenario")
        documents = read_documents(text, str(file), literal_keys=True)
    except InvalidInput as error:
        raise InvalidScenario([error]) from error
    if not documents:
        raise _refused(file, "the file is empty", begin)
    if len(documents) > 1:
        second = documents[1].where()
        raise InvalidScenario(
            [InvalidInput("a second document begins here", where=second, hint="keep one scenario in each file")]
        )
    return documents[0]


def _document(file: Path) -> Document:
    begin = f"begin with apiVersion: {API_VERSION} and kind: {KIND}"
    document = _only_document(file, begin)
    if not isinstance(document.data, dict):
        raise InvalidScenario([InvalidInput("a scenario is a mapping", where=document.where(), hint=begin)])
    halves = [
        InvalidInput(
            "there is half a character in the text (a \\ud800 … \\udfff escape)",
            where=document.where(*path),
            hint="write the character itself",
        )
        for path in _with_surrogates(document.data)
    ]
    if halves:
        raise InvalidScenario(halves)
    kind = document.data.get("kind")
    if kind == PIECE_KIND and document.data.get("apiVersion") == API_VERSION:
        raise InvalidScenario(
            [
                InvalidInput(
                    "this is a piece, which scenarios include, not a scenario",
                    where=document.where("kind"),
                    hint="name a scenario that has it under spec.include; it is checked as part of that",
                )
            ]
        )
    if isinstance(kind, str) and kind != KIND and str(document.data.get("apiVersion")) != API_VERSION:
        raise InvalidScenario(
            [
                InvalidInput(
                    f"this is a {kind}, not a scenario",
                    where=document.where("kind"),
                    hint=f"{begin}, and name this file in a step apply",
                )
            ]
        )
    return document


def _with_surrogates(data: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of keys and texts that can't be written as UTF-8."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _with_surrogates(key, here)
            yield from _with_surrogates(value, (*here, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _with_surrogates(item, (*here, index))
    elif isinstance(data, str) and any("\ud800" <= character <= "\udfff" for character in data):
        yield here


def _refused(path: Path, message: str, hint: str) -> InvalidScenario:
    return InvalidScenario([InvalidInput(message, where=Location(str(path)), hint=hint)])


def _quoted(value: Any) -> Any:
    """Mark the strings that would be read back as something else when written bare."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str):
        try:
            plain = resolve(value) == value and value not in ("<<", "=") and "\n" not in value
        except ValueError:
            plain = False
        return value if plain else str.__new__(DoubleQuotedScalarString, value)
    return value

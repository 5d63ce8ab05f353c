"""A suite: the scenarios below some paths as cases, one for each combination, all checked before any is run."""

from __future__ import annotations

import codecs
import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.scenario.include import PIECE_KIND
from sim.scenario.load import MAX_SCENARIO_BYTES, SCENARIO_FILE, LoadedScenario, load_scenarios
from sim.scenario.problems import InvalidScenario, near_file
from sim.scenario.schema import KIND
from sim.scenario.selection import among, in_any, parse_expression

_SUFFIXES = (".yaml", ".yml")
#: What tells a scenario from a manifest, before anybody parses it.
_API_GROUP = re.compile(r"^\s*\{?\s*[\"']?apiVersion[\"']?\s*:\s*[\"']?([^\s\"'/#,}]+)", re.MULTILINE)
_KIND = re.compile(r"^(?:\s*\{.*?)?[\"']?kind[\"']?\s*:\s*[\"']?(\w+)", re.MULTILINE)
#: How near a word must be to be a slip of the pen: Secnario, scenarios.
_NEAR = 0.8
#: A run directory has the scenario that it was made by, which is no scenario of the suite.
_RUN_FILES = ("trace.jsonl", "result.json")


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the suite: a scenario, or one combination of its matrix."""

    loaded: LoadedScenario

    @property
    def name(self) -> str:
        """`tag-bump`, or `tag-bump[oci]`."""
        return self.loaded.label

    @property
    def slug(self) -> str:
        """The name as a file's: `tag-bump-oci`."""
        return "-".join(filter(None, (self.loaded.name, self.combination)))

    @property
    def combination(self) -> str | None:
        return self.loaded.combination.name if self.loaded.combination is not None else None

    @property
    def file(self) -> Path:
        return self.loaded.path

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.loaded.scenario.metadata.labels)

    @property
    def where(self) -> Location:
        """The place of the scenario's name."""
        return self.loaded.where("metadata", "name")


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases, in the order of their files; and the scenarios that can't be run, with everything that is wrong."""

    cases: tuple[Case, ...]
    invalid: dict[Path, list[InvalidInput]]

    def select(self, words: str | None, labels: str | None) -> tuple[Case, ...]:
        """The cases of which both expressions hold: `words` of names, paths and labels, `labels` of labels alone.

        Raises InvalidInput for what is no expression, and where nothing is left.
        """
        by_word = parse_expression(words, "-k") if words is not None else None
        by_label = parse_expression(labels, "-m") if labels is not None else None
        chosen = tuple(
            case
            for case in self.cases
            if (by_word is None or by_word(in_any((case.name, str(case.file), *case.labels))))
            and (by_label is None or by_label(among(case.labels)))
        )
        if self.cases and not chosen:
            names = ", ".join(case.name for case in self.cases[:8])
            raise InvalidInput(
                f"none of {len(self.cases)} cases is selected",
                hint=f"there are {names}{', …' if len(self.cases) > 8 else ''}; --list shows them all",
            )
        return chosen


def discover(paths: Sequence[Path]) -> list[Path]:
    """The scenario files that the paths name, and those in the folders that they name, each once.

    In a folder these are every `scenario.yaml`, and every other YAML file that says it is a scenario, or nearly so: one
    that is broken is told, not passed by. Hidden folders and run directories are passed by. Raises InvalidInput for a
    path that does not exist or that has no scenario.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            near = near_file(path)
            hint = f"did you mean {path.parent / near}?" if near else "name scenarios, or folders that hold some"
            raise InvalidInput("there is no such file or folder", where=Location(str(path)), hint=hint)
        files = [path] if path.is_file() else list(_below(path))
        if not files:
            raise InvalidInput(
                "there is no scenario here", where=Location(str(path)), hint=f"put a {SCENARIO_FILE} there"
            )
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def load_suite(files: Sequence[Path], pinned: frozenset[str] = frozenset()) -> Suite:
    """Every case of these files. `pinned` are axes of matrices that the command line decides."""
    cases: list[Case] = []
    invalid: dict[Path, list[InvalidInput]] = {}
    for file in files:
        try:
            cases += [Case(loaded) for loaded in load_scenarios(file, pinned)]
        except InvalidScenario as error:
            invalid[file] = error.problems
        except InvalidInput as error:
            invalid[file] = [error]
    return Suite(tuple(cases), invalid)


def refuse_namesakes(cases: Sequence[Case]) -> None:
    """Raises InvalidInput where two cases have one name, by which nobody could tell them apart in a report."""
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.name, case)
        if other is not case:
            raise InvalidInput(
                f"two scenarios have the name {case.name}: {other.file} and {case.file}",
                where=case.where,
                hint="give one of them another name, or test them one after the other",
            )


def namesakes(cases: Sequence[Case]) -> Iterator[tuple[Case, Case]]:
    """Cases of different files whose baselines would be one file."""
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.slug, case)
        if other is not case:
            yield other, case


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        if any(name in names for name in _RUN_FILES):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if file.suffix in _SUFFIXES and (name == SCENARIO_FILE or _says_so(file)):
                yield file


def _unreadable(error: OSError) -> None:
    raise EnvironmentProblem(f"can't look for scenarios: {error}", hint="may you read that folder?") from error


def _says_so(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            text = _readable(stream.read(MAX_SCENARIO_BYTES))
    except OSError:
        return False
    group, kind = _API_GROUP.search(text), _KIND.search(text)
    if kind is not None and kind[1] == PIECE_KIND:
        return False
    if group is not None:
        return _near(group[1], "ecdsim")
    return kind is not None and _near(kind[1], KIND)


def _readable(content: bytes) -> str:
    """The text, in whatever encoding it may be, for a first look."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-16" if wide else "utf-8", "replace")


def _near(word: str, known: str) -> bool:
    return difflib.SequenceMatcher(None, word.lower(), known.lower()).ratio() >= _NEAR

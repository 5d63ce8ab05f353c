"""The two sides of a comparison: a run, several runs of one scenario, or a baseline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InvalidInput, Location
from sim.scenario.baseline import TIMES_SUFFIX, Baseline
from sim.scenario.compare import Difference, merged
from sim.scenario.transcript import Transcript, read_transcript


@dataclass(frozen=True, slots=True)
class Operand:
    """One side. `varying`: those of its own runs that differ from the first, by the run's name."""

    path: Path
    transcript: Transcript
    runs: int
    varying: dict[str, Difference]


def read_operand(path: Path) -> Operand:
    """A run directory, a `result.json`, a baseline's file, or a folder that holds runs of one scenario.

    Raises InvalidInput for what is none of these, EnvironmentProblem for what can't be read.
    """
    if path.is_file() and _is_baseline(path):
        if path.name.endswith(TIMES_SUFFIX):
            raise InvalidInput(
                "these are a baseline's times alone", where=Location(str(path)), hint="name the file without .times"
            )
        held = Baseline(path.parent).read(path.name.removesuffix(".json"))
        assert held is not None
        return Operand(path, held, 1, {})
    if not path.is_dir() or (path / "result.json").is_file():
        return Operand(path, read_transcript(path), 1, {})
    directories = sorted(file.parent for file in path.glob("*/result.json"))
    if not directories:
        raise InvalidInput(
            "this is no run, and holds none",
            where=Location(str(path)),
            hint="name a run directory, a result.json, a baseline's file, or a folder with runs of one scenario",
        )
    transcripts = [read_transcript(directory) for directory in directories]
    names = sorted({each.name for each in transcripts})
    if len(names) > 1:
        raise InvalidInput(
            f"these are runs of several scenarios: {', '.join(names)}",
            where=Location(str(path)),
            hint="name one run directory, or a folder with runs of one scenario",
        )
    whole, varying = merged(transcripts)
    return Operand(path, whole, len(directories), {directories[index].name: found for index, found in varying})


def _is_baseline(file: Path) -> bool:
    if file.suffix != ".json":
        return False
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and "baseline" in held

"""A run directory, read: what the page is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.scenario.result import Result
from sim.trace import Event
from sim.trace.files import read_payload, read_trace

TRAFFIC_FILE = "traffic.json"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """`scenario` is the text of `scenario.yaml`, `metadata` what stands in it under that key; empty where unknown.

    `traffic` are the columns of `traffic.json`, by load; empty for a run that has none. `read` gives the JSON that a
    payload's reference names.
    """

    directory: Path
    result: Result
    events: list[Event]
    scenario: str
    metadata: dict[str, Any]
    traffic: dict[str, Any]
    read: Callable[[str], Any]
    #: Where its time begins, on the trace's clock, where `events` are not all there were.
    begin_ns: int | None = None

    @property
    def start_ns(self) -> int:
        """The zero of every time on the page."""
        if self.begin_ns is not None:
            return self.begin_ns
        return min((event.t_ns for event in self.events), default=0)


def read_run(directory: Path) -> RunFiles:
    """Raises InvalidInput for what is no run directory, EnvironmentProblem for what can't be read."""
    result_file = directory / "result.json"
    if not result_file.is_file():
        raise InvalidInput(
            "this is no run: there is no result.json in it",
            where=Location(str(directory)),
            hint="name a run directory, such as runs/tag-bump-…",
        )
    try:
        result = Result.model_validate_json(result_file.read_bytes())
        events = read_trace(directory) if (directory / "trace.jsonl").is_file() else []
        scenario = _text(directory / "scenario.yaml")
        traffic = json.loads(_text(directory / TRAFFIC_FILE) or "{}").get("loads", {})
    except OSError as error:
        raise EnvironmentProblem(f"can't read the run: {error}", hint="is the run directory complete?") from error
    except ValidationError as error:
        raise InvalidInput(
            f"result.json is not of this version: {error.errors()[0]['msg']}",
            where=Location(str(result_file)),
            hint="was the run made by another version of ecdsim? Run the scenario again",
        ) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise InvalidInput(f"the run can't be read: {error!r}", where=Location(str(directory))) from error
    return RunFiles(directory, result, events, scenario, _metadata(scenario), traffic, partial(read_payload, directory))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _metadata(scenario: str) -> dict[str, Any]:
    try:
        loaded = YAML(typ="safe", pure=True).load(scenario)
    except YAMLError:
        return {}
    metadata = loaded.get("metadata") if isinstance(loaded, dict) else None
    return metadata if isinstance(metadata, dict) else {}

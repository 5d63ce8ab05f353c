"""Baselines: what runs of a scenario are held against, as files that a person reads and a repository keeps.

`<case>.json` holds verdicts, order and payloads: nothing in it is of one machine or of one moment, so it only changes
when what happens does. `<case>.times.json` holds the stages' times, which are of one machine; it is written only where
a ratio is asked for, and is better kept in a cache than in a repository.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.scenario.transcript import Transcript

FORMAT = 1
TIMES_SUFFIX = ".times.json"

Update = Literal["new", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A folder of baselines. A case is known by its `slug`, such as `tag-bump-oci`."""

    folder: Path

    def ready(self) -> None:
        """Make the folder, and see that it can be written. Raises EnvironmentProblem."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise EnvironmentProblem(
                f"can't write the baseline: {error}", hint="give another folder with --baseline"
            ) from error

    def read(self, slug: str) -> Transcript | None:
        """The case's baseline with the times that there are; None where there is none.

        Raises InvalidInput for a file that is no baseline, EnvironmentProblem for one that can't be read.
        """
        held = _read(self.file(slug))
        if held is None:
            return None
        times = _read(self.folder / f"{slug}{TIMES_SUFFIX}")
        return transcript_of(held, self.file(slug), times or {})

    def write(self, slug: str, transcript: Transcript, *, times: bool) -> Update:
        """Put the case's files in place, whole or not at all; times only if asked for. Raises EnvironmentProblem."""
        file = self.file(slug)
        text = _text(_held(transcript))
        before = file.read_text(encoding="utf-8") if file.is_file() else None
        try:
            if text != before:
                _replace(file, text)
            if times:
                _replace(self.folder / f"{slug}{TIMES_SUFFIX}", _text(_held_times(transcript)))
        except OSError as error:
            raise EnvironmentProblem(
                f"can't write the baseline: {error}", hint="give another folder with --baseline"
            ) from error
        return "new" if before is None else "unchanged" if text == before else "changed"

    def strangers(self, slugs: Collection[str]) -> list[str]:
        """The files here that belong to none of these cases."""
        return sorted(
            path.name
            for path in self.folder.glob("*.json")
            if path.name.removesuffix(TIMES_SUFFIX).removesuffix(".json") not in slugs
        )

    def file(self, slug: str) -> Path:
        """Where the case's baseline is, or would be."""
        return self.folder / f"{slug}.json"


def transcript_of(held: Mapping[str, Any], file: Path, times: Mapping[str, Any]) -> Transcript:
    """A baseline's content as a transcript. Raises InvalidInput, naming `file`, for what is none."""
    if held.get("baseline") != FORMAT:
        raise InvalidInput(
            "this is no baseline that this ecdsim can read",
            where=Location(str(file)),
            hint="write it anew with --update-baseline",
        )
    try:
        payloads: dict[str, Any] = {}
        for hop, data in held["payloads"].items():
            payloads[hop] = payloads[data["same_as"]] if data.keys() == {"same_as"} else data
        return Transcript(
            scenario=held["scenario"],
            profile=held["profile"],
            combination=held["combination"],
            outcome=held["verdicts"]["run"]["outcome"],
            verdicts=held["verdicts"],
            lanes=held["order"],
            payloads=payloads,
            times_ms=dict(times.get("times_ms", {})),
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise InvalidInput(
            f"this baseline is damaged: {error!r}",
            where=Location(str(file)),
            hint="write it anew with --update-baseline, or take it from the repository again",
        ) from error


def _held(transcript: Transcript) -> dict[str, Any]:
    """A payload that an earlier hop has had already is named, not repeated."""
    first: dict[str, str] = {}
    payloads: dict[str, Any] = {}
    for hop, data in (transcript.payloads or {}).items():
        known = first.setdefault(json.dumps(data, sort_keys=True), hop)
        payloads[hop] = data if known == hop else {"same_as": known}
    return {
        "baseline": FORMAT,
        "scenario": transcript.scenario,
        "profile": transcript.profile,
        "combination": transcript.combination,
        "verdicts": transcript.verdicts,
        "order": transcript.lanes,
        "payloads": payloads,
    }


def _held_times(transcript: Transcript) -> dict[str, Any]:
    return {"baseline": FORMAT, "times_ms": transcript.times_ms}


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentProblem(f"can't read {file}: {error.strerror}", hint="may you read it?") from error
    except ValueError as error:
        raise InvalidInput(
            f"this is not JSON: {error}", where=Location(str(file)), hint="write it anew with --update-baseline"
        ) from error
    if not isinstance(data, dict):
        raise InvalidInput("this is no baseline", where=Location(str(file)), hint="write it with --update-baseline")
    return data


def _replace(file: Path, text: str) -> None:
    """Two who write at once leave the file of one of them, never a mixture."""
    made = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        made.write_text(text, encoding="utf-8")
        made.replace(file)
    except BaseException:
        with suppress(FileNotFoundError):
            made.unlink()
        raise

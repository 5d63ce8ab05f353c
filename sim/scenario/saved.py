"""What was done by hand in a session, as a scenario that does it again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.manifests import WASM_PLUGIN, dump_manifest
from sim.oci import parse_reference
from sim.scenario.changes import image_url
from sim.scenario.load import SCENARIO_FILE
from sim.scenario.result import Result, Rollout
from sim.scenario.schema import (
    API_VERSION,
    KIND,
    Apply,
    Bump,
    Delete,
    Edit,
    FileImage,
    Push,
    Sleep,
    Step,
    Wait,
    as_written,
)
from sim.scenario.session import Deed, Session

#: A pause between two things done by hand that is shorter says nothing.
_SHORT_S = 0.2
#: A longer one was a person thinking.
_LONG_S = 2.0


def saved_files(session: Session) -> dict[str, str]:
    """The scenario and the manifests that it applies, by their names in its folder.

    What could not be done is left out. After each change comes a wait for what was seen of it.
    """
    files: dict[str, str] = {}
    steps: list[dict[str, Any]] = []
    result = session.result_now()
    there = {str(image.reference) for image in session.loaded.images}
    there |= {str(image.reference) for image in session.loaded.elsewhere}
    done = [deed for deed in session.deeds if deed.error is None and deed.ended_ns is not None]
    for position, deed in enumerate(done):
        following = done[position + 1].started_ns if position + 1 < len(done) else None
        if isinstance(deed.step, Push):
            there.add(str(parse_reference(deed.step.image.reference_text)))
        steps.append(_written(deed, files, missing=_is_missing(deed, there)))
        waits_itself = following is not None and isinstance(done[position + 1].step, Wait | Sleep)
        if not isinstance(deed.step, Wait | Sleep) and not waits_itself:
            waits = list(_waits(deed, result, following))
            steps += waits
            if not waits and following is not None:
                steps += _pause(deed, following)
    data = _around(session, result, steps)
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(data, stream)
    return {SCENARIO_FILE: stream.getvalue(), **files}


def write_saved(files: Mapping[str, str], folder: Path) -> None:
    """Write the files into a folder that is made for them.

    Raises InvalidInput where there is something already, EnvironmentProblem when it can't be written.
    """
    try:
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise InvalidInput(
            "is there already, and nothing is overwritten",
            where=Location(str(folder)),
            hint="choose a folder that is not there yet",
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write {folder}: {error.strerror or error}", hint="choose another folder"
        ) from error


def _written(deed: Deed, files: dict[str, str], *, missing: bool) -> dict[str, Any]:
    step: Step = deed.step
    if isinstance(step, Apply):
        text = "---\n".join(dump_manifest(manifest) for manifest in deed.manifests)
        name = _free_name(Path(step.file).name, text, files)
        files[name] = text
        return {"apply": {"file": name, "missing": True} if missing else name}
    ((kind, fields),) = as_written(step).items()
    short = step.shorthand
    kept = {key: value for key, value in fields.items() if value not in (None, False, {}, [], "")}
    if isinstance(step, Bump | Edit):
        kept |= {"missing": True} if missing else {}
    return {kind: kept[short] if short is not None and set(kept) == {short} else kept}


def _is_missing(deed: Deed, there: set[str]) -> bool:
    """Whether it names an image that the registry did not have from the scenario or a push."""
    urls = [url for m in deed.manifests if m.kind == WASM_PLUGIN and (url := image_url(m)) is not None]
    for url in urls:
        try:
            reference = parse_reference(url)
        except InvalidInput:
            return True
        if reference.digest is None and str(reference) not in there:
            return True
    return False


def _free_name(wanted: str, text: str, files: Mapping[str, str]) -> str:
    stem, number, name = Path(wanted).stem, 1, f"{Path(wanted).stem}.yaml"
    while name in files and files[name] != text:
        number += 1
        name = f"{stem}-{number}.yaml"
    return name


def _waits(deed: Deed, result: Result, following: int | None) -> Iterator[dict[str, Any]]:
    """What had come of a change before the next thing was done."""
    for plugin in dict.fromkeys(_plugins(deed)):
        own = [r for r in result.rollouts if r.plugin == plugin and deed.started_ns <= r.t_ns <= (deed.ended_ns or 0)]
        conditions = {condition for rollout in own if (condition := _reached(rollout, following)) is not None}
        if len(conditions) == 1:
            yield {"wait": {conditions.pop(): plugin}}


def _plugins(deed: Deed) -> Iterator[str]:
    if isinstance(deed.step, Delete):
        yield deed.step.plugin
    yield from (manifest.key for manifest in deed.manifests if manifest.kind == WASM_PLUGIN)


def _reached(rollout: Rollout, following: int | None) -> str | None:
    def by_then(after_ms: float | None) -> bool:
        return after_ms is not None and (following is None or rollout.t_ns + after_ms * 1e6 <= following)

    if by_then(rollout.settled_ms):
        return "settled"
    if by_then(rollout.effective_ms):
        return "effective"
    if rollout.nacked:
        return "nacked"
    return "acked" if rollout.acked else None


def _pause(deed: Deed, following: int) -> list[dict[str, Any]]:
    gap_s = (following - (deed.ended_ns or following)) / 1e9
    return [{"sleep": f"{min(gap_s, _LONG_S):.1f}s"}] if gap_s >= _SHORT_S else []


def _around(session: Session, result: Result, steps: list[dict[str, Any]]) -> dict[str, Any]:
    scenario = session.loaded.scenario
    spec = scenario.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)["spec"]
    for key in ("steps", "expect", "thresholds", "matrix", "include", "images"):
        spec.pop(key, None)
    images = []
    for image in session.loaded.images:
        entry = image.entry.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        if isinstance(image.entry, FileImage):
            entry["file"] = str((session.loaded.folder / image.entry.file).resolve())
        images.append(entry)
    images += [image.as_written() for image in session.loaded.elsewhere]
    if "/" in spec.get("profile", "") or spec.get("profile", "").endswith((".yaml", ".yml")):
        spec["profile"] = str((session.loaded.folder / spec["profile"]).resolve())
    expect = [f"traffic.{name}.failed == 0" for name, load in result.traffic.items() if not load.failed]
    expect += [
        f"traffic.{name}.connections_broken == 0"
        for name, load in result.traffic.items()
        if not load.connections_broken
    ]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": f"{scenario.metadata.name}-by-hand"[:63], "title": {"en": f"Done by hand, {when} UTC"}},
        "spec": {**({"images": images} if images else {}), **spec, "steps": steps or [{"sleep": "1s"}]}
        | ({"expect": expect} if expect else {}),
    }

"""The transcript of a run: what was said, in an order that another run of the same scenario repeats.

Parts work side by side, so their events interleave differently in every run. What does not vary is the order within a
lane. The lanes of `rollouts[i]`, a change of a plugin on one gateway:

| lane | holds, in its own order |
| --- | --- |
| change | Core and Discovery up to the push: `core.apply`, `core.convert`, `core.mcp_push`, `discovery.received`, `discovery.debounce` |
| push | which xDS types Discovery pushed by itself, after the debounce |
| <type> | one xDS type: what Envoy subscribed to, then each response from Discovery's push to the ACK or NACK |
| module <plugin> | what the agent did about the plugin's module: fetch, unpack, rewrite, or what it put in its place; |
| | where one push had it do so several times side by side, each thing once |
| load | the workers that have the new module |

A response belongs to the rollout whose push it went out with; every request and ACK to the response that it names, or
else to the push that came before it. `start` has the lanes before any change, `push n` those of a push that no plugin
caused (a changed route, a restarted Discovery). Where several changes went out with one push, the first has its lanes.

Of the whole run there are `deliveries` (in which order Envoy got extension configurations: an older one that comes
after a newer one shows here), `purged` (modules that the agent deleted), `registry` (which requests it answered, and how
often; ×n where that is left to chance), `mcp` (what else Core sent) and `parts` (what a step stopped, started, broke).
"""  # noqa: E501  a table's row is a line

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.scenario.combination import Combination
from sim.scenario.lanes import Lanes
from sim.scenario.placeholders import Placeholders, ReadPayload
from sim.scenario.result import STAGES
from sim.trace import Event, read_payload, read_trace

#: The stages' times, and the two that span them.
TIMES = (*STAGES, "effective", "settled")


@dataclass(slots=True)
class Transcript:
    """A run without what varies by itself. `lanes` and `payloads` are None where only the result was there."""

    scenario: str
    profile: str
    combination: str | None
    outcome: str
    #: By `run`, `rollouts[i]`, `expectations` and `thresholds`: what became of each, in plain values.
    verdicts: dict[str, dict[str, Any]]
    lanes: dict[str, list[str]] | None = None
    #: By hop, such as `rollouts[0] · agent.rewrite before · higress-system.request-block`.
    payloads: dict[str, Any] | None = None
    #: By rollout and by stage, `effective` or `settled`: milliseconds, one for each run that was taken.
    times_ms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    #: By kind of traffic: requests that failed and connections that broke, over all runs that were taken.
    traffic: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return case_name(self.scenario, self.combination)


def case_name(scenario: str, combination: str | None) -> str:
    """`tag-bump`, or `tag-bump[oci]` for one combination of a matrix."""
    return f"{scenario}[{combination}]" if combination else scenario


def read_transcript(path: Path) -> Transcript:
    """The transcript of a run directory, or of a `result.json` (with the trace, where that lies beside it).

    Raises InvalidInput for what is no run, EnvironmentProblem for what can't be read.
    """
    file = path / "result.json" if path.is_dir() else path
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "there is no result.json in it" if path.is_dir() else "there is no such file"
        raise InvalidInput(
            f"this is no run: {what}", where=Location(str(path)), hint="name a run directory, such as runs/tag-bump-…"
        ) from None
    except OSError as error:
        raise EnvironmentProblem(f"can't read {file}: {error.strerror}", hint="may you read it?") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidInput(f"this is not JSON: {error}", where=Location(str(file))) from error
    if not isinstance(result, dict) or "rollouts" not in result or "scenario" not in result:
        raise InvalidInput("this is no result of a run", where=Location(str(file)), hint="name a run directory")
    directory = file.parent
    if not (directory / "trace.jsonl").is_file():
        return transcript(result)
    try:
        events = read_trace(directory)
        return transcript(result, events, lambda ref: read_payload(directory, ref))
    except OSError as error:
        raise EnvironmentProblem(f"can't read the run: {error}", hint="is the run directory complete?") from error
    except (ValueError, KeyError) as error:
        raise InvalidInput(f"the trace can't be read: {error!r}", where=Location(str(directory))) from error


def transcript(result: Mapping[str, Any], events: Sequence[Event] = (), read: ReadPayload | None = None) -> Transcript:
    """From `Result.to_json()`, the trace, and the reader of its payloads; without that, from the result alone."""
    places = Placeholders() if read is None else Placeholders.learned(events, read)
    made = Transcript(
        scenario=result["scenario"],
        profile=result["profile"],
        combination=Combination.model_validate(result["combination"]).name if result.get("combination") else None,
        outcome=result["outcome"],
        verdicts=_verdicts(result, places),
        times_ms={
            f"rollouts[{index}]": {name: [value] for name, value in _times(rollout)}
            for index, rollout in enumerate(result["rollouts"])
        },
        traffic={
            name: {key: seen[key] for key in ("failed", "connections_broken")}
            for name, seen in result.get("traffic", {}).items()
        },
    )
    if read is not None:
        lanes = Lanes(result, events, places)
        made.lanes = lanes.all()
        made.payloads = lanes.payloads(read)
        made.lanes |= _whole_run(events, places, lanes.raced_repositories())
    return made


def _verdicts(result: Mapping[str, Any], places: Placeholders) -> dict[str, dict[str, Any]]:
    error = result.get("error") or {}
    found: dict[str, dict[str, Any]] = {"run": {"outcome": result["outcome"]}}
    if error.get("message"):
        found["run"]["error"] = places.text(error["message"])
    for index, rollout in enumerate(result["rollouts"]):
        told = rollout.get("error")
        overtaken = told is not None and told.startswith(_OVERTAKEN)
        found[f"rollouts[{index}]"] = {
            "plugin": rollout["plugin"],
            "gateway": rollout.get("gateway"),
            "change": rollout["change"],
            "from": _image(rollout["from"], places),
            "to": _image(rollout["to"], places),
            "acked": rollout["acked"],
            "nacked": rollout["nacked"],
            "error": places.text(told) if told and not overtaken else None,
            "replaced_by": rollout.get("replaced_by"),
            "cached": rollout.get("cached"),
            "listener_updates": rollout.get("listener_updates"),
            "stages": [name for name in (STAGES[:1] if overtaken else _SURE) if rollout["stages_ms"][name] is not None],
        }
    passed: dict[str, bool] = {}
    for expectation in result.get("expectations", ()):
        passed[expectation["that"]] = passed.get(expectation["that"], True) and expectation["passed"]
    if passed:
        found["expectations"] = passed
    kept = {f"{each['metric']} {each['that']}": each["passed"] for each in result.get("thresholds", ())}
    return {**found, "thresholds": kept} if kept else found


def _image(url: str | None, places: Placeholders) -> str | None:
    return None if url is None else places.name(url)


def _times(rollout: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    stages = rollout["stages_ms"]
    for name in STAGES:
        if stages.get(name) is not None:
            yield name, stages[name]
    for name in ("effective", "settled"):
        if rollout.get(f"{name}_ms") is not None:
            yield name, rollout[f"{name}_ms"]


def _whole_run(events: Sequence[Event], places: Placeholders, raced: Collection[str]) -> dict[str, list[str]]:
    purged = sorted(places.name(e.data["file"]) for e in events if e.event == "agent.purge" and "file" in e.data)
    asked = Counter(
        places.text(f"{e.data['method']} {e.data['path']} {e.data['status']}")
        for e in events
        if e.event == "registry.request" and e.data["method"] == "GET"
    )
    parts = [_deed(e) for e in events if e.event in _DEEDS and e.span != "started"]
    mcp = [
        f"{(e.type_url or '').rpartition('/')[2]} [{', '.join(e.data['resources'])}]"
        for e in events
        if e.event == "core.mcp_push" and not e.data.get("changed")
    ]
    lanes = {
        "mcp": mcp,
        "purged": purged,
        "registry": [f"{line} ×{_times_asked(line, times, raced)}" for line, times in sorted(asked.items())],
        "parts": parts,
    }
    return {name: lines for name, lines in lanes.items() if lines}


def _times_asked(line: str, times: int, raced: Collection[str]) -> str:
    path = line.split()[1]
    chance = path == "/v2/" if raced else False
    return "n" if chance or any(path.startswith(f"/v2/{repository}/") for repository in raced) else str(times)


#: Whether traffic still sees a change before the run ends is chance, unless the scenario waits for it, and then no run
#: passes in which it does not. What traffic saw is no verdict for the same reason: an expectation makes it one.
_SURE = tuple(name for name in STAGES if name != "first_response")

#: How far a change came that a newer one overtook is chance: it counts as one that did not leave Core.
_OVERTAKEN = "superseded by a newer change"

#: What a step does to the parts and the links between them.
_DEEDS = ("run.stop", "run.start", "run.kill", "run.pause", "run.advance", "fault.injected", "fault.cleared")


def _deed(event: Event) -> str:
    about = event.data.get("target") or event.data.get("fault") or ""
    return f"{event.event} {about}".rstrip()

"""The page: a template, its script and style, and the run as JSON in the middle. Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem
from sim.report.html.against import against
from sim.report.html.lanes import lanes_of
from sim.report.html.payloads import Payloads
from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles, read_run
from sim.report.html.stages import stages
from sim.report.html.story import story
from sim.report.html.traffic import dots
from sim.report.steps import STEPS

REPORT_FILE = "report.html"

#: What could end the script element, or the string that it is in, as JSON's escapes.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_page(directory: Path, output: Path | None = None, other: Path | None = None) -> Path:
    """Make the page of the run in `directory`, by default as `report.html` in it; the path.

    With `other` that run is laid over it. Raises InvalidInput for what is no run directory, EnvironmentProblem for
    what can't be read or written.
    """
    page = render_page(read_run(directory), read_run(other) if other is not None else None)
    target = directory / REPORT_FILE if output is None else output
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write {target}: {error.strerror}", hint="choose another place with -o"
        ) from error
    return target


def render_page(run: RunFiles, other: RunFiles | None = None) -> str:
    """The whole file. What came from the run is data in it, never markup."""
    style, script, template = (_asset(name) for name in ("report.css", "report.js", "report.html"))
    pieces = {
        "title": html.escape(f"{run.result.scenario} · {run.result.outcome} · ecdsim"),
        "csp": html.escape(_policy(script, style)),
        "style": style,
        "data": embedded(page_data(run, other)),
        "script": script,
    }
    # Put in one by one from the left, so that nothing inside a piece is taken for a place.
    made, rest = [], template
    for name, piece in pieces.items():
        before, _, rest = rest.partition(f"{{{{{name}}}}}")
        made += [before, piece]
    return "".join([*made, rest])


def page_data(run: RunFiles, other: RunFiles | None = None) -> dict[str, Any]:
    """What the script shows, as JSON."""
    redaction = Redaction()
    # Every secret has to be known before the first text is written.
    scenario = redaction.scenario(run.scenario)
    for side in (run, other):
        if side is None:
            continue
        redaction.scenario(side.scenario)
        for ref in {ref for event in side.events for ref in event.data.get("payloads", {}).values()}:
            try:
                redaction.learn(side.read(ref))
            except (OSError, ValueError):
                # A payload that was lost is missing in the page, too.
                continue
    rollouts = run.result.rollouts
    lanes = lanes_of(run.result, run.events)
    payloads = Payloads(run.read, redaction)
    items = story(run.events, rollouts, lanes, payloads, redaction)
    start_ns = min((event.t_ns for event in run.events), default=0)
    result = run.result.to_json()
    result["combination"] = run.result.combination.name if run.result.combination is not None else None
    return {
        "name": run.directory.name,
        "title": redaction.data(_in_two(run.metadata.get("title"))),
        "notes": redaction.data(_in_two(run.metadata.get("notes"))),
        "result": redaction.data(result),
        "scenario": scenario,
        "steps": [
            {"title": _words(step.title), "text": _words(step.text), "stages": list(step.stages)} for step in STEPS
        ],
        "lanes": [lane.to_json() for lane in lanes],
        "items": items,
        "docs": payloads.docs,
        "applied": [(rollout.t_ns - start_ns) // 1000 for rollout in rollouts],
        "stages": stages(rollouts, run.events),
        "dots": dots(run.traffic, run.events),
        "against": None if other is None else against(run, other, redaction),
    }


def embedded(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end that."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _words(words: Any) -> dict[str, str]:
    """Words as JSON."""
    return {"en": words.en, "zh": words.zh}


def _in_two(text: Any) -> dict[str, str] | None:
    """A title or note, which may be a plain text or lack a language."""
    if isinstance(text, dict):
        known = [str(text[language]) for language in ("en", "zh") if text.get(language)]
        return {key: str(text.get(key) or known[0]) for key in ("en", "zh")} if known else None
    return {"en": str(text), "zh": str(text)} if text else None


def _asset(name: str) -> str:
    return resources.files("sim.report.html").joinpath("static", name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """Our own script and style run, by their hashes, and nothing is loaded from anywhere."""
    return (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

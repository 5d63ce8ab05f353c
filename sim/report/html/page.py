"""The page: a template, its script and style, and the run as JSON in the middle. Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
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

#: The script's pieces, by room, in the order in which they stand in its one scope; the last one starts it.
_SCRIPT = (
    *("words.js", "elements.js", "state.js", "run.js", "responses.js", "axis.js", "canvas.js", "lanes.js"),
    *("overlay.js", "moving.js", "texts.js", "payload.js", "event.js", "player.js", "times.js", "verdict.js"),
    *("compare.js", "events.js", "page.js", "input.js"),
)
_START = "start.js"
_STYLE = ("report.css",)
#: What the live page has besides.
_LIVE_SCRIPT = (
    *("live_words.js", "live_api.js", "live_rooms.js", "live_run.js", "live_feed.js", "live_strip.js", "live_stops.js"),
    *("live_deeds.js", "live_plugins.js", "live_editor.js", "live_operations.js", "live_faults.js", "live_page.js"),
)
_LIVE_STYLE = ("live.css",)

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
    script, style = _in_one_scope(*_SCRIPT, _START), _styles(*_STYLE)
    title = f"{run.result.scenario} · {run.result.outcome} · ecdsim"
    return _page(title, _policy(script, style), style, page_data(run, other), script)


def render_live_page(data: Mapping[str, Any], token: str) -> tuple[str, str]:
    """The page of a run that goes on, and its policy, which a server sends as a header too.

    `data` is what `page_data` gives, `token` what every request of the page has to carry. The page asks nobody but
    the server that it came from.
    """
    script, style = _in_one_scope(*_SCRIPT, *_LIVE_SCRIPT, _START), _styles(*_STYLE, *_LIVE_STYLE)
    policy = f"{_policy(script, style)}; connect-src 'self'"
    title = f"{data['result']['scenario']} · live · ecdsim"
    return _page(title, policy, style, {**data, "live": {"token": token}}, script), policy


def _page(title: str, policy: str, style: str, data: Mapping[str, Any], script: str) -> str:
    pieces = {
        "title": html.escape(title),
        "csp": html.escape(policy),
        "style": style,
        "data": embedded(data),
        "script": script,
    }
    # Put in one by one from the left, so that nothing inside a piece is taken for a place.
    made, rest = [], _asset("report.html")
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
    start_ns = run.start_ns
    items = story(run.events, rollouts, lanes, payloads, redaction, start_ns)
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
        "dots": dots(run.traffic, run.events, start_ns),
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


def _in_one_scope(*names: str) -> str:
    """Pieces of script as one, whose names nobody else sees."""
    return "\n".join(['"use strict";', "(() => {", *map(_asset, names), "})();"])


def _styles(*names: str) -> str:
    return "".join(map(_asset, names))


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

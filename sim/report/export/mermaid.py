"""One rollout as a Mermaid sequence diagram, for a pull request: the parts, the nine steps, times and failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sim.errors import EnvironmentProblem
from sim.report.export.journey import Journey, chosen_journey
from sim.report.export.mermaid_text import mermaid_text
from sim.report.export.secrets import redaction_of
from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles
from sim.report.phrases import image, image_change, milliseconds
from sim.report.waterfall import Row, events_of_rollouts, waterfall

#: So many answers of the registry are shown; a pull that is tried again and again has more.
SHOWN_REQUESTS = 6

_NOTHING = "did not happen"


def mermaid(run: RunFiles, number: int | None = None) -> str:
    """The diagram of `rollouts[number]`, by default of the last one; its lines end with a line feed.

    Raises InvalidInput when there is no such rollout.
    """
    journey = chosen_journey(run, number)
    (events,) = events_of_rollouts([journey.rollout], run.events)
    diagram = _Diagram(
        journey, waterfall(journey.rollout, events).rows, redaction_of(run), traffic=bool(run.result.traffic)
    )
    return "".join(f"{line}\n" for line in diagram.lines())


def write_mermaid(run: RunFiles, target: Path, number: int | None = None) -> None:
    """The same into a file, in a code block where it is Markdown.

    Raises EnvironmentProblem when the file can't be written.
    """
    diagram = mermaid(run, number)
    text = f"```mermaid\n{diagram}```\n" if target.suffix.lower() in (".md", ".markdown") else diagram
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write {target}: {error.strerror}", hint="choose another place with -o"
        ) from error


class _Diagram:
    """A line for each message; `✗` and an arrow with a cross stand where something failed."""

    def __init__(self, journey: Journey, rows: tuple[Row, ...], redaction: Redaction, *, traffic: bool) -> None:
        self._journey = journey
        self._rollout = journey.rollout
        self._stages = journey.rollout.stages_ms
        self._rows = {row.step.number: row for row in rows}
        self._redaction = redaction
        self._traffic = traffic

    def lines(self) -> Iterator[str]:
        yield "sequenceDiagram"
        for line in (*self._participants(), *self._messages()):
            yield f"    {line}"

    def _participants(self) -> Iterator[str]:
        rollout = self._rollout
        place = f" at {rollout.gateway}" if rollout.gateway else ""
        yield f"title {self._text(f'{rollout.plugin} · rollouts[{self._journey.number}]{place}')}"
        names = {"W": "WasmPlugin", "C": "Core", "D": "Discovery", "A": "agent"}
        if self._pulled:
            names["R"] = "registry"
        names["E"] = "Envoy"
        if self._traffic:
            names["T"] = "traffic"
        for short, name in names.items():
            yield f"participant {short} as {name}"

    def _messages(self) -> Iterator[str]:
        yield from self._core()
        if self._journey.trail.mcp_push is None:
            yield self._end()
            return
        yield from self._discovery()
        yield from self._listener()
        if self._rollout.change == "remove" and self._journey.trail.push is None:
            yield self._note("D,A", 6, self._rows[6].note or _NOTHING)
        else:
            yield from self._extension()
        yield from self._envoy()
        yield self._end()

    def _core(self) -> Iterator[str]:
        rollout, trail = self._rollout, self._journey.trail
        what = "delete" if trail.apply.data.get("change") == "deleted" else "apply"
        yield self._message("W->>C", 1, f"{what} {image_change(rollout.from_, rollout.to)}")
        if trail.convert is None:
            yield self._note("C", 1, "no conversion in the trace" if what == "apply" else "nothing to convert")
        elif trail.convert.span == "failed":
            yield self._failure("C-xC", 1, "the conversion failed", trail.convert.data.get("error"))
        else:
            outcome = str(trail.convert.data.get("outcome", "converted"))
            said = "convert Higress → Istio" if outcome == "converted" else outcome
            yield self._message("C->>C", 1, said, self._stages.convert)

    def _discovery(self) -> Iterator[str]:
        trail = self._journey.trail
        yield self._message("C->>D", 2, "Istio WasmPlugin, MCP over xDS", self._stages.mcp)
        if trail.debounce is not None:
            yield self._message("D->>D", 2, "debounce", self._stages.debounce)

    def _listener(self) -> Iterator[str]:
        journey = self._journey
        untouched = self._rollout.listener_updates == 0
        if journey.lds_push is None:
            yield self._note("D,A", 3, self._rows[3].note or _NOTHING)
        else:
            yield self._message("D->>A", 3, "LDS, same bytes" if untouched else "LDS")
        if journey.lds_forward is not None:
            yield self._message("A->>E", 4, "LDS as it is")
        if journey.lds_answer is not None and journey.lds_answer.event == "envoy.nack":
            yield self._failure("E--xA", 4, "NACK", journey.lds_answer.data.get("error"))
        if journey.subscribe is not None:
            yield self._message("E->>A", 5, "subscribe by ECDS")
            yield self._message("A->>D", 6, "the same request")
        else:
            yield self._note("E", 5, self._rows[5].note or _NOTHING)

    def _extension(self) -> Iterator[str]:
        trail = self._journey.trail
        if trail.push is None:
            yield self._note("D,A", 6, self._rollout.error or _NOTHING)
            return
        yield self._message("D->>A", 6, f"ECDS, {image(trail.apply.image)}", self._stages.push)
        yield from self._pull()
        unpacked = trail.unpack is not None and trail.unpack.span != "failed"
        if trail.unpack is not None and not unpacked:
            yield self._failure("A-xA", 8, "the image could not be used", trail.unpack.data.get("error"))
        if trail.rewrite is not None:
            shim = ", ABI adapted" if self._journey.shim is not None else ""
            said = f"{'unpack, ' if unpacked else ''}rewrite to a local file{shim}"
            yield self._message("A->>A", 8, said, _sum(self._stages.unpack, self._stages.rewrite))
        if self._rollout.replaced_by is not None:
            yield self._failure("A-xA", 8, f"{self._rollout.replaced_by.replace('_', '-')} in the plugin's place")
        if trail.verdict is not None and trail.verdict.event == "agent.nack":
            yield self._failure("A--xD", 8, "NACK", trail.verdict.data.get("error"))
        elif trail.deliver is not None:
            yield self._message(
                "A->>E", 8, "ECDS with the local file" if trail.rewrite else "ECDS", self._stages.deliver
            )

    @property
    def _pulled(self) -> bool:
        trail = self._journey.trail
        return trail.fetch is not None and not trail.fetch.data.get("known")

    def _pull(self) -> Iterator[str]:
        trail = self._journey.trail
        if trail.fetch is None or not self._pulled:
            yield self._note("A", 7, self._rows[7].note or _NOTHING)
            return
        yield self._message("A->>R", 7, "pull", self._stages.fetch)
        requests = self._journey.requests
        for request in requests[:SHOWN_REQUESTS]:
            data = request.event.data
            said = f"{data.get('method')} {_short(str(data.get('path')))}"
            refused = data.get("status", 200) >= 400 and data.get("status") != 401
            if refused:
                yield self._failure("R--xA", 7, f"{data.get('status')} to {said}")
            else:
                yield self._message("R-->>A", 7, f"{data.get('status')} to {said}")
        if len(requests) > SHOWN_REQUESTS:
            yield self._note("A,R", 7, f"{len(requests) - SHOWN_REQUESTS} more requests")
        if trail.fetch.span == "failed":
            yield self._failure("A-xA", 7, "the pull failed", trail.fetch.data.get("error"))

    def _envoy(self) -> Iterator[str]:
        trail, rollout = self._journey.trail, self._rollout
        if trail.deliver is not None and trail.verdict is not None and trail.verdict.event != "agent.nack":
            if trail.nacked:
                yield self._failure("E--xA", 9, "NACK", trail.verdict.data.get("error"))
            else:
                yield from self._loaded()
                yield self._message("E-->>A", 9, "ACK")
        if self._traffic and rollout.effective_ms is not None:
            told = "first response without it" if rollout.change == "remove" else "first new response"
            yield self._message("E-->>T", 9, told, self._stages.first_response)

    def _loaded(self) -> Iterator[str]:
        if self._stages.load is not None:
            yield self._message("E->>E", 9, "load", self._stages.load)
        ready = [
            f"worker {switch.worker} at +{milliseconds(switch.ready_ms)}"
            for switch in self._rollout.workers
            if switch.ready_ms is not None
        ]
        if ready:
            yield self._note("E", 9, ", ".join(ready))

    def _end(self) -> str:
        rollout = self._rollout
        over = "W,T" if self._traffic else "W,E"
        error = self._journey.error
        if error is not None:
            return self._note(over, None, f"✗ {error}")
        if rollout.effective_ms is None:
            return self._note(over, None, "traffic does not tell when it was effective")
        told = f"effective after {milliseconds(rollout.effective_ms)}"
        if rollout.settled_ms is not None:
            told += f", settled after {milliseconds(rollout.settled_ms)}"
        return self._note(over, None, told)

    def _message(self, arrow: str, step: int, said: str, took_ms: float | None = None) -> str:
        time = f" · {milliseconds(took_ms)}" if took_ms is not None else ""
        return f"{arrow}: {self._text(f'{step} {said}')}{time}"

    def _failure(self, arrow: str, step: int, said: str, error: object = None) -> str:
        return f"{arrow}: {self._text(f'{step} ✗ {said}' + (f', {error}' if error else ''))}"

    def _note(self, over: str, step: int | None, said: str) -> str:
        return f"Note over {over}: {self._text(said if step is None else f'{step} {said}')}"

    def _text(self, text: str) -> str:
        return mermaid_text(self._redaction.text(text))


def _short(path: str) -> str:
    """`manifests/2.0.0`, `blobs/sha256:4159fb68a845…`: what is asked for within a repository."""
    found = re.search(r"(?:manifests|blobs)/[^/]+$", path)
    return re.sub(r"(?<=:)([0-9a-f]{12})[0-9a-f]+$", r"\1…", found[0] if found is not None else path)


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None

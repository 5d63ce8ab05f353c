"""A run as a Chrome JSON trace, which ui.perfetto.dev and chrome://tracing open.

After the Trace Event Format: `X` slices, `i` instants, `s` and `f` flow arrows, `C` counters and `M` metadata; times
are microseconds after the run's first event. Slices of a thread nest, as the format wants it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem
from sim.model import short_name
from sim.report.export.counters import counters
from sim.report.export.hops import Slice, hops_of
from sim.report.export.intervals import Interval, intervals
from sim.report.export.journey import Journey, journeys
from sim.report.export.secrets import redaction_of
from sim.report.export.tracks import Track, Tracks
from sim.report.export.wall_clock import wall_clock
from sim.report.html.lanes import Lane, lane_of, lanes_of
from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles
from sim.report.phrases import image as image_phrase
from sim.report.waterfall import waterfall
from sim.trace import Event

#: What `data` has that is no news to a reader, or is written elsewhere.
_SILENT = frozenset({"payloads", "gateway"})


def write_perfetto(run: RunFiles, target: Path) -> None:
    """Raises EnvironmentProblem when the file can't be written."""
    text = json.dumps(perfetto_trace(run), ensure_ascii=False, separators=(",", ":"), default=str)
    try:
        target.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write {target}: {error.strerror}", hint="choose another place with --perfetto"
        ) from error


def perfetto_trace(run: RunFiles) -> dict[str, Any]:
    """The whole trace, as JSON-ready data."""
    return {
        # Readers look for the unit before the events.
        "displayTimeUnit": "ms",
        "otherData": _about(run),
        "traceEvents": list(_Drawing(run).events()),
    }


def _about(run: RunFiles) -> dict[str, str]:
    result = run.result
    clock = wall_clock(run)
    started = {"started": clock.text(run.events[0].t_ns)} if clock is not None and run.events else {}
    return {
        "scenario": result.scenario,
        "profile": result.profile,
        "outcome": result.outcome,
        "ecdsim": result.environment.ecdsim,
        "envoy": result.environment.envoy or "",
        **started,
    }


class _Drawing:
    """Everything on its track, in the order of time."""

    def __init__(self, run: RunFiles) -> None:
        self._run = run
        self._redaction: Redaction = redaction_of(run)
        self._lanes: list[Lane] = lanes_of(run.result, run.events)
        self._tracks = Tracks(self._lanes, f"{run.result.scenario} ({run.result.profile})")
        self._zero_ns = min((event.t_ns for event in run.events), default=0)
        self._journeys = journeys(run)

    def events(self) -> Iterator[dict[str, Any]]:
        drawn = [*self._rollouts(), *self._slices(), *self._instants()]
        # A parent stands before what it holds; a flow right behind the slice that it is bound to.
        drawn.sort(key=lambda pair: pair[0])
        yield from self._tracks.metadata()
        for _, made in drawn:
            yield from made
        yield from counters(self._run.traffic, self._tracks.of_loads, self._zero_ns)

    def _slices(self) -> Iterator[tuple[tuple[int, int], list[dict[str, Any]]]]:
        """Spans, and what each part did for a rollout, with the arrows between them."""
        pieces = [self._span(interval) for interval in intervals(self._run.events)]
        ends: dict[int, list[dict[str, Any]]] = {}
        number = 0
        for journey in self._journeys:
            hops = hops_of(journey, self._lanes)
            pieces += hops.slices
            for tail, head in hops.arrows:
                number += 1
                flow = {"name": f"rollouts[{journey.number}]", "cat": "rollout", "id": number}
                ends.setdefault(id(tail), []).append({"ph": "s", **flow})
                ends.setdefault(id(head), []).append({"ph": "f", "bp": "e", **flow})
        for piece in sorted(pieces, key=lambda each: (each.start_ns, -each.end_ns)):
            track = self._tracks.place(piece.lane, piece.start_ns, piece.end_ns)
            made = [self._drawn(piece, track)]
            made += [{**end, **self._at(track, piece.start_ns)} for end in ends.get(id(piece), ())]
            yield (piece.start_ns, -piece.end_ns), made

    def _span(self, interval: Interval) -> Slice:
        event = interval.event
        args = self._args(event)
        if interval.open:
            args["never ended"] = True
        return Slice(
            lane_of(event, self._lanes),
            _name(event, failed=interval.failed),
            interval.start_ns,
            interval.end_ns,
            event.part,
            args,
        )

    def _instants(self) -> Iterator[tuple[tuple[int, int], list[dict[str, Any]]]]:
        for event in self._run.events:
            if event.span is not None or event.event == "registry.request":
                continue
            track = self._tracks.first(lane_of(event, self._lanes))
            drawn = {"ph": "i", "s": "t", "name": _name(event), "cat": event.part, "args": self._args(event)}
            yield (event.t_ns, 0), [{**drawn, **self._at(track, event.t_ns)}]

    def _rollouts(self) -> Iterator[tuple[tuple[int, int], list[dict[str, Any]]]]:
        """Each rollout with its stages, on a track of its own."""
        for journey in self._journeys:
            title = f"rollouts[{journey.number}] {_title(journey)}"
            self._tracks.rollout(journey.number, title)
            track = self._tracks.of_rollout(journey.number)
            failed = journey.error
            args = self._redaction.data(
                {
                    "plugin": journey.rollout.plugin,
                    "from": journey.rollout.from_ or "",
                    "to": journey.rollout.to or "",
                    "effective_ms": journey.rollout.effective_ms,
                    "settled_ms": journey.rollout.settled_ms,
                    **({"error": failed} if failed is not None else {}),
                }
            )
            name = f"✗ {_title(journey)}" if failed is not None else _title(journey)
            whole = Slice("", name, journey.start_ns, journey.end_ns, "rollout", args)
            yield (whole.start_ns, -whole.end_ns), [self._drawn(whole, track)]
            for row in waterfall(journey.rollout, []).rows:
                for segment in row.segments:
                    start_ns = journey.start_ns + round(segment.start_ms * 1e6)
                    end_ns = min(start_ns + round(segment.length_ms * 1e6), journey.end_ns)
                    stage = Slice(
                        "", segment.stage, start_ns, end_ns, "stage", {"step": f"{row.step.number} {row.step.title.en}"}
                    )
                    yield (start_ns, -end_ns), [self._drawn(stage, track)]

    def _drawn(self, piece: Slice, track: Track) -> dict[str, Any]:
        return {
            "ph": "X",
            "name": piece.name,
            "cat": piece.category,
            **self._at(track, piece.start_ns),
            "dur": _us(piece.end_ns - piece.start_ns),
            "args": piece.args,
        }

    def _at(self, track: Track, t_ns: int) -> dict[str, Any]:
        return {"pid": track.pid, "tid": track.tid, "ts": _us(t_ns - self._zero_ns)}

    def _args(self, event: Event) -> dict[str, Any]:
        told = {
            "type": short_name(event.type_url) if event.type_url is not None else None,
            "plugin": event.plugin,
            "image": event.image,
            "resource": event.resource,
            "version_info": event.version_info,
            "nonce": event.nonce,
            **{key: value for key, value in event.data.items() if key not in _SILENT},
        }
        made: dict[str, Any] = self._redaction.data({key: value for key, value in told.items() if value is not None})
        return made


def _title(journey: Journey) -> str:
    """`request-block 1.0.0 → 2.0.0`, as short as a track's name has to be."""
    rollout = journey.rollout
    tags = [_tag(url) for url in (rollout.from_, rollout.to) if url is not None]
    went = " → ".join(dict.fromkeys(tags)) if rollout.to is not None else "removed"
    place = f" at {rollout.gateway}" if rollout.gateway else ""
    return f"{rollout.plugin.rpartition('/')[2]} {went}{place}"


def _tag(url: str) -> str:
    """The tag or digest, or what the URL ends with."""
    return re.split("[/:]", image_phrase(url))[-1]


def _name(event: Event, *, failed: bool = False) -> str:
    """The event's name with what it is about: `discovery.push ECDS`, `registry.request GET 200`."""
    words = [event.event]
    if event.type_url is not None:
        words.append(short_name(event.type_url))
    if event.event == "registry.request":
        words += [str(event.data.get("method", "")), str(event.data.get("status", ""))]
    if event.event == "run.step":
        words.append(str(event.data.get("step", "")))
    if failed or event.event.endswith(".nack") or event.event in ("traffic.failed", "traffic.connection_broken"):
        words.insert(0, "✗")
    return " ".join(words)


def _us(duration_ns: int) -> float:
    return round(duration_ns / 1000, 3)

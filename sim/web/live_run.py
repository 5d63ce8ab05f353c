"""A run that goes on, as the page's data: a window of its latest rollouts, read from its directory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sim.report.html import page_data
from sim.report.html.run_files import RunFiles
from sim.report.html.traffic import dots
from sim.scenario.response_columns import columns_since
from sim.scenario.result import Result, Rollout
from sim.scenario.session import Session
from sim.trace import Event
from sim.trace.files import read_payload

#: So many rollouts are on the page, and at most so many events and responses of a load.
ROLLOUTS = 20
EVENTS = 10_000
RESPONSES = 20_000


class LiveRun:
    """Reads what the run has written so far. `result` is as of the last `refresh`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._directory = session.run.directory
        self._file = (self._directory / "trace.jsonl").open("rb")
        self._rest = b""
        self._events: list[Event] = []
        self._connections: list[Event] = []
        self._begin_ns: int | None = None
        self._told: dict[str, int] = {}
        self._told_ns: dict[str, int] = {}
        self._read = lru_cache(maxsize=4096)(lambda ref: read_payload(self._directory, ref))
        self.result: Result = session.result_now()

    def close(self) -> None:
        self._file.close()

    @property
    def begin_ns(self) -> int:
        """The zero of the page's times."""
        return self._begin_ns or 0

    def refresh(self) -> bool:
        """Read what is new; whether anything was."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            event = Event.from_dict(json.loads(line))
            if self._begin_ns is None:
                self._begin_ns = event.t_ns
            if event.event.startswith("traffic.connection_"):
                self._connections.append(event)
            self._events.append(event)
        if lines:
            self._trim()
        return bool(lines)

    def _trim(self) -> None:
        applied = [n for n, event in enumerate(self._events) if event.event == "core.apply" and event.plugin]
        first = applied[-ROLLOUTS] if len(applied) > ROLLOUTS else 0
        first = max(first, len(self._events) - EVENTS)
        del self._events[:first]
        for position, event in enumerate(self._events):
            event.seq = position
        ended = {e.data["connection"] for e in self._connections if e.event != "traffic.connection_opened"}
        if len(ended) > EVENTS:
            self._connections = [e for e in self._connections if e.data["connection"] not in ended]

    async def page(self) -> dict[str, Any]:
        """The page's data, as `page_data` of the report gives it."""
        for gateway in self._session.stage.pipeline.gateways:
            count = await self._session.stage.listener_count(gateway)
            self._session.stage.record_of(gateway).listener_total = count
        self.result = self._session.result_now()
        known = {(event.t_ns, event.plugin) for event in self._events if event.event == "core.apply"}
        shown = self.result.model_copy(
            update={"rollouts": [r for r in self.result.rollouts if (r.t_ns, r.plugin) in known]}
        )
        metadata = self._session.loaded.scenario.metadata.model_dump(exclude_none=True)
        scenario = (self._directory / "scenario.yaml").read_text(encoding="utf-8")
        files = RunFiles(
            self._directory, shown, list(self._events), scenario, metadata, {}, self._read, begin_ns=self.begin_ns
        )
        responses = self._responses()
        # Nobody waits for a picture: the parts, which share this process, come first.
        made = await asyncio.to_thread(page_data, files)
        made["dots"] = responses
        return made

    def _responses(self) -> dict[str, Any]:
        loads = self._session.stage.loads
        columns = {name: columns_since(load, max(0, len(load.samples) - RESPONSES)) for name, load in loads.items()}
        return dots(columns, self._connections, self.begin_ns)

    def new_responses(self) -> dict[str, Any] | None:
        """The dots that came since the last time; None where there are none. A page may have them already."""
        columns = {}
        for name, load in self._session.stage.loads.items():
            position = self._told.get(name, 0)
            if len(load.samples) > position:
                columns[name] = columns_since(load, max(position, len(load.samples) - RESPONSES))
                self._told[name] = len(load.samples)
        return dots(columns, self._connections, self.begin_ns) if columns else None

    def status(self, plugin: str) -> tuple[str, str | None]:
        """How far the plugin's latest change is, and what is wrong with it."""
        latest: Rollout | None = None
        for rollout in self.result.rollouts:
            if rollout.plugin == plugin:
                latest = rollout
        if latest is None:
            return "pending", None
        if latest.nacked:
            return "nacked", latest.error
        if latest.error is not None:
            return "failed", latest.error
        if latest.effective_ms is not None:
            return "effective", None
        return ("acked", None) if latest.acked else ("pending", None)

    def rates(self, seconds: float, since: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, int]]:
        """What each load saw since these positions, `seconds` ago; and the positions now."""
        told, now = {}, {}
        for name, load in self._session.stage.loads.items():
            fresh = load.samples[since.get(name, 0) :]
            now[name] = len(load.samples)
            by_version: dict[str, int] = {}
            failed = 0
            for sample in fresh:
                failed += sample.failed
                if sample.status is not None:
                    key = sample.version or "none"
                    by_version[key] = by_version.get(key, 0) + 1
            told[name] = {"rate_per_s": round(len(fresh) / seconds, 1), "by_version": by_version, "failed": failed}
        return told, now

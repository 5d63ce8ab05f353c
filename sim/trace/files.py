"""The trace on disk: `trace.jsonl`, and `payloads/<hash>.json` beside it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

from sim.trace.events import Event, Payload
from sim.trace.trace import Trace

#: A flush waits until nothing was emitted for this long, so that rendering never delays what is measured …
QUIET_S = 0.1
#: … but no longer than this.
PATIENCE_S = 2.0


class TraceWriter:
    """Writes each event once; payloads by the SHA-256 of their JSON, each distinct one once."""

    def __init__(self, trace: Trace, directory: Path) -> None:
        self._trace = trace
        self._payloads = directory / "payloads"
        self._payloads.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (directory / "trace.jsonl").open("w", encoding="utf-8")
        # Whoever follows the trace sees by the lock that it is still written; it is gone with the process.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._written = 0
        self._known: set[str] = set()

    def flush(self) -> None:
        """Write what was emitted since the last flush."""
        events = self._trace.events
        while self._written < len(events):
            event = events[self._written]
            refs = {role: self._store(payload) for role, payload in event.payloads.items()}
            self._file.write(json.dumps(event.as_dict(refs), ensure_ascii=False, default=str) + "\n")
            self._written += 1
        self._file.flush()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()

    def _store(self, payload: Payload) -> str:
        text = json.dumps(payload.render(), ensure_ascii=False, indent=1, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest not in self._known:
            (self._payloads / f"{digest}.json").write_text(text + "\n", encoding="utf-8")
            self._known.add(digest)
        return f"sha256:{digest}"


@asynccontextmanager
async def written(trace: Trace, directory: Path) -> AsyncIterator[TraceWriter]:
    """Keep `directory/trace.jsonl` up to date while inside; complete when left, however it is left."""
    writer = TraceWriter(trace, directory)

    async def follow() -> None:
        while True:
            await trace.wait_for(lambda _: True, since=len(trace.events))
            waited = 0.0
            seen = -1
            while seen != len(trace.events) and waited < PATIENCE_S:
                seen = len(trace.events)
                await asyncio.sleep(QUIET_S)
                waited += QUIET_S
            writer.flush()

    task = asyncio.create_task(follow(), name="trace-writer")
    try:
        yield writer
    finally:
        task.cancel()
        try:
            await asyncio.gather(task, return_exceptions=True)
        finally:
            writer.close()


def read_trace(directory: Path) -> list[Event]:
    """The events of a run directory, in order."""
    with (directory / "trace.jsonl").open(encoding="utf-8") as lines:
        events = [Event.from_dict(json.loads(line)) for line in lines]
    for seq, event in enumerate(events):
        event.seq = seq
    return events


def read_payload(directory: Path, ref: str) -> Any:
    """The JSON that a `sha256:…` reference of a trace line names."""
    file = directory / "payloads" / f"{ref.removeprefix('sha256:')}.json"
    return json.loads(file.read_text(encoding="utf-8"))

"""What was said on a hop, message by message as bytes, in `streams/<hop>.jsonl` of the run directory.

On each hop the client is who asks: Discovery of Core, the agent of Discovery, Envoy of the agent.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sim.errors import InvalidInput, Location
from sim.xds import Speaker, Tap, Variant

Hop = Literal["core-discovery", "discovery-agent", "agent-envoy"]
HOPS: tuple[Hop, ...] = ("core-discovery", "discovery-agent", "agent-envoy")


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `t_ns` is on CLOCK_MONOTONIC; streams count from 1 in the order of their opening."""

    t_ns: int
    stream: int
    variant: Variant
    speaker: Speaker
    body: bytes


def recording_path(run: Path, hop: str, gateway: str = "") -> Path:
    """Where a run keeps what was said on a hop."""
    return run / "streams" / (f"{hop}.{gateway}.jsonl" if gateway else f"{hop}.jsonl")


class Recorder:
    """Appends to a recording; a context manager, so that the file is whole when it is left."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._clock = clock
        self._streams = 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tap(self) -> Tap:
        """What a part that was just started calls for each message; its own streams also count from 1."""
        before = self._streams

        def said(stream: int, variant: Variant, speaker: Speaker, body: bytes) -> None:
            self._streams = max(self._streams, before + stream)
            self._note(before + stream, variant, speaker, body)

        return said

    def _note(self, stream: int, variant: Variant, speaker: Speaker, body: bytes) -> None:
        line = {
            "t_ns": self._clock(),
            "stream": stream,
            "variant": str(variant),
            "from": speaker,
            "message": base64.b64encode(body).decode(),
        }
        self._file.write(json.dumps(line) + "\n")


def read_recording(path: Path) -> list[Said]:
    """The messages in their order. Raises InvalidInput for what is no recording, and where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        others = sorted(found.stem for found in path.parent.glob("*.jsonl"))
        known = f"this run has recorded {', '.join(others)}" if others else "this run has recorded nothing"
        raise InvalidInput(
            f"there is no {path}: {error.strerror}", hint=f"{known}; record by ecdsim run … --record {path.stem}"
        ) from error
    said = []
    for number, text in enumerate(lines, 1):
        try:
            line: dict[str, Any] = json.loads(text)
            body = base64.b64decode(line["message"], validate=True)
            said.append(Said(int(line["t_ns"]), int(line["stream"]), Variant(line["variant"]), line["from"], body))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"this is no line of a recording: {error}",
                where=Location(str(path), number),
                hint="was it edited, or cut off by a full disk? Record it anew",
            ) from error
    return said

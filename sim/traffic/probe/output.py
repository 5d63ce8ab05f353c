"""The probe's standard output: JSON lines, written without ever waiting for the reader."""

from __future__ import annotations

import asyncio
import binascii
import json
import sys
from collections import deque
from typing import Any

from sim.traffic.probe.signatures import Answer

#: Samples a line, so that a line stays far below any reader's limit.
LINE_SAMPLES = 400
#: Samples held back while the reader is slow; beyond it new ones are dropped and counted.
HELD_SAMPLES = 500_000

#: due_ns, sent_ns, first_byte_ns, done_ns, status, signature, connection, error
Row = tuple[int, int | None, int | None, int, int | None, int | None, int | None, str | None]


class Output(asyncio.Protocol):
    """Batches samples and writes notices at once.

    `closed` is done when the reader has gone or everything was handed over after `close`.
    """

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.dropped = 0
        self._transport: asyncio.WriteTransport | None = None
        self._paused = False
        self._held: deque[Row | dict[str, Any]] = deque()

    @classmethod
    async def on_stdout(cls) -> Output:
        """Standard output must be a pipe, a socket or a terminal; ValueError if it is a file."""
        _, protocol = await asyncio.get_running_loop().connect_write_pipe(cls, sys.stdout)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.flush()

    def signature(self, number: int, answer: Answer) -> None:
        """Define a signature; it reaches the reader before the samples that name it."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in answer.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = binascii.b2a_base64(answer.body, newline=False).decode()
        self._held.append({"signature": [number, answer.status, headers, body]})

    def sample(self, row: Row) -> None:
        """Hold a sample until the next flush."""
        if len(self._held) < HELD_SAMPLES:
            self._held.append(row)
        else:
            self.dropped += 1

    def notice(self, kind: str, **facts: Any) -> None:
        """Write `{kind: facts}` now, after the samples that came before it."""
        self._held.append({kind: facts})
        self.flush()

    def flush(self) -> None:
        """Write what is held, unless the reader is behind; then it goes out when the reader has caught up."""
        if not self._paused:
            self._write_all()

    def close(self) -> None:
        """Hand everything over and close; `closed` tells when."""
        self._write_all()
        if self._transport is not None:
            self._transport.close()

    def _write_all(self) -> None:
        if self._transport is None or not self._held:
            return
        lines: list[dict[str, Any]] = []
        rows: list[Row] = []
        for held in self._held:
            if isinstance(held, dict):
                lines.append(held)
                rows = []
                continue
            if not rows or len(rows) == LINE_SAMPLES:
                rows = []
                lines.append({"samples": rows})
            rows.append(held)
        self._held.clear()
        self._transport.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())

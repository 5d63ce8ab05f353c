"""Server-sent events: what a page is told, with the latest of each kind for one that reads slowly."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from aiohttp import web

#: So many pieces of the dots wait for a reader; one that is further behind gets the whole run again.
_MOST_PIECES = 40
#: A comment so often keeps what lies between awake, and shows a reader that is gone.
_ALIVE_S = 15.0


class _Reader:
    """One open page. Of `dots` it is told every piece, of everything else what is newest."""

    def __init__(self) -> None:
        self.newest: dict[str, str] = {}
        self.pieces: list[str] = []
        self.wake = asyncio.Event()


class Feed:
    """Publishes to any number of readers. Never waits for one."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()
        self._newest: dict[str, str] = {}
        self._ended = asyncio.Event()

    @property
    def readers(self) -> int:
        return len(self._readers)

    def publish(self, kind: str, data: Any, *, keep: bool = True) -> None:
        """Tell every reader; with `keep`, later ones too as soon as they come."""
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if keep:
            self._newest[kind] = text
        for reader in self._readers:
            if kind == "dots":
                reader.pieces = [*reader.pieces, text][-_MOST_PIECES:]
            else:
                reader.newest[kind] = text
            reader.wake.set()

    def end(self) -> None:
        """No more: every reader's stream ends."""
        self._ended.set()
        for reader in self._readers:
            reader.wake.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The stream of one reader, for as long as it reads."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        reader = _Reader()
        reader.newest = dict(self._newest)
        reader.wake.set()
        self._readers.add(reader)
        try:
            with suppress(ConnectionError):
                while not self._ended.is_set():
                    try:
                        async with asyncio.timeout(_ALIVE_S):
                            await reader.wake.wait()
                    except TimeoutError:
                        await response.write(b": alive\n\n")
                        continue
                    reader.wake.clear()
                    newest, reader.newest = reader.newest, {}
                    pieces, reader.pieces = reader.pieces, []
                    for kind, text in newest.items():
                        await response.write(f"event: {kind}\ndata: {text}\n\n".encode())
                    for text in pieces:
                        await response.write(f"event: dots\ndata: {text}\n\n".encode())
        finally:
            self._readers.discard(reader)
        return response

"""What happened to the objects of a store, for those who watch: a bounded history, by resource version."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from sim.core.store import EventType
from sim.web.kubernetes.resources import Resource
from sim.web.kubernetes.status import expired

#: A watch may begin that many changes ago.
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `before` and `after` are the object as clients see it; the last state of a deleted one is `after`."""

    version: int
    event: EventType
    resource: Resource
    before: dict[str, Any] | None
    after: dict[str, Any]


class Journal:
    """`floor`: everything later is here. `closed` ends every watch."""

    def __init__(self, version: int) -> None:
        self.floor = version
        self.closed = False
        self._entries: deque[Entry] = deque()
        self._news = asyncio.Event()

    def note(self, entry: Entry) -> None:
        if len(self._entries) == _KEPT:
            self.floor = self._entries.popleft().version
        self._entries.append(entry)

    def after(self, version: int) -> list[Entry]:
        """The changes since `version`. Raises ApiError, 410, where some of them are forgotten."""
        if version < self.floor:
            raise expired(self.floor, version)
        return [entry for entry in self._entries if entry.version > version]

    async def news(self, timeout_s: float) -> None:
        """Wait for a change, or for the end, but not for longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """There is news, or there is about to be."""
        self._news.set()
        self._news = asyncio.Event()

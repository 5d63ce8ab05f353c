"""Looks at a run again and again, and tells the feed what is new."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from sim.scenario.session import Session
from sim.web.feed import Feed
from sim.web.live_run import LiveRun
from sim.web.script import Script
from sim.web.state import state

_LOOK_S = 0.25
#: The page is made anew when nothing happened for so long, since making it takes time from the parts, …
_QUIET_S = 0.3
#: … but no later than this.
_PATIENCE_S = 2.0
_DOTS_S = 0.5


class Teller:
    """`facts` are what stays in the feed's `state`. Nothing is made while nobody reads."""

    def __init__(self, session: Session, feed: Feed, live: LiveRun, script: Script) -> None:
        self.facts: dict[str, Any] = {}
        self._session = session
        self._feed = feed
        self._live = live
        self._script = script
        self._wake = asyncio.Event()
        self._said = ""
        #: How many events there were, and since when.
        self._events = -1
        self._events_since = 0.0
        #: Since when there is something that the page has not been told; None: there is nothing.
        self._news_since: float | None = 0.0
        self._positions: dict[str, int] = {}
        self._dots_at = 0.0

    def hurry(self) -> None:
        """Something was asked for, and its asker looks at the page."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            now = time.monotonic()
            await self._tell_run(now)
            self._tell_state()
            self._tell_responses(now)

    async def _tell_run(self, now: float) -> None:
        count = len(self._session.trace.events)
        if count != self._events:
            self._events, self._events_since = count, now
            self._news_since = self._news_since or now
        if self._news_since is None or not self._feed.readers:
            return
        if now - self._events_since < _QUIET_S and now - self._news_since < _PATIENCE_S:
            return
        self._live.refresh()
        self._news_since = None
        self._feed.publish("run", await self._live.page(), keep=False)

    def _tell_state(self) -> None:
        if not self._feed.readers:
            return
        now = state(self._session, self.facts, self._script.told(), self._live.status)
        said = json.dumps(now, sort_keys=True, default=str)
        if said != self._said:
            self._said = said
            self._feed.publish("state", now)

    def _tell_responses(self, now: float) -> None:
        if now - self._dots_at < _DOTS_S:
            return
        rates, self._positions = self._live.rates(now - self._dots_at, self._positions)
        self._dots_at = now
        if self._feed.readers:
            self._feed.publish("rate", rates)
            new = self._live.new_responses()
            if new is not None:
                self._feed.publish("dots", new, keep=False)

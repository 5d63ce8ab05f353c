"""Step mode: a rollout is held before each of the nine steps, until whoever teaches goes on.

| step | what waits | where |
| --- | --- | --- |
| 1 | the change itself | before Core sees it |
| 2 | the WasmPlugins, MCP over xDS | on the link core–discovery |
| 3 | LDS | on the link discovery–agent |
| 4 | LDS | on the link agent–envoy |
| 5 | Envoy's subscription by ECDS | on the link agent–envoy |
| 6 | ECDS | on the link discovery–agent |
| 7 | the pull | in the agent, before its time-out begins |
| 8 | the module, pulled | in the agent, before it is written and the URL rewritten |
| 9 | ECDS with the local path | on the link agent–envoy |

A step at which nothing crosses (a tag bump leaves LDS as it is) is a stop too: what waits then waits further down.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from sim.model import ECDS, LDS
from sim.scenario.faults.spec import LinkName
from sim.scenario.faults.xds.message import Request, Response
from sim.trace import Trace

LAST = 9
_PLUGINS = "extensions.istio.io/v1alpha1/WasmPlugin"
_RESPONSES: dict[tuple[LinkName, str], int] = {
    ("core-discovery", _PLUGINS): 2,
    ("discovery-agent", LDS): 3,
    ("agent-envoy", LDS): 4,
    ("discovery-agent", ECDS): 6,
    ("agent-envoy", ECDS): 9,
}


class Stops:
    """Which step the rollout under way may go to. Only rollouts that `begin` while `on` are held.

    `passed` is the last step that may happen: `LAST` when nothing is held. `waiting` counts what waits, by step.
    """

    def __init__(self) -> None:
        self.on = False
        self.passed = LAST
        self.waiting: Counter[int] = Counter()
        self.trace: Trace | None = None
        self._changed = asyncio.Condition()

    @property
    def next(self) -> int | None:
        """The step that the rollout is held before; None when it is not."""
        return None if self.passed >= LAST else self.passed + 1

    async def begin(self) -> None:
        """A change comes: it waits here for step 1, once the one before it is through."""
        if not self.on:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self.next is None)
            if not self.on:
                return
            self.passed = 0
        await self.reach(1)

    async def reach(self, step: int) -> None:
        """Returns when this step may happen."""
        if self.passed >= step:
            return
        self.waiting[step] += 1
        if self.trace is not None:
            self.trace.emit("run.held", step=step)
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self.passed >= step)
        finally:
            self.waiting[step] -= 1

    async def step_on(self) -> int | None:
        """Let the next step happen; which one it is, None when nothing is held."""
        async with self._changed:
            allowed = self.next
            if allowed is not None:
                self.passed = allowed
                self._stepped(allowed)
                self._changed.notify_all()
            return allowed

    async def finish(self) -> None:
        """Let the rollout under way go through."""
        async with self._changed:
            if self.next is not None:
                self.passed = LAST
                self._stepped(LAST)
            self._changed.notify_all()

    async def switch(self, *, on: bool) -> None:
        """Hold later rollouts or not; switched off, nothing stays held."""
        self.on = on
        if not on:
            await self.finish()

    def on_link(self, name: LinkName) -> LinkStops:
        """What is held on a link."""
        return LinkStops(self, name)

    def _stepped(self, step: int) -> None:
        if self.trace is not None:
            self.trace.emit("run.stepped", step=step)


class LinkStops:
    """The stops on one link, as its proxy asks for them."""

    def __init__(self, stops: Stops, link: LinkName) -> None:
        self._stops = stops
        self._link = link

    async def response(self, message: Response) -> None:
        """Returns when a server's message may cross."""
        step = _RESPONSES.get((self._link, message.type_url))
        if step is not None:
            await self._stops.reach(step)

    async def request(self, message: Request) -> None:
        """Returns when a client's message may cross."""
        if self._link == "agent-envoy" and message.type_url == ECDS and not message.is_ack:
            await self._stops.reach(5)

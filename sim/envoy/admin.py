"""Envoy's admin interface, over a session of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from sim.errors import EnvironmentProblem


class Admin:
    """The admin endpoint of one Envoy, `host:port`."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    async def get(self, path: str) -> str:
        """The body of a path. Raises EnvironmentProblem when Envoy does not answer."""
        if self._session.closed:
            raise EnvironmentProblem(f"Envoy's admin at {self.address} is gone: its Envoy is going down")
        try:
            async with self._session.get(f"http://{self.address}{path}") as response:
                return await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EnvironmentProblem(f"Envoy's admin at {self.address}{path} does not answer: {error}") from error

    async def state(self) -> str:
        """`LIVE`, `PRE_INITIALIZING`, `INITIALIZING` or `DRAINING`."""
        return str(json.loads(await self.get("/server_info"))["state"])

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match a regular expression."""
        found = json.loads(await self.get(f"/stats?format=json&filter={pattern}"))["stats"]
        return {entry["name"]: int(entry["value"]) for entry in found if "value" in entry}

    async def config_dump(self, query: str = "") -> dict[str, Any]:
        dump: dict[str, Any] = json.loads(await self.get(f"/config_dump{query}"))
        return dump

    async def listener_ready(self, name: str) -> bool:
        """Whether the listener of this name takes connections."""
        statuses = json.loads(await self.get("/listeners?format=json")).get("listener_statuses", [])
        return any(status["name"] == name for status in statuses)


@asynccontextmanager
async def admin(address: str) -> AsyncIterator[Admin]:
    """An Admin with a session, closed when left."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Admin(address, session)

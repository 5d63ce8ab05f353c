"""A link between two parts: a byte proxy that a scenario can make worse."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Self

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.network.connection import Connection, Streams
from sim.scenario.faults.network.down import Down
from sim.scenario.faults.network.effect import Toxic
from sim.scenario.faults.network.listener import Listener, connect


class Link:
    """Passes bytes between whoever connects to `address` and the server at `upstream`, which is asked for each client.

    `listen` and `upstream` are `host:port` (port 0 asks the kernel) or `unix:/path`. An async context manager:
    entered, it listens; left, it is gone with its connections. A server that can't be reached closes the client's
    connection. Raises EnvironmentProblem when it can't listen.
    """

    def __init__(self, listen: str, upstream: str) -> None:
        self.upstream = upstream
        self._listener = Listener(listen)
        self._faults: dict[str, ActiveFault[Any]] = {}
        self._connections: dict[int, Connection] = {}
        #: With the number and the client of the connection that each serves.
        self._tasks: dict[asyncio.Task[None], tuple[int, asyncio.StreamWriter]] = {}
        self._accepted = 0
        self._broken: list[BaseException] = []

    def __repr__(self) -> str:
        return f"<Link {self.address} → {self.upstream} {len(self._tasks)} connections {list(self._faults)}>"

    @property
    def address(self) -> str:
        """Where it listens: `host:port` with the bound port, or `unix:/path`."""
        return self._listener.address

    async def __aenter__(self) -> Self:
        await self._listener.open(self._accept)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._listener.release()
        await self._drop_connections()
        if self._broken and error is None:
            raise self._broken[0]

    # -- faults ------------------------------------------------------------------------------------------------

    async def add(self, fault: ActiveFault[Any]) -> None:
        """Let a network fault act on open connections and on later ones; several act in the order they came in."""
        self._faults[fault.name] = fault
        if isinstance(fault.kind, Down):
            self._listener.close()
            for number, _ in self._tasks.values():
                fault.hit(connection=number)
            await self._drop_connections()
            return
        for connection in self._connections.values():
            connection.add(fault)

    async def remove(self, name: str) -> None:
        """End a fault. What it held back leaves at once. Raises KeyError when there is none of this name."""
        fault = self._faults.pop(name)
        if not isinstance(fault.kind, Down):
            for connection in self._connections.values():
                connection.remove(name)
        elif not self._is_down:
            await self._listener.open(self._accept)

    async def clear(self) -> None:
        """End every fault."""
        for name in tuple(self._faults):
            await self.remove(name)

    @property
    def _is_down(self) -> bool:
        return any(isinstance(fault.kind, Down) for fault in self._faults.values())

    # -- connections -------------------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_down:
            # It was in the queue when the listener closed.
            writer.transport.abort()
            return
        self._accepted += 1
        task = asyncio.create_task(self._serve(self._accepted, (reader, writer)), name=f"link-{self._accepted}")
        self._tasks[task] = (self._accepted, writer)
        task.add_done_callback(self._ended)

    async def _serve(self, number: int, client: Streams) -> None:
        try:
            server = await connect(self.upstream)
        except OSError:
            client[1].close()
            with contextlib.suppress(OSError):
                await client[1].wait_closed()
            return
        connection = self._connections[number] = Connection(number, client, server)
        try:
            for fault in self._faults.values():
                if isinstance(fault.kind, Toxic):
                    connection.add(fault)
            await connection.run()
        finally:
            del self._connections[number]

    def _ended(self, task: asyncio.Task[None]) -> None:
        _, client = self._tasks.pop(task)
        if task.cancelled():
            # Perhaps before it began.
            client.transport.abort()
        elif (error := task.exception()) is not None:
            self._broken.append(error)

    async def _drop_connections(self) -> None:
        dropped = tuple(self._tasks)
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)
        # Aborted transports close in the next turn of the loop.
        await asyncio.sleep(0)

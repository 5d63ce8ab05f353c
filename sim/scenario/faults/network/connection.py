"""One connection through a link, both directions of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from sim.scenario.faults.active import ActiveFault, Direction
from sim.scenario.faults.network.effect import End, Toxic
from sim.scenario.faults.network.flow import ConnectionOver, Flow

#: Both ends of a connection, as asyncio's streams.
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection:
    """Bytes between a client and the server, until both have no more, or one of them or a fault ends it.

    `number` counts a link's connections from 1.
    """

    def __init__(self, number: int, client: Streams, server: Streams) -> None:
        self.number = number
        self._writers = (client[1], server[1])
        self._flows: dict[Direction, Flow] = {
            "upstream": Flow("upstream", client[0], server[1], number),
            "downstream": Flow("downstream", server[0], client[1], number),
        }

    def add(self, fault: ActiveFault[Toxic]) -> None:
        """Let a fault act, if its lot falls on this connection."""
        lots = fault.lots(self.number)
        if lots.random() < fault.toxicity:
            now_s = asyncio.get_running_loop().time()
            self._flows[fault.stream].add(fault, fault.kind.effect(lots, now_s))

    def remove(self, name: str) -> None:
        for flow in self._flows.values():
            flow.remove(name)

    async def run(self) -> None:
        """Carry bytes; both ends are closed when it returns. A cancellation drops what is under way."""
        try:
            await self._close(await self._carry())
        except asyncio.CancelledError:
            for writer in self._writers:
                writer.transport.abort()
            raise

    async def _carry(self) -> End:
        """Carry bytes as long as there may be more; how the connection ends then."""
        end = End.CLOSE
        try:
            async with asyncio.TaskGroup() as tasks:
                for flow in self._flows.values():
                    name = f"link-{self.number}-{flow.direction}"
                    tasks.create_task(flow.read(), name=f"{name}-read")
                    tasks.create_task(flow.send(), name=f"{name}-send")
        except* ConnectionOver as over:
            ends = {error.end for error in over.exceptions if isinstance(error, ConnectionOver)}
            end = End.RESET if End.RESET in ends else End.CLOSE
        return end

    async def _close(self, end: End) -> None:
        for writer in self._writers:
            if end is End.RESET:
                reset(writer)
            else:
                writer.close()
        for writer in self._writers:
            # The end of a connection may be an error that was dealt with already.
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection at once: with a TCP reset, or, on a Unix socket, by closing it."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX and sock.fileno() >= 0:
        # Closing with a linger time of zero makes the kernel send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

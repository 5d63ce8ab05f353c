"""A link between clients and a server whose connections the test holds itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sim.scenario.faults.network import Link

#: How long a test waits for what must come; nothing waits for what must not.
PATIENCE_S = 10.0


class Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def half_close(self) -> None:
        self.writer.write_eof()

    async def receive(self, count: int) -> bytes:
        """Exactly so many bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        """Everything until the end; raises ConnectionResetError when it is a reset."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    @property
    def has_ended(self) -> bool:
        """Whether the end has come, as far as it was looked."""
        return self._reader.at_eof()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            # The connection ended by an error, which a test has looked at if it is about that.
            return


class Network:
    """The server side, the link in front of it, and the clients that a test opens."""

    def __init__(self) -> None:
        self.link: Link
        self._accepted: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        self._accepted.put_nowait(peer)

    async def client(self) -> Peer:
        """A client's end of a new connection to the link."""
        address = self.link.address
        if address.startswith("unix:"):
            peer = Peer(*await asyncio.open_unix_connection(address.removeprefix("unix:")))
        else:
            host, _, port = address.rpartition(":")
            peer = Peer(*await asyncio.open_connection(host, int(port)))
        self._peers.append(peer)
        return peer

    async def connect(self) -> tuple[Peer, Peer]:
        """Both ends of a new connection through the link."""
        client = await self.client()
        async with asyncio.timeout(PATIENCE_S):
            return client, await self._accepted.get()

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()


@asynccontextmanager
async def network(listen: str = "127.0.0.1:0", serve_at: str = "127.0.0.1:0") -> AsyncIterator[Network]:
    """A network, up while inside; `listen` is the link's address, `serve_at` the server's."""
    made = Network()
    if serve_at.startswith("unix:"):
        server = await asyncio.start_unix_server(made.accept, serve_at.removeprefix("unix:"))
        upstream = serve_at
    else:
        server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
        upstream = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with Link(listen, upstream) as made.link:
            yield made
    finally:
        await made.close()
        server.close()
        await server.wait_closed()

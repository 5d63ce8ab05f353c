"""A place to listen at that can be left and taken again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from sim.errors import EnvironmentProblem
from sim.scenario.faults.network.connection import Streams

#: Called with the two streams of a new connection.
Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]

_BACKLOG = 128


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, of `[::1]:80` too. Raises ValueError for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()):
        raise ValueError(f"{address!r} is no address; write host:port, or unix:/path")
    return host.strip("[]"), int(port)


async def connect(address: str) -> Streams:
    """A connection to `host:port` or `unix:/path`. Raises OSError."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    return await asyncio.open_connection(*split_address(address))


class Listener:
    """Listens at `listen`, `host:port` (port 0 asks the kernel) or `unix:/path`, between `open` and `close`.

    Once a port is had it is kept until `release`: while nobody listens, connections to it are refused, and nobody else
    can take it.
    """

    def __init__(self, listen: str) -> None:
        self.address = listen
        self._path = Path(listen.removeprefix("unix:")) if listen.startswith("unix:") else None
        self._holder: socket.socket | None = None
        self._made_path = False
        self._server: asyncio.Server | None = None

    async def open(self, accepted: Accepted) -> None:
        """Take connections from now on. Raises EnvironmentProblem when the place is taken."""
        try:
            sock = self._tcp_socket() if self._path is None else self._unix_socket(self._path)
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(
                f"can't listen on {self.address}: {error}", hint="choose another address, or port 0 for a free one"
            ) from error
        if self._path is not None:
            self._server = await asyncio.start_unix_server(accepted, sock=sock, backlog=_BACKLOG)
        else:
            self._server = await asyncio.start_server(accepted, sock=sock, backlog=_BACKLOG)

    def close(self) -> None:
        """Refuse connections from now on; those that there are go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def release(self) -> None:
        """Give the place up for good."""
        self.close()
        if self._path is not None and self._made_path:
            self._path.unlink(missing_ok=True)
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def _tcp_socket(self) -> socket.socket:
        if self._holder is None:
            self._holder = _bound(*split_address(self.address))
            host, port = self._holder.getsockname()[:2]
            self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return _bound(*split_address(self.address))

    def _unix_socket(self, path: Path) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # What a listener that was closed, or died, has left behind.
            if path.is_socket():
                path.unlink()
            sock.bind(str(path))
            self._made_path = True
        except BaseException:
            sock.close()
            raise
        return sock


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens not yet. Two of ours may share a port; a foreign one that listens there is an OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock

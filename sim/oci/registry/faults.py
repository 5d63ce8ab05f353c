"""The hook for faults: what a registry asks before it answers a request."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

#: Consulted before the handler, in order. The first response it returns is sent instead of the real one; None
#: lets the request pass. It may also sleep (a slow registry), or break the connection by `reset_connection`.
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class ConnectionEndedError(Exception):
    """A fault ended the connection; there is no response."""


def reset_connection(request: web.Request) -> None:
    """Break the request's connection with a TCP reset and end the request: raises ConnectionEndedError."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        if sock is not None:
            # Closing with a linger time of zero makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    raise ConnectionEndedError

"""A loopback port that stays ours from now until Envoy binds it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sim.errors import EnvironmentProblem


@contextmanager
def reserved_port(port: int = 0, host: str = "127.0.0.1") -> Iterator[int]:
    """Hold a port of a loopback address (0: whichever the kernel gives) while inside.

    The socket is bound with SO_REUSEPORT and never listens, so Envoy, which binds its listeners likewise, can
    join it, and no connection ever reaches us. Raises EnvironmentProblem when the port is taken.
    """
    if port:
        # SO_REUSEPORT would let us join somebody else's listener; a plain bind tells whether there is one.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise EnvironmentProblem(
                    f"port {port} of {host} can't be had: {error.strerror}",
                    hint="stop what listens there, or leave the port out to get a free one",
                ) from error
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, port))
        number: int = holder.getsockname()[1]
        yield number

"""When a part counts as up, and where a run keeps what only it needs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from sim.discovery import Discovery
from sim.envoy import Envoy
from sim.errors import EnvironmentProblem
from sim.model import LDS
from sim.trace import Trace

_READY_S = 20.0
#: Where Envoy connects, and where the agent listens behind a link; one is as long as the other.
XDS_SOCKET = "xds.sock"
SOCKET_BEHIND = "own.sock"
#: Of `sun_path` (unix(7)), without the end mark.
_MOST_SOCKET_PATH_BYTES = 107


async def synced(
    stack: AsyncExitStack, starting: AbstractAsyncContextManager[Discovery], mcp_address: str
) -> Discovery:
    """Discovery, which waits for its MCP server; only another one than ours keeps it waiting."""
    try:
        async with asyncio.timeout(_READY_S):
            return await stack.enter_async_context(starting)
    except TimeoutError:
        raise EnvironmentProblem(
            f"the Core at {mcp_address} did not answer everything that Discovery asked for within {_READY_S:g} s",
            hint="see whether it speaks MCP over xDS, and its log",
        ) from None


def state_directory() -> tempfile.TemporaryDirectory[str]:
    """Where a run's sockets and modules live: in TMPDIR, or in /tmp where TMPDIR is too long for a Unix socket.

    Raises EnvironmentProblem when neither will do.
    """
    for parent in (None, "/tmp"):
        try:
            made = tempfile.TemporaryDirectory(prefix="ecdsim-", dir=parent)
        except OSError as error:
            raise EnvironmentProblem(
                f"no temporary directory can be made: {error}", hint="point TMPDIR at one that can be written"
            ) from error
        if len(os.fsencode(f"{made.name}/{XDS_SOCKET}")) <= _MOST_SOCKET_PATH_BYTES:
            return made
        made.cleanup()
    raise EnvironmentProblem(
        f"{tempfile.gettempdir()} is too long for a Unix socket in it", hint="point TMPDIR at a shorter path"
    )


async def gateway_ready(running: Envoy, port: int, trace: Trace, host: str = "127.0.0.1") -> None:
    """Envoy has taken its listener and accepts connections there."""
    acked = asyncio.create_task(trace.wait_for(lambda e: e.event == "envoy.ack" and e.type_url == LDS))
    try:
        async with asyncio.timeout(_READY_S):
            either: set[asyncio.Future[Any]] = {acked, running.died}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.died.done():
                raise running.died.result()
            # Envoy has no event to tell that its workers listen; it has to be asked.
            while not (await running.admin.listener_ready(f"0.0.0.0_{port}") and await accepts(host, port)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise EnvironmentProblem(
            f"the gateway's listener on port {port} did not come up within {_READY_S:g} s",
            hint=f"the end of Envoy's log:\n{running.log_tail}",
        ) from None
    finally:
        acked.cancel()
        await asyncio.gather(acked, return_exceptions=True)


async def accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

"""An ADS client's stream of bytes, for whoever reads a server: Discovery (MCP), the agent's upstream, tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import grpc
import grpc.aio

from sim.xds.messages import Variant
from sim.xds.server import GRPC_OPTIONS, METHODS, SERVICE

#: A call on a channel: `write(bytes)`, `read() -> bytes | EOF`, `done_writing()`, `cancel()`.
Call = Any

#: How long a lost connection waits before it is tried again: a local pipeline wants no back-off of seconds. The
#: minimum is also what an attempt may take; pilot-agent gives it 5 s (pkg/istio-agent/xds_proxy.go).
_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


@asynccontextmanager
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `host:port` or `unix:/path`, closed when left."""
    options = [*GRPC_OPTIONS, *_RECONNECT]
    if _is_local(address):
        # As Go has it: loopback is reached directly, whatever http_proxy says.
        options.append(("grpc.enable_http_proxy", 0))
    opened = grpc.aio.insecure_channel(address, options=options)
    try:
        yield opened
    finally:
        await opened.close()


def open_stream(on: grpc.aio.Channel, variant: Variant, *, wait_for_ready: bool = True) -> Call:
    """Start the ADS call of that variant; messages are bytes both ways.

    With `wait_for_ready` it waits for the server to be there, without it fails at once.
    """
    method = on.stream_stream(f"/{SERVICE}/{METHODS[variant]}")
    return method(wait_for_ready=wait_for_ready)


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

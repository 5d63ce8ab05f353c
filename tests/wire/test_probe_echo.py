"""The echo upstream in its own process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from sim.errors import PartDied
from sim.trace import Trace
from sim.traffic.echo import Echo
from sim.traffic.load import Load, LoadSpec


async def exchange(port: int, request: bytes) -> tuple[bytes, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.read()
    writer.close()
    await writer.wait_closed()
    return head, json.loads(body) if body else None


async def test_the_echo_tells_what_arrived() -> None:
    async with Echo() as echo:
        head, told = await exchange(
            echo.port,
            b"POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 5\r\n"
            b"Connection: close\r\n\r\nhello",
        )
    assert head.startswith(b"HTTP/1.1 200")
    assert told == {
        "method": "POST",
        "path": "/a?b=c",
        "headers": {"host": "example.com", "x-twice": "1, 2", "content-length": "5", "connection": "close"},
        "body": "hello",
    }


async def test_the_echo_answers_head_without_a_body_and_refuses_nonsense() -> None:
    async with Echo() as echo:
        head, told = await exchange(echo.port, b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (head[:12], told) == (b"HTTP/1.1 200", None)
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(b"nonsense\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_load_sends_its_method_headers_authority_and_body_over_one_connection() -> None:
    spec = LoadSpec(
        name="users",
        rate_per_s=100,
        method="PUT",
        path="/shop?item=1",
        headers={"x-user": "alice"},
        authority="shop.example.com",
        body="payload",
        attribute=lambda signature: signature.body.decode(),
    )
    async with Echo() as echo, Load(spec, echo.host, echo.port, Trace()) as load:
        told = json.loads(load.samples[0].version or "")
        await load.settled(load.samples[0].version, 0)
    assert told == {
        "method": "PUT",
        "path": "/shop?item=1",
        "headers": {"host": "shop.example.com", "x-user": "alice", "content-length": "7"},
        "body": "payload",
    }
    assert load.connections.opened == 1
    assert len(load.samples.signatures) == 1


async def test_an_echo_that_dies_is_noticed_by_its_watcher() -> None:
    with pytest.raises(PartDied, match=r"traffic\.echo died: its process ended with status -9"):
        async with Echo() as echo:
            assert echo._process is not None
            os.kill(echo._process.pid, signal.SIGKILL)
            await echo.watch()


async def test_an_echo_leaves_at_sigterm_too() -> None:
    with pytest.raises(PartDied, match="status 0"):
        async with Echo() as echo:
            assert echo._process is not None
            os.kill(echo._process.pid, signal.SIGTERM)
            await echo.watch()


async def test_watching_an_echo_ends_quietly_when_it_is_left() -> None:
    async with Echo() as echo:
        watching = asyncio.create_task(echo.watch())
    async with asyncio.timeout(30):
        await watching

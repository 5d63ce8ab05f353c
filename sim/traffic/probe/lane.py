"""One of a load's long-lived connections: its queue, and its reconnecting."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sim.traffic.probe.connection import Connection, Ending, Owner, Request
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0


def connection_kind(protocol: str) -> Callable[[int, Owner, Settings], Connection]:
    """What speaks `protocol`. Only that is imported: the probe is to start at once."""
    match protocol:
        case "http/1.1":
            from sim.traffic.probe.http1 import Http1Connection

            return Http1Connection
        case "http/2":
            from sim.traffic.probe.http2 import Http2Connection

            return Http2Connection
        case "stream":
            from sim.traffic.probe.stream import StreamConnection

            return StreamConnection
        case "websocket":
            from sim.traffic.probe.websocket import WebSocketConnection

            return WebSocketConnection
    raise ValueError(f"no protocol {protocol!r}")


class Recorder(Protocol):
    """Who keeps what a lane sees. `connection` is a connection's number; each request is recorded once."""

    def connection_number(self) -> int: ...

    def response(self, connection: int, request: Request, answer: Answer) -> None: ...

    def no_response(self, connection: int | None, request: Request, error: str) -> None: ...

    def opened(self, connection: int) -> None: ...

    def ended(self, connection: int, ending: Ending, why: str) -> None: ...

    def refused(self, why: str) -> None: ...


class Lane:
    """Keeps one connection open and sends what is due over it, one request after the other.

    A request that is due while the connection is busy or away waits; when it is not answered `timeout_ns` after it
    was due it has failed. `opened_once` is set with the first connection.
    """

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self.opened_once = asyncio.Event()
        self._settings = settings
        self._kind = connection_kind(settings.protocol)
        self._recorder = recorder
        self._queue: deque[Request] = deque()
        self._connection: Connection | None = None

    def offer(self, due_ns: int) -> None:
        """A request is due: send it now if the connection is free."""
        self._queue.append(Request(due_ns))
        self._pump()

    def expire(self, now_ns: int) -> None:
        """Fail what waited too long; a connection that let a request wait too long is closed."""
        limit_ns = now_ns - self._settings.timeout_ns
        while self._queue and self._queue[0].due_ns <= limit_ns:
            self._recorder.no_response(None, self._queue.popleft(), "timeout")
        connection = self._connection
        if connection is not None:
            request = connection.in_flight
            if request is not None and request.due_ns <= limit_ns:
                connection.abandon("timeout")

    async def keep_open(self) -> None:
        """Connect, and at once again when a connection ended; pauses grow while nobody listens or answers."""
        pause_s = FIRST_PAUSE_S
        while True:
            connection = await self._connect()
            if connection is not None:
                self._connection = connection
                self._recorder.opened(connection.number)
                self.opened_once.set()
                try:
                    self._pump()
                    await connection.lost
                finally:
                    self._connection = None
                    connection.close()
                if connection.has_answered:
                    pause_s = FIRST_PAUSE_S
                    continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _connect(self) -> Connection | None:
        """A new connection; None, and everything that waited for it failed, if there is none to be had."""
        settings, made = self._settings, self._kind
        number = self._recorder.connection_number()
        try:
            async with asyncio.timeout(settings.timeout_ns / 1e9):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: made(number, self, settings),
                    settings.host,
                    settings.port,
                )
        except OSError as error:
            self._recorder.refused(str(error) or type(error).__name__)
            while self._queue:
                self._recorder.no_response(None, self._queue.popleft(), "refused")
            return None
        return connection

    def answered(self, connection: Connection, request: Request, answer: Answer) -> None:
        self._recorder.response(connection.number, request, answer)
        self._pump()

    def ready(self, connection: Connection) -> None:
        self._pump()

    def unanswered(self, connection: Connection, request: Request, error: str) -> None:
        self._recorder.no_response(connection.number, request, error)

    def ended(self, connection: Connection, ending: Ending, why: str) -> None:
        self._recorder.ended(connection.number, ending, why)

    def _pump(self) -> None:
        connection = self._connection
        if connection is not None and connection.ready and self._queue:
            self.expire(time.monotonic_ns())
            if self._queue:
                connection.send(self._queue.popleft())

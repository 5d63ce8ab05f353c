"""The upstream that tells what arrived: `upstream: echo`, a process of its own.

`python -m sim.traffic.echo` listens on 127.0.0.1, writes `{"port":…}` to standard output, answers every
HTTP/1.1 request with 200 and the JSON `{"method","path","headers","body"}` (header names lower-cased, repeated
ones joined by a comma, the body as text), and leaves at SIGTERM or at the end of its standard input.
A request with `x-ecdsim-stream-ms: N` gets a response that does not end, a piece every N milliseconds; one that
upgrades to a WebSocket gets its messages back. `Echo` is the parent's side.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from types import TracebackType
from typing import Self

import h11
import wsproto
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.events import Request as Upgrade
from wsproto.utilities import RemoteProtocolError

from sim.errors import EnvironmentProblem, PartDied
from sim.traffic.process import ModuleProcess

START_WITHIN_S = 10.0
STREAM_HEADER = "x-ecdsim-stream-ms"
_PIECE = b"and on\n"


class Echo:
    """The echo upstream. Entered: it listens on `port`. Left: its process is gone.

    Entering raises EnvironmentProblem when it does not start; `watch` and leaving raise PartDied when it ended unasked.
    """

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self._process: ModuleProcess | None = None
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._process = await ModuleProcess.start("sim.traffic.echo")
        try:
            async with asyncio.timeout(START_WITHIN_S):
                line = await self._process.read()
            if line is not None:
                self.port = line["port"]
                return self
            problem = "it ended at once"
        except TimeoutError:
            problem = f"it was not ready within {START_WITHIN_S:g} s"
        except BaseException:
            await self._process.stop()
            raise
        await self._process.stop()
        raise EnvironmentProblem(
            f"the echo upstream did not start: {problem}",
            hint=self._process.log_tail or "check that 127.0.0.1 has free ports",
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        died = self._process.has_ended
        self._left.set()
        await self._process.stop()
        if died and error is None:
            raise await self._death()

    async def watch(self) -> None:
        """Return when the context is left; raise PartDied when the process ends before."""
        assert self._process is not None
        exited = asyncio.create_task(self._process.exited(), name="echo-exited")
        left = asyncio.create_task(self._left.wait(), name="echo-left")
        try:
            await asyncio.wait({exited, left}, return_when=asyncio.FIRST_COMPLETED)
            if not self._left.is_set():
                raise await self._death()
        finally:
            exited.cancel()
            left.cancel()
            await asyncio.gather(exited, left, return_exceptions=True)

    async def _death(self) -> PartDied:
        assert self._process is not None
        status = await self._process.exited()
        return PartDied(
            "traffic.echo",
            f"its process ended with status {status}",
            log_tail=self._process.log_tail,
            hint="its last words are in the log tail; a negative status is the signal that ended it",
        )


class EchoConnection(asyncio.Protocol):
    """One connection of the echo server."""

    def __init__(self) -> None:
        self._http = h11.Connection(our_role=h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._request: h11.Request | None = None
        self._body = bytearray()
        #: What came of the request that is being read: a WebSocket's library wants to read its own by itself.
        self._first = b""
        self._socket: wsproto.WSConnection | None = None
        self._next_piece: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._talk(data)
            return
        if self._request is None:
            self._first += data
        self._read(data)

    def eof_received(self) -> None:
        if self._socket is None:
            self._read(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_piece is not None:
            self._next_piece.cancel()

    def _read(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                    if (b"upgrade", b"websocket") in [(name, value.lower()) for name, value in event.headers]:
                        self._socket = wsproto.WSConnection(ConnectionType.SERVER)
                        self._talk(self._first)
                        return
                    if self._http.they_are_waiting_for_100_continue:
                        self._transport.write(
                            self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                        )
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._answer()
                    if self._next_piece is not None:
                        return
                    if self._http.our_state is not h11.DONE:
                        self._transport.close()
                        return
                    self._http.start_next_cycle()
                    self._request, self._first = None, b""
                else:
                    return
        except h11.RemoteProtocolError:
            self._transport.close()

    def _talk(self, data: bytes) -> None:
        """A WebSocket's messages go back as they came."""
        assert self._socket is not None
        assert self._transport is not None
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                match event:
                    case Upgrade():
                        self._transport.write(self._socket.send(AcceptConnection()))
                    case TextMessage() | BytesMessage():
                        self._transport.write(self._socket.send(event))
                    case Ping():
                        self._transport.write(self._socket.send(event.response()))
                    case CloseConnection():
                        self._transport.write(self._socket.send(event.response()))
                        self._transport.close()
        except RemoteProtocolError:
            self._transport.close()

    def _stream(self, every_s: float) -> None:
        """Another piece, and again after `every_s`."""
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._transport.write(self._http.send(h11.Data(data=_PIECE)) or b"")
        self._next_piece = asyncio.get_running_loop().call_later(every_s, self._stream, every_s)

    def _answer(self) -> None:
        assert self._request is not None
        assert self._transport is not None
        every_ms = dict(self._request.headers).get(STREAM_HEADER.encode())
        if every_ms is not None and every_ms.isdigit() and int(every_ms) > 0:
            head = h11.Response(
                status_code=200, headers=[("content-type", "text/plain"), ("transfer-encoding", "chunked")]
            )
            self._transport.write(self._http.send(head) or b"")
            self._stream(int(every_ms) / 1000)
            return
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._request.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        told = {
            "method": self._request.method.decode(),
            "path": self._request.target.decode("latin-1"),
            "headers": headers,
            "body": self._body.decode(errors="replace"),
        }
        self._body.clear()
        body = json.dumps(told).encode()
        answer = h11.Response(
            status_code=200,
            headers=[("content-type", "application/json"), ("content-length", str(len(body)))],
        )
        data = self._http.send(answer) or b""
        if self._request.method != b"HEAD":
            data += self._http.send(h11.Data(data=body)) or b""
        self._transport.write(data + (self._http.send(h11.EndOfMessage()) or b""))


async def serve() -> None:
    """The process: serve until the parent has gone or says so."""
    loop = asyncio.get_running_loop()
    control = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    loop.add_signal_handler(signal.SIGTERM, control.feed_eof)
    server = await loop.create_server(EchoConnection, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await control.read()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())

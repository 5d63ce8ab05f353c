"""A WebSocket (RFC 6455): each message that was due and came back is a sample."""

from __future__ import annotations

import asyncio

import wsproto
from wsproto.connection import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import RemoteProtocolError

from sim.traffic.probe.connection import Connection, Owner, Request
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer

SWITCHING_PROTOCOLS = 101


class WebSocketConnection(Connection):
    """Upgrades as soon as it is open, then sends a message for each request; its echo is the answer.

    The upgrade's response tells which version answers, for as long as the connection lasts. A close frame from the
    other side is an announced end.
    """

    def __init__(self, number: int, owner: Owner, settings: Settings) -> None:
        super().__init__(number, owner)
        self._settings = settings
        self._socket = wsproto.WSConnection(ConnectionType.CLIENT)
        self._head: Answer | None = None
        self._sent = 0

    @property
    def ready(self) -> bool:
        return self._head is not None and self._request is None and not self.lost.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        request = self._settings.request
        fields = [(bytes(name), bytes(value)) for name, value in request.headers]
        host = next(value.decode("latin-1") for name, value in fields if name == b"host")
        extra = [(name, value) for name, value in fields if name not in (b"host", b"content-length")]
        target = request.target.decode("latin-1")
        self._write(self._socket.send(Upgrade(host=host, target=target, extra_headers=extra)))

    def _bytes_of(self, request: Request) -> bytes:
        self._sent += 1
        return self._socket.send(TextMessage(data=str(self._sent)))

    def _read(self, data: bytes) -> None:
        try:
            self._socket.receive_data(data or None)
            for event in self._socket.events():
                if self.lost.done():
                    return
                self._take(event)
        except RemoteProtocolError as error:
            self._end("broken", f"not a WebSocket: {error}", "protocol")

    def _take(self, event: Event) -> None:
        match event:
            case AcceptConnection():
                self._head = Answer.of(SWITCHING_PROTOCOLS, [(bytes(n), bytes(v)) for n, v in event.extra_headers])
                self._owner.ready(self)
            case RejectConnection():
                self._end("broken", f"the upgrade was answered {event.status_code}", "protocol")
            case TextMessage() | BytesMessage() if self._request is not None and self._head is not None:
                self._answer_with(self._head)
            case Ping():
                self._write(self._socket.send(event.response()))
            case CloseConnection():
                self._write(self._socket.send(event.response()))
                self._end("drained", "the server closed it in good order", "broken")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

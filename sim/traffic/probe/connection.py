"""One HTTP/1.1 connection, one request at a time: what came back, and how the connection ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal, Protocol

import h11

from sim.traffic.probe.signatures import Answer

#: broken: gone without a word. drained: the server had announced it. closed: by ourselves, after a time-out.
Ending = Literal["broken", "drained", "closed"]


@dataclass(slots=True)
class Request:
    """A request of the schedule; the times that are not known yet are None."""

    due_ns: int
    sent_ns: int | None = None
    first_byte_ns: int | None = None


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def answered(self, connection: Connection, request: Request, answer: Answer) -> None:
        """A complete response has arrived."""
        ...

    def unanswered(self, connection: Connection, request: Request, error: str) -> None:
        """The request in flight will get no response."""
        ...

    def ended(self, connection: Connection, ending: Ending, why: str) -> None:
        """The connection can't be used any more; said once."""
        ...


class Connection(asyncio.Protocol):
    """Sends `template` again and again; `lost` is done when the connection has ended.

    HTTP/1.1 as RFC 9112 has it: a response with `Connection: close` (or of HTTP/1.0) ends the connection in an
    orderly way, section 9.6; an end of file in any other place breaks it.
    """

    def __init__(self, number: int, owner: Owner, template: h11.Request, body: bytes) -> None:
        self.number = number
        self.has_answered = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._template = template
        self._body = body
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        self._answer: Answer | None = None

    @property
    def in_flight(self) -> Request | None:
        return self._request

    @property
    def ready(self) -> bool:
        """Whether a request can be sent now."""
        return self._transport is not None and self._http.our_state is h11.IDLE and not self.lost.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: Request) -> None:
        """Send the template for `request`; only when `ready`."""
        assert self._transport is not None
        assert self._request is None
        data = self._http.send(self._template)
        if self._body:
            data += self._http.send(h11.Data(data=self._body))
        data += self._http.send(h11.EndOfMessage())
        self._request = request
        request.sent_ns = time.monotonic_ns()
        self._transport.write(data)

    def abandon(self, why: str) -> None:
        """Close from our side; a request in flight fails with `why`."""
        self._end("closed", why, why)

    def close(self) -> None:
        """Close without a word to the owner; a request in flight is forgotten."""
        if not self.lost.done():
            self.lost.set_result(None)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.lost.done():
            return
        if self._request is None:
            self._end("broken", "data that nobody asked for", "broken")
            return
        if self._request.first_byte_ns is None:
            self._request.first_byte_ns = time.monotonic_ns()
        self._read(data)

    def eof_received(self) -> None:
        # A response without a length ends with the connection, so the parser has to hear of it.
        if self._request is not None and not self.lost.done():
            self._read(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "reset" if isinstance(exc, ConnectionResetError) else str(exc or "end of file")
        self._end("broken", f"{reason} {self._moment()}", "broken")

    def _read(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while not self.lost.done():
                event = self._http.next_event()
                if isinstance(event, h11.Response):
                    self._answer = Answer.of(event.status_code, event.headers)
                elif isinstance(event, h11.Data):
                    assert self._answer is not None
                    self._answer.add(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._complete(ended=not data)
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    return
        except h11.RemoteProtocolError as error:
            if data:
                self._end("broken", f"not HTTP/1.1: {error}", "protocol")
            else:
                self._end("broken", f"end of file {self._moment()}", "broken")

    def _complete(self, *, ended: bool) -> None:
        request, answer = self._request, self._answer
        assert request is not None
        assert answer is not None
        self._request = self._answer = None
        self.has_answered = True
        both = (self._http.our_state, self._http.their_state)
        why = None
        ending: Ending = "drained"
        if ended:
            # Section 6.3: a response without a length ends with its connection, which is announcement enough.
            why = "its end was the response's"
        elif both != (h11.DONE, h11.DONE):
            why = "the server announced it"
        elif self._http.trailing_data[0]:
            ending, why = "broken", "data that nobody asked for"
        else:
            self._http.start_next_cycle()
        self._owner.answered(self, request, answer)
        if why is not None:
            self._end(ending, why, "broken")

    def _moment(self) -> str:
        if self._request is None:
            return "while idle"
        return "before the response" if self._request.first_byte_ns is None else "within the response"

    def _end(self, ending: Ending, why: str, error: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(None)
        request, self._request = self._request, None
        if self._transport is not None:
            # Nothing of ours is left to be sent, so nothing is lost by not waiting.
            self._transport.abort()
        if request is not None:
            self._owner.unanswered(self, request, error)
        self._owner.ended(self, ending, why)

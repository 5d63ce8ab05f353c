"""One of the probe's connections, whatever it speaks: one request at a time, and how the connection ended."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

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

    def ready(self, connection: Connection) -> None:
        """The connection can take a request now, and could not before."""
        ...

    def ended(self, connection: Connection, ending: Ending, why: str) -> None:
        """The connection can't be used any more; said once."""
        ...


class Connection(asyncio.Protocol, ABC):
    """`lost` is done when the connection has ended. What it speaks is the subclass's."""

    def __init__(self, number: int, owner: Owner) -> None:
        self.number = number
        self.has_answered = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None

    @property
    def in_flight(self) -> Request | None:
        return self._request

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether a request can be sent now."""

    @abstractmethod
    def _bytes_of(self, request: Request) -> bytes:
        """What sends the request."""

    @abstractmethod
    def _read(self, data: bytes) -> None:
        """Take what arrived; empty at the end of the file."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: Request) -> None:
        """Send what `request` asks for; only when `ready`."""
        assert self._transport is not None
        assert self._request is None
        data = self._bytes_of(request)
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
        if self._request is not None and self._request.first_byte_ns is None:
            self._request.first_byte_ns = time.monotonic_ns()
        self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "reset" if isinstance(exc, ConnectionResetError) else str(exc or "end of file")
        self._end("broken", f"{reason} {self._moment()}", "broken")

    def _answer_with(self, answer: Answer) -> None:
        request, self._request = self._request, None
        assert request is not None
        self.has_answered = True
        self._owner.answered(self, request, answer)

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

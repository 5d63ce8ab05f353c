"""One response that goes on and on: each piece of it that was due and came is a sample."""

from __future__ import annotations

import h11

from sim.traffic.probe.connection import Connection, Owner, Request
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer


class StreamConnection(Connection):
    """The first request is sent; after that a "request" waits for the next piece of its response.

    The head tells which version answers, for as long as the response lasts: a stream is served to its end by the
    filters that it began with. A response that ends is a broken connection: it was to go on.
    """

    def __init__(self, number: int, owner: Owner, settings: Settings) -> None:
        super().__init__(number, owner)
        self._template = settings.request
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._head: Answer | None = None
        self._asked = False

    @property
    def ready(self) -> bool:
        return self._transport is not None and self._request is None and not self.lost.done()

    def _bytes_of(self, request: Request) -> bytes:
        if self._asked:
            return b""
        self._asked = True
        return (self._http.send(self._template) or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    def _read(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            came = False
            while not self.lost.done():
                event = self._http.next_event()
                if isinstance(event, h11.Response):
                    self._head = Answer.of(event.status_code, event.headers)
                elif isinstance(event, h11.Data):
                    came = True
                elif isinstance(event, h11.EndOfMessage):
                    self._ended_early()
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    break
        except h11.RemoteProtocolError as error:
            self._end("broken", f"end of file within the response: {error}", "broken")
            return
        if came and self._request is not None and self._head is not None:
            self._answer_with(self._head)

    def eof_received(self) -> None:
        if not self.lost.done():
            self._read(b"")

    def _ended_early(self) -> None:
        if self._head is not None and self._head.status >= 300 and self._request is not None:
            # No stream at all, but an answer.
            self._answer_with(self._head)
        self._end("broken", "the response ended", "broken")

"""HTTP/1.1, one request after the other."""

from __future__ import annotations

import h11

from sim.traffic.probe.connection import Connection, Ending, Owner, Request
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer


class Http1Connection(Connection):
    """Sends the same request again and again.

    HTTP/1.1 as RFC 9112 has it: a response with `Connection: close` (or of HTTP/1.0) ends the connection in an
    orderly way, section 9.6; an end of file in any other place breaks it.
    """

    def __init__(self, number: int, owner: Owner, settings: Settings) -> None:
        super().__init__(number, owner)
        self._template = settings.request
        self._body = settings.body
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._answer: Answer | None = None

    @property
    def ready(self) -> bool:
        return self._transport is not None and self._http.our_state is h11.IDLE and not self.lost.done()

    def _bytes_of(self, request: Request) -> bytes:
        data = self._http.send(self._template) or b""
        if self._body:
            data += self._http.send(h11.Data(data=self._body)) or b""
        return data + (self._http.send(h11.EndOfMessage()) or b"")

    def data_received(self, data: bytes) -> None:
        if self._request is None and not self.lost.done():
            self._end("broken", "data that nobody asked for", "broken")
            return
        super().data_received(data)

    def eof_received(self) -> None:
        # A response without a length ends with the connection, so the parser has to hear of it.
        if self._request is not None and not self.lost.done():
            self._read(b"")

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
        answer, self._answer = self._answer, None
        assert answer is not None
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
        self._answer_with(answer)
        if why is not None:
            self._end(ending, why, "broken")

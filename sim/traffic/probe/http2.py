"""HTTP/2 with prior knowledge (RFC 9113), one stream after the other."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from sim.traffic.probe.connection import Connection, Owner, Request
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer


class _Machine(h2.connection.H2ConnectionStateMachine):
    """h2 takes GOAWAY for the end of everything; by RFC 9113, 6.8, the streams that were begun go on."""

    def __init__(self) -> None:
        super().__init__()
        states, inputs = h2.connection.ConnectionState, h2.connection.ConnectionInputs
        self._transitions = {
            **self._transitions,
            (states.CLIENT_OPEN, inputs.RECV_GOAWAY): (None, states.CLIENT_OPEN),
        }


class Http2Connection(Connection):
    """Sends the same request again and again. GOAWAY announces a connection's end; a reset stream fails its request."""

    def __init__(self, number: int, owner: Owner, settings: Settings) -> None:
        super().__init__(number, owner)
        configuration = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._http = h2.connection.H2Connection(configuration)
        self._http.state_machine = _Machine()
        self._headers = pseudo_headers(settings)
        self._body = settings.body
        self._stream: int | None = None
        self._answer: Answer | None = None
        self._going_away = False

    @property
    def ready(self) -> bool:
        return self._transport is not None and self._request is None and not self._going_away and not self.lost.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._http.initiate_connection()
        self._flush()

    def _bytes_of(self, request: Request) -> bytes:
        self._stream = self._http.get_next_available_stream_id()
        self._http.send_headers(self._stream, self._headers, end_stream=not self._body)
        if self._body:
            self._http.send_data(self._stream, self._body, end_stream=True)
        return self._http.data_to_send()

    def _read(self, data: bytes) -> None:
        try:
            events = self._http.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._flush()
            self._end("broken", f"not HTTP/2: {error}", "protocol")
            return
        for event in events:
            if self.lost.done():
                return
            self._take(event)
        if not self.lost.done():
            self._flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=self._stream, headers=headers):
                fields = [(bytes(name), bytes(value)) for name, value in headers]
                status = next(int(value) for name, value in fields if name == b":status")
                self._answer = Answer.of(status, [field for field in fields if not field[0].startswith(b":")])
            case h2.events.DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                self._http.acknowledge_received_data(length or 0, stream)
                if stream == self._stream and self._answer is not None and data is not None:
                    self._answer.add(data)
            case h2.events.StreamEnded(stream_id=self._stream):
                answer, self._answer, self._stream = self._answer, None, None
                assert answer is not None
                if self._going_away:
                    # Said before the owner can think of sending more.
                    self._finish_after(answer)
                else:
                    self._answer_with(answer)
            case h2.events.StreamReset(stream_id=self._stream):
                request, self._request = self._request, None
                self._answer, self._stream = None, None
                if request is not None:
                    self._owner.unanswered(self, request, "broken")
                if self._going_away:
                    self._end("drained", "the server announced it", "broken")
                else:
                    self._owner.ready(self)
            case h2.events.ConnectionTerminated(error_code=code, last_stream_id=last):
                self._going_away = True
                if code not in (None, h2.errors.ErrorCodes.NO_ERROR):
                    self._end("broken", f"GOAWAY, {getattr(code, 'name', code)}", "protocol")
                elif self._stream is None or (last is not None and self._stream > last):
                    self._end("drained", "the server announced it", "broken")

    def _finish_after(self, answer: Answer) -> None:
        self._answer_with(answer)
        self._end("drained", "the server announced it", "broken")

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


def pseudo_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """The request's head as HTTP/2 carries it."""
    request = settings.request
    fields = [(name.lower(), value) for name, value in request.headers]
    authority = next(value for name, value in fields if name == b"host")
    return [
        (b":method", request.method),
        (b":scheme", b"http"),
        (b":authority", authority),
        (b":path", request.target),
        *[(name, value) for name, value in fields if name != b"host"],
    ]

"""One ADS stream through the proxy, sans-IO: what each message means, and what the faults make of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.message import DecodeError

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, Item, XdsFault
from sim.scenario.faults.xds.message import Break, Request, Response, read_request, read_response
from sim.xds import DeltaDiscoveryRequest, DiscoveryRequest, Variant

#: An ACK comes soon after its response, or never.
_REMEMBERED_NONCES = 64


class Conversation:
    """The messages of one stream. `number` counts the streams of a link from 1.

    Bytes that no fault changes come out as they went in; so do those that are no discovery message.
    """

    def __init__(self, number: int, variant: Variant) -> None:
        self.number = number
        self.node_id = ""
        #: The client's latest message; None before the first, and when it was none of discovery.
        self.asked: Request | None = None
        self._variant = variant
        self._effects: dict[str, Effect[Any]] = {}
        # What the client has of each type, and what the server was told of it.
        self._received: dict[str, Response] = {}
        self._nonces: dict[str, deque[str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._accepted: dict[str, str] = {}

    def add(self, fault: ActiveFault[XdsFault], *, to_open_stream: bool) -> list[bytes | Break]:
        """Let a fault act, last in the row. Gives what goes to the client for it."""
        effect = self._effects[fault.name] = fault.kind.effect(fault, self._fields)
        return self._sent(effect.added(to_open_stream=to_open_stream))

    def remove(self, name: str) -> list[bytes | Break]:
        """End a fault's work. Gives what it had held back and now goes to the client."""
        names = list(self._effects)
        if name not in names:
            return []
        later = names[names.index(name) + 1 :]
        held = self._effects.pop(name).cleared()
        return self._sent(self._through(held, [self._effects[other] for other in later]))

    def request(self, body: bytes) -> list[bytes]:
        """What goes to the server for a message of the client's."""
        self.asked = None
        try:
            read = read_request(self._variant, body)
        except DecodeError:
            return [body]
        if read.message.node.id:
            self.node_id = read.message.node.id
        type_url = read.type_url
        self.asked = replace(read, is_ack=self._is_ack(read), accepted_version=self._accepted.get(type_url, ""))
        requests: Sequence[Request] = [self.asked]
        for effect in self._effects.values():
            requests = [made for request in requests for made in effect.request(request)]
        for request in requests:
            if not request.message.HasField("error_detail"):
                self._accepted[type_url] = request.version_info
        return [request.body for request in requests]

    def read(self, body: bytes) -> Response | None:
        """A message of the server's, which is not noted; None where it is none of discovery."""
        try:
            return read_response(self._variant, body)
        except DecodeError:
            return None

    def response(self, body: bytes) -> list[bytes | Break]:
        """What goes to the client for a message of the server's. Nothing follows a Break."""
        try:
            read = read_response(self._variant, body)
        except DecodeError:
            return [body]
        return self._sent(self._through([read], self._effects.values()))

    def _through(self, items: Iterable[Item], effects: Iterable[Effect[Any]]) -> list[Item]:
        out = list(items)
        for effect in effects:
            made: list[Item] = []
            for item in out:
                if isinstance(item, Break):
                    made.append(item)
                else:
                    made += effect.response(replace(item, previous=self._received.get(item.type_url)))
            out = made
        return out

    def _sent(self, items: Iterable[Item]) -> list[bytes | Break]:
        """Note what the client receives."""
        out: list[bytes | Break] = []
        for item in items:
            if isinstance(item, Break):
                out.append(item)
                break
            # Without what came before it, or the first response would live as long as the stream.
            self._received[item.type_url] = replace(item, previous=None)
            self._nonces.setdefault(item.type_url, deque(maxlen=_REMEMBERED_NONCES)).append(item.nonce)
            out.append(item.body)
        return out

    def _is_ack(self, request: Request) -> bool:
        """Whether it accepts a response that the client received, and changes nothing of what it asked for."""
        message = request.message
        if isinstance(message, DeltaDiscoveryRequest):
            same = not message.resource_names_subscribe and not message.resource_names_unsubscribe
        else:
            same = self._notes_names(message)
        known = request.nonce in self._nonces.get(request.type_url, ())
        return known and same and not message.HasField("error_detail")

    def _notes_names(self, message: DiscoveryRequest) -> bool:
        """Whether it asks for what the last request of its type asked for."""
        before = self._names.get(message.type_url)
        self._names[message.type_url] = frozenset(message.resource_names)
        return before == self._names[message.type_url]

    def _fields(self) -> dict[str, Any]:
        return {"stream": self.number, "node_id": self.node_id or None}

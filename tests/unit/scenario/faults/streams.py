"""One ADS stream through faults, without sockets: messages made and read with xds-protos."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.any_pb2 import Any as ProtoAny

from sim.scenario.faults import ActiveFault
from sim.scenario.faults.xds import Break, Conversation, XdsFault
from sim.xds import Variant
from tests.independent import discovery_message

#: Field 1023, which no xDS message has.
UNKNOWN_FIELD = b"\xfa\x3f\x03odd"


class Stream:
    """A conversation and the faults on it. Messages are told in short: `v1 n1`, `ack n1`, `nack n1`."""

    def __init__(self, variant: Variant, number: int = 1) -> None:
        self.variant = variant
        self.hits: list[dict[str, Any]] = []
        self.conversation = Conversation(number, variant)

    def inject(self, kind: XdsFault, name: str = "f", *, to_open_stream: bool = True) -> list[str]:
        """What the client is told for it."""
        fault = ActiveFault(name, kind, tell=lambda _, what: self.hits.append(what))
        return self._told(self.conversation.add(fault, to_open_stream=to_open_stream))

    def clear(self, name: str = "f") -> list[str]:
        return self._told(self.conversation.remove(name))

    def response(self, type_url: str, version: str, nonce: str) -> bytes:
        """A response with one resource, whose body is its version; bytes that no schema knows come last."""
        content = ProtoAny(type_url=type_url, value=version.encode())
        if self.variant is Variant.SOTW:
            made = discovery_message("DiscoveryResponse")
            made.version_info = version
            made.resources.append(content)
        else:
            made = discovery_message("DeltaDiscoveryResponse")
            made.system_version_info = version
            made.resources.add(name="p", version=version, resource=content)
        made.type_url, made.nonce = type_url, nonce
        return bytes(made.SerializeToString()) + UNKNOWN_FIELD

    def request(self, type_url: str, nonce: str = "", version: str = "", *names: str, error: str = "") -> bytes:
        """A request; in SotW for these names, in delta to subscribe to them."""
        sotw = self.variant is Variant.SOTW
        made = discovery_message("DiscoveryRequest" if sotw else "DeltaDiscoveryRequest")
        made.type_url, made.response_nonce = type_url, nonce
        made.node.id = "gateway-1"
        if sotw:
            made.version_info = version
            made.resource_names.extend(names)
        else:
            made.resource_names_subscribe.extend(names)
        if error:
            made.error_detail.message = error
        return bytes(made.SerializeToString()) + UNKNOWN_FIELD

    def ack(self, type_url: str, nonce: str, version: str, *names: str) -> bytes:
        """SotW repeats the names."""
        return self.request(type_url, nonce, version, *(names if self.variant is Variant.SOTW else ()))

    def receive(self, type_url: str, version: str, nonce: str) -> list[str]:
        """The server sends a response: what the client is told."""
        return self._told(self.conversation.response(self.response(type_url, version, nonce)))

    def answer(self, body: bytes) -> list[str]:
        """The client sends a request: what the server is told."""
        return [self.request_in_short(made) for made in self.conversation.request(body)]

    def request_in_short(self, body: bytes) -> str:
        sotw = self.variant is Variant.SOTW
        read = discovery_message("DiscoveryRequest" if sotw else "DeltaDiscoveryRequest", body)
        names = read.resource_names if sotw else read.resource_names_subscribe
        kind = "nack" if read.HasField("error_detail") else "ack" if read.response_nonce else "subscribe"
        words = [kind, read.response_nonce, read.version_info if sotw else "", *names, read.error_detail.message]
        return " ".join(word for word in words if word)

    def _told(self, items: Iterable[bytes | Break]) -> list[str]:
        return [self._in_short(item) for item in items]

    def _in_short(self, item: bytes | Break) -> str:
        if isinstance(item, Break):
            return f"{item.code.name}: {item.details}"
        sotw = self.variant is Variant.SOTW
        read = discovery_message("DiscoveryResponse" if sotw else "DeltaDiscoveryResponse", item)
        version = read.version_info if sotw else read.system_version_info
        (resource,) = read.resources
        content = (resource if sotw else resource.resource).value.decode()
        assert content == version, "a version belongs to its content"
        assert UNKNOWN_FIELD in item, "nothing is lost on the way"
        return f"{read.type_url.rpartition('.')[2]} {version} {read.nonce}"

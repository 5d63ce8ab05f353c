"""Discovery messages on their way through a proxy: the bytes, and as much of their meaning as faults need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc

from sim.proto_gen.envoy_discovery_pb2 import Status
from sim.xds import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Variant,
)

#: What Envoy and the agent put into the NACKs of theirs.
NACK_CODE = 13


@dataclass(frozen=True, slots=True)
class Request:
    """A client's message. Raises DecodeError when made from bytes that are none.

    `is_ack`: it accepts a response and asks for nothing else. `accepted_version`: what this client was last heard
    to accept of the type (SotW).
    """

    variant: Variant
    body: bytes
    message: DiscoveryRequest | DeltaDiscoveryRequest
    is_ack: bool = False
    accepted_version: str = ""

    @property
    def type_url(self) -> str:
        return self.message.type_url

    @property
    def nonce(self) -> str:
        return self.message.response_nonce

    @property
    def version_info(self) -> str:
        return self.message.version_info if isinstance(self.message, DiscoveryRequest) else ""

    def refused(self, why: str) -> Request:
        """This ACK as a NACK: the same nonce and names, the version that was accepted before, and the reason."""
        made = type(self.message)()
        made.CopyFrom(self.message)  # type: ignore[arg-type]  # both are of one type
        made.error_detail.CopyFrom(Status(code=NACK_CODE, message=why))
        if isinstance(made, DiscoveryRequest):
            made.version_info = self.accepted_version
        return Request(self.variant, made.SerializeToString(), made)

    def told(self) -> dict[str, Any]:
        """The fields of a trace event about it."""
        return {"type_url": self.type_url, "nonce": self.nonce or None, "version_info": self.version_info or None}


@dataclass(frozen=True, slots=True)
class Response:
    """The server's message. `previous` is the one that the client received before it, of the same type."""

    variant: Variant
    body: bytes
    message: DiscoveryResponse | DeltaDiscoveryResponse
    previous: Response | None = None

    @property
    def type_url(self) -> str:
        return self.message.type_url

    @property
    def nonce(self) -> str:
        return self.message.nonce

    @property
    def version_info(self) -> str:
        if isinstance(self.message, DiscoveryResponse):
            return self.message.version_info
        return self.message.system_version_info

    def with_nonce(self, nonce: str) -> Response:
        """The same content under another nonce. Appended, because concatenated messages merge and the last wins."""
        message_type = type(self.message)
        body = self.body + message_type(nonce=nonce).SerializeToString()
        return Response(self.variant, body, message_type.FromString(body))

    def told(self) -> dict[str, Any]:
        """The fields of a trace event about it."""
        return {"type_url": self.type_url, "nonce": self.nonce, "version_info": self.version_info or None}


@dataclass(frozen=True, slots=True)
class Break:
    """The stream ends here, with a gRPC status."""

    code: grpc.StatusCode
    details: str


def read_request(variant: Variant, body: bytes) -> Request:
    """Raises DecodeError."""
    message_type = DiscoveryRequest if variant is Variant.SOTW else DeltaDiscoveryRequest
    return Request(variant, body, message_type.FromString(body))


def read_response(variant: Variant, body: bytes) -> Response:
    """Raises DecodeError."""
    message_type = DiscoveryResponse if variant is Variant.SOTW else DeltaDiscoveryResponse
    return Response(variant, body, message_type.FromString(body))

"""The four messages of ADS, and the resources inside them, as bytes that nobody re-encodes.

A response is encoded once per distinct content: its nonce, which differs from stream to stream, and its version,
which may come after the content, are appended, because concatenated protobuf messages merge (protobuf encoding guide,
"Last One Wins").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from google.protobuf.any_pb2 import Any as ProtoAny

from sim.proto_gen.envoy_discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from sim.proto_gen.envoy_discovery_pb2 import Node as EnvoyNode
from sim.proto_gen.envoy_discovery_pb2 import Resource as DeltaResource

__all__ = [
    "Answer",
    "DeltaDiscoveryRequest",
    "DeltaDiscoveryResponse",
    "DeltaResource",
    "DiscoveryRequest",
    "DiscoveryResponse",
    "EnvoyNode",
    "ProtoAny",
    "Resource",
    "Speaker",
    "Tap",
    "Variant",
    "delta_content",
    "encode_delta",
    "encode_sotw",
    "sotw_content",
]


#: Of a stream: the client is who asks.
Speaker = Literal["client", "server"]


class Variant(StrEnum):
    """The two ways to speak xDS: state of the world, and incremental."""

    SOTW = "sotw"
    DELTA = "delta"


#: Listens to streams: called with the stream's number, its variant, who speaks, and the message as it passes.
Tap = Callable[[int, Variant, Speaker, bytes], None]


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A named resource; `body` is the message inside its Any, `version` is only told in delta."""

    name: str
    type_url: str
    body: bytes
    version: str = ""


@dataclass(slots=True, eq=False)
class Answer:
    """What a source gives for one type: a version and resources, which never change; their encoding is remembered."""

    type_url: str
    version_info: str
    resources: Sequence[Resource]
    encoded: dict[tuple[str, ...], bytes] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        return [resource.name for resource in self.resources]


def sotw_content(answer: Answer) -> bytes:
    """A DiscoveryResponse without its nonce and version."""
    key = ("sotw",)
    content = answer.encoded.get(key)
    if content is None:
        made = DiscoveryResponse(
            type_url=answer.type_url,
            resources=[ProtoAny(type_url=r.type_url, value=r.body) for r in answer.resources],
        )
        content = answer.encoded[key] = made.SerializeToString()
    return content


def delta_content(answer: Answer, removed: Sequence[str]) -> bytes:
    """A DeltaDiscoveryResponse without its nonce and version; `removed` are names that no longer exist."""
    key = ("delta", *removed)
    content = answer.encoded.get(key)
    if content is None:
        made = DeltaDiscoveryResponse(
            type_url=answer.type_url,
            resources=[
                DeltaResource(
                    name=r.name,
                    version=r.version,
                    resource=ProtoAny(type_url=r.type_url, value=r.body),
                )
                for r in answer.resources
            ],
            removed_resources=list(removed),
        )
        content = answer.encoded[key] = made.SerializeToString()
    return content


def encode_sotw(answer: Answer, nonce: str) -> bytes:
    """A DiscoveryResponse."""
    own = DiscoveryResponse(version_info=answer.version_info, nonce=nonce)
    return sotw_content(answer) + own.SerializeToString()


def encode_delta(answer: Answer, removed: Sequence[str], nonce: str) -> bytes:
    """A DeltaDiscoveryResponse; `removed` are names that no longer exist."""
    own = DeltaDiscoveryResponse(system_version_info=answer.version_info, nonce=nonce)
    return delta_content(answer, removed) + own.SerializeToString()

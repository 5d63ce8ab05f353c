"""The four messages of ADS, and the resources inside them, as bytes that nobody re-encodes.

A response is encoded once per distinct content: its nonce, the only thing that differs from stream to stream,
is appended, because concatenated protobuf messages merge (protobuf encoding guide, "Last One Wins").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

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
    "Variant",
    "encode_delta",
    "encode_sotw",
]


class Variant(StrEnum):
    """The two ways to speak xDS: state of the world, and incremental."""

    SOTW = "sotw"
    DELTA = "delta"


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A named resource; `body` is the message inside its Any, `version` is only told in delta."""

    name: str
    type_url: str
    body: bytes
    version: str = ""


@dataclass(slots=True, eq=False)
class Answer:
    """What a source gives for one type: a version and resources. Encodings are remembered here."""

    type_url: str
    version_info: str
    resources: Sequence[Resource]
    encoded: dict[tuple[str, ...], bytes] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        return [resource.name for resource in self.resources]


def encode_sotw(answer: Answer, nonce: str) -> bytes:
    """A DiscoveryResponse."""
    key = ("sotw",)
    content = answer.encoded.get(key)
    if content is None:
        made = DiscoveryResponse(
            version_info=answer.version_info,
            type_url=answer.type_url,
            resources=[ProtoAny(type_url=r.type_url, value=r.body) for r in answer.resources],
        )
        content = answer.encoded[key] = made.SerializeToString()
    return content + DiscoveryResponse(nonce=nonce).SerializeToString()


def encode_delta(answer: Answer, removed: Sequence[str], nonce: str) -> bytes:
    """A DeltaDiscoveryResponse; `removed` are names that no longer exist."""
    key = ("delta", *removed)
    content = answer.encoded.get(key)
    if content is None:
        made = DeltaDiscoveryResponse(
            system_version_info=answer.version_info,
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
    return content + DeltaDiscoveryResponse(nonce=nonce).SerializeToString()

"""A recorded stream as a script: who says what, in what order, and what of it can be compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from sim.model import TYPE_PREFIX, short_name
from sim.proto_gen import istio_extensions_pb2, istio_mcp_pb2, istio_networking_pb2
from sim.scenario.recording import Said
from sim.xds import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    ProtoAny,
    Speaker,
    Variant,
)
from sim.xds.packing import to_json

# Their messages have to be known where an MCP resource is shown.
_SHOWN = (istio_extensions_pb2, istio_networking_pb2)
_MCP_RESOURCE = TYPE_PREFIX + istio_mcp_pb2.Resource.DESCRIPTOR.full_name

Request = DiscoveryRequest | DeltaDiscoveryRequest
Response = DiscoveryResponse | DeltaDiscoveryResponse


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` 2 is twice as fast as it was, None does not wait at all. `within_s` is for what must come."""

    speed: float | None = 1.0
    within_s: float = 10.0

    async def gap(self, recorded_ns: int) -> None:
        """Let a recorded interval pass."""
        if self.speed is not None and recorded_ns > 0:
            await asyncio.sleep(recorded_ns / 1e9 / self.speed)


@dataclass(slots=True)
class Script:
    """One stream. `nonces`: to which response of its type, counted from 0, each recorded nonce belongs."""

    number: int
    variant: Variant
    lines: list[Said]
    nonces: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts: Counter[str] = Counter()
        for line in self.lines:
            if line.speaker == "server":
                response = parse_response(self.variant, line.body)
                self.nonces[response.nonce] = (response.type_url, counts[response.type_url])
                counts[response.type_url] += 1

    def of(self, speaker: Speaker) -> list[Said]:
        return [line for line in self.lines if line.speaker == speaker]

    def before(self, index: int, speaker: Speaker) -> int:
        """How many messages by `speaker` came before the one at this position."""
        return sum(line.speaker == speaker for line in self.lines[:index])


def scripts(said: Sequence[Said]) -> list[Script]:
    """The streams of a recording, in the order of their opening."""
    by_stream: dict[int, list[Said]] = {}
    for line in said:
        by_stream.setdefault(line.stream, []).append(line)
    return [Script(number, lines[0].variant, lines) for number, lines in sorted(by_stream.items())]


def parse_request(variant: Variant, body: bytes) -> Request:
    return DiscoveryRequest.FromString(body) if variant is Variant.SOTW else DeltaDiscoveryRequest.FromString(body)


def parse_response(variant: Variant, body: bytes) -> Response:
    return DiscoveryResponse.FromString(body) if variant is Variant.SOTW else DeltaDiscoveryResponse.FromString(body)


def request_view(request: Request, answered: int | None) -> dict[str, Any]:
    """What a request says, without what differs from run to run: the node, nonces and versions.

    `answered`: which response of the type, counted from 1, its nonce belongs to; None for no response.
    """
    view: dict[str, Any] = {"answers": answered, "error": None}
    if request.HasField("error_detail"):
        view["error"] = request.error_detail.message
    if isinstance(request, DiscoveryRequest):
        view["names"] = sorted(request.resource_names)
    else:
        view["subscribe"] = sorted(request.resource_names_subscribe)
        view["unsubscribe"] = sorted(request.resource_names_unsubscribe)
        view["initial"] = sorted(request.initial_resource_versions)
    return view


def response_view(response: Response) -> dict[str, Any]:
    """What a response says, without nonces and versions; resources by name, in their order."""
    if isinstance(response, DiscoveryResponse):
        shown = [_shown(resource) for resource in response.resources]
        return {"resources": {_name(each, number): each for number, each in enumerate(shown)}}
    return {
        "resources": {item.name: _shown(item.resource) for item in response.resources},
        "removed": sorted(response.removed_resources),
    }


def described(speaker: Speaker, type_url: str, position: int) -> str:
    """`server's LDS, the 2nd`."""
    count = position + 1
    ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{speaker}'s {short_name(type_url) or 'untyped'}, the {count}{ending}"


def _shown(resource: ProtoAny) -> Any:
    try:
        if resource.type_url == _MCP_RESOURCE:
            mcp = istio_mcp_pb2.Resource.FromString(resource.value)
            return MessageToDict(mcp)
        return to_json(resource.type_url, resource.value)
    except (DecodeError, ValueError, KeyError, TypeError):
        return {"@type": resource.type_url, "bytes": resource.value.hex()}


def _name(shown: Any, position: int) -> str:
    if isinstance(shown, dict):
        name = shown.get("name") or shown.get("metadata", {}).get("name") or shown.get("cluster_name")
        if isinstance(name, str):
            return name
    return f"#{position}"

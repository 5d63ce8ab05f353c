"""Responses of either variant under one face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.xds import DeltaDiscoveryResponse, DeltaResource, DiscoveryResponse, ProtoAny
from sim.xds.packing import to_json

Response = DiscoveryResponse | DeltaDiscoveryResponse


def version_of(response: Response) -> str:
    """The response's version, under either variant's name for it."""
    return response.version_info if isinstance(response, DiscoveryResponse) else response.system_version_info


def resources_of(response: Response) -> list[ProtoAny]:
    """The resources' Any, whichever the variant."""
    if isinstance(response, DiscoveryResponse):
        return list(response.resources)
    return [item.resource for item in response.resources]


def picked(response: Response, resources: Mapping[int, ProtoAny], removed: Sequence[str]) -> Response:
    """A copy with these resources alone, each in the place (name and version) of the one that it came from."""
    if isinstance(response, DiscoveryResponse):
        sotw = DiscoveryResponse()
        sotw.CopyFrom(response)
        del sotw.resources[:]
        sotw.resources.extend(resources[index] for index in sorted(resources))
        return sotw
    delta = DeltaDiscoveryResponse()
    delta.CopyFrom(response)
    del delta.resources[:]
    for index in sorted(resources):
        held = DeltaResource()
        held.CopyFrom(response.resources[index])
        held.resource.CopyFrom(resources[index])
        delta.resources.append(held)
    delta.removed_resources[:] = removed
    return delta


def rendered(response: Response) -> list[object]:
    """The response's resources as JSON."""
    return [to_json(item.type_url, item.value) for item in resources_of(response)]

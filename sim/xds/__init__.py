"""xDS: the sans-IO subscription machines, and a server and a client on grpc.aio that carry bytes."""

from sim.xds.client import channel, open_stream
from sim.xds.messages import (
    Answer,
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DeltaResource,
    DiscoveryRequest,
    DiscoveryResponse,
    EnvoyNode,
    ProtoAny,
    Resource,
    Speaker,
    Tap,
    Variant,
)
from sim.xds.server import METHODS, SERVICE, AdsServer, Observer, ServerStream, Source, ads_server, serving
from sim.xds.subscription import DeltaSubscriptions, Reaction, SotwSubscriptions, Watch

__all__ = [
    "METHODS",
    "SERVICE",
    "AdsServer",
    "Answer",
    "DeltaDiscoveryRequest",
    "DeltaDiscoveryResponse",
    "DeltaResource",
    "DeltaSubscriptions",
    "DiscoveryRequest",
    "DiscoveryResponse",
    "EnvoyNode",
    "Observer",
    "ProtoAny",
    "Reaction",
    "Resource",
    "ServerStream",
    "SotwSubscriptions",
    "Source",
    "Speaker",
    "Tap",
    "Variant",
    "Watch",
    "ads_server",
    "channel",
    "open_stream",
    "serving",
]

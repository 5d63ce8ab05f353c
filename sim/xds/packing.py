"""Messages into Any and back into JSON. Every Envoy type that we make or show is imported here, once."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.composite.v3 import Composite
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import Cors
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import HttpFault
from envoy_data_plane.envoy.extensions.filters.http.grpc_stats.v3 import FilterConfig as GrpcStats
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit.v3 import LocalRateLimit
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.http.wasm.v3 import Wasm as HttpWasm
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.filters.network.rbac.v3 import Rbac as NetworkRbac
from envoy_data_plane.envoy.extensions.filters.network.wasm.v3 import Wasm as NetworkWasm
from envoy_data_plane.google.protobuf import Any as LibraryAny
from google.protobuf.message import Message as OwnMessage

from sim.model import CDS, ECDS, EDS, HTTP_WASM, LDS, NETWORK_WASM, RDS, TYPE_PREFIX
from sim.xds.messages import ProtoAny, Resource

Message = betterproto2.Message

_FILTERS = "envoy.extensions.filters."
_KNOWN: dict[str, type[Message]] = {
    CDS: Cluster,
    EDS: ClusterLoadAssignment,
    LDS: Listener,
    RDS: RouteConfiguration,
    ECDS: TypedExtensionConfig,
    HTTP_WASM: HttpWasm,
    NETWORK_WASM: NetworkWasm,
    TYPE_PREFIX + _FILTERS + "http.composite.v3.Composite": Composite,
    TYPE_PREFIX + _FILTERS + "http.cors.v3.Cors": Cors,
    TYPE_PREFIX + _FILTERS + "http.fault.v3.HTTPFault": HttpFault,
    TYPE_PREFIX + _FILTERS + "http.grpc_stats.v3.FilterConfig": GrpcStats,
    TYPE_PREFIX + _FILTERS + "http.local_ratelimit.v3.LocalRateLimit": LocalRateLimit,
    TYPE_PREFIX + _FILTERS + "http.rbac.v3.RBAC": Rbac,
    TYPE_PREFIX + _FILTERS + "http.router.v3.Router": Router,
    TYPE_PREFIX + _FILTERS + "network.http_connection_manager.v3.HttpConnectionManager": HttpConnectionManager,
    TYPE_PREFIX + _FILTERS + "network.rbac.v3.RBAC": NetworkRbac,
}
_TYPE_URLS = {message: type_url for type_url, message in _KNOWN.items()}


def pack(message: Message) -> LibraryAny:
    """The message in the library's Any. Raises KeyError for a type that is not ours to make."""
    return LibraryAny(type_url=_TYPE_URLS[type(message)], value=bytes(message))


def resource(name: str, message: Message, version: str = "") -> Resource:
    """A resource of the message's own type."""
    return Resource(name=name, type_url=_TYPE_URLS[type(message)], body=bytes(message), version=version)


def pack_own(type_url: str, message: OwnMessage) -> ProtoAny:
    """One of our own minimal messages in an Any, under Envoy's name for it. Equal messages give equal bytes."""
    return ProtoAny(type_url=type_url, value=message.SerializeToString(deterministic=True))


def pack_json(config: dict[str, Any]) -> LibraryAny:
    """An Any from its JSON form, "@type" included; field names in either case.

    Raises ValueError for an unknown type or a field that the type lacks.
    """
    fields = dict(config)
    type_url = str(fields.pop("@type", ""))
    message = _KNOWN.get(type_url)
    if message is None:
        raise ValueError(f"no such filter configuration is known: {type_url!r}")
    try:
        return LibraryAny(type_url=type_url, value=bytes(message.from_dict(fields)))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{type_url}: {error}") from error


def to_json(type_url: str, body: bytes, casing: betterproto2.Casing = betterproto2.Casing.SNAKE) -> dict[str, Any]:
    """The resource as JSON with Envoy's field names; base64 where its type is not known.

    Envoy itself writes them in snake case, protobuf's own JSON (and so istiod) in camel case.
    """
    message = _KNOWN.get(type_url)
    try:
        if message is not None:
            return {"@type": type_url, **message.parse(body).to_dict(casing=casing)}
    except (TypeError, ValueError, KeyError, binascii.Error):
        # An Any deeper inside is of a type that the library was not told of: show the bytes.
        pass
    return {"@type": type_url, "value": base64.b64encode(body).decode()}

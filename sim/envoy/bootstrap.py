"""The bootstrap: everything dynamic comes from the agent's socket, plus a listener that answers as the upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.model import Node

_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """What varies. `xds_address` is the agent's `unix:/path` or `host:port`.

    `upstream_port` is where it answers as the upstream, None where another does.
    """

    node: Node
    xds_address: str
    delta: bool
    upstream_port: int | None


def bootstrap(options: BootstrapOptions) -> dict[str, Any]:
    """The bootstrap as JSON data."""
    ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "node": {
            "id": options.node.id,
            "cluster": "higress-gateway",
            "metadata": {"LABELS": options.node.labels, "NAMESPACE": options.node.namespace},
        },
        "admin": {"address": _address("127.0.0.1", 0)},
        "layered_runtime": {
            "layers": [{"name": "ecdsim", "static_layer": {"re2.max_program_size.error_level": 32768}}]
        },
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC" if options.delta else "GRPC",
                "set_node_on_first_message_only": True,
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [_xds_cluster(options.xds_address)],
            "listeners": [] if options.upstream_port is None else [responder(options.upstream_port)],
        },
        "stats_config": {"use_all_default_tags": True},
    }


def responder_bootstrap(port: int) -> dict[str, Any]:
    """The bootstrap of an Envoy that is nothing but the upstream."""
    return {
        "node": {"id": "upstream", "cluster": "upstream"},
        "admin": {"address": _address("127.0.0.1", 0)},
        "static_resources": {"listeners": [responder(port)]},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _xds_cluster(address: str) -> dict[str, Any]:
    if address.startswith("unix:"):
        endpoint: dict[str, Any] = {"pipe": {"path": address.removeprefix("unix:")}}
    else:
        host, _, port = address.rpartition(":")
        endpoint = _address(host, int(port))
    return {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
        },
    }


def responder(port: int) -> dict[str, Any]:
    """A listener that answers 200 by itself: the gateway's upstream, with no other program in the request path."""
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "hello from the upstream\n"}},
    }
    return {
        "name": "upstream",
        "address": _address("127.0.0.1", port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.network."
                            "http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "upstream",
                            "route_config": {
                                "virtual_hosts": [{"name": "upstream", "domains": ["*"], "routes": [route]}]
                            },
                            "http_filters": [_ROUTER],
                        },
                    }
                ]
            }
        ],
    }

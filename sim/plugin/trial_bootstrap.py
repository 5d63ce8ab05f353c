"""The bootstrap of a trial: a static Wasm filter before a route to the echo upstream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.plugin.configuration import Configuration

#: The plugin's name in Envoy's log.
PLUGIN = "trial"

_FILTERS = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `_rules_` see of a request besides its host: the route's name, and the cluster's."""

    route: str = "default"
    cluster: str = "outbound|80||echo.static"


def trial_bootstrap(
    module: Path,
    port: int,
    upstream_port: int,
    configuration: Configuration,
    surroundings: Surroundings,
    *,
    allow_stop_iteration: bool,
) -> dict[str, Any]:
    """The bootstrap as JSON data. `allow_stop_iteration` is what the ABI shim's modules need to wait for a body."""
    plugin: dict[str, Any] = {
        "name": PLUGIN,
        "root_id": configuration.root_id,
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(module)}}},
    }
    if configuration.text:
        plugin["configuration"] = {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration.text,
        }
    if allow_stop_iteration:
        plugin["allow_on_headers_stop_iteration"] = True
    route = {"name": surroundings.route, "match": {"prefix": "/"}, "route": {"cluster": surroundings.cluster}}
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "trial",
        "route_config": {"name": "trial", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": PLUGIN, "typed_config": {"@type": f"{_FILTERS}.http.wasm.v3.Wasm", "config": plugin}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "node": {"id": "trial", "cluster": "trial"},
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [{"name": "trial", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [
                {
                    "name": surroundings.cluster,
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": surroundings.cluster,
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream_port)}}]}],
                    },
                }
            ],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

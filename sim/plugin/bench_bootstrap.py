"""An Envoy with one listener and two routes, of which one has the plugin: as the runtime says, it is on every request's
way or on none's.

Both routes lead to the same upstream over the same connections, and the requests are the same, byte for byte: what is
different is the plugin alone. The plugin comes by ECDS, as in a gateway, here out of a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from sim.envoy import responder_bootstrap
from sim.envoy.wasm_support import with_early_v8
from sim.plugin.configuration import Configuration

#: The plugin's name in Envoy's log, and its filter's.
PLUGIN = "bench"
#: On every response but those that the plugin gives by itself: which way its request took.
SIDE_HEADER = "x-ecdsim-bench"

Side = Literal["with", "none"]

_RUNTIME_KEY = "ecdsim.bench.with"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_CORE = "type.googleapis.com/envoy.config"


def bench_bootstrap(port: int, upstream_port: int, ecds: Path) -> dict[str, Any]:
    """The bootstrap as JSON data. `ecds` is where the plugin's configuration will be; it has to be there by then.

    V8 is set up before the plugin comes, as in a gateway that has plugins already, so that this counts as no plugin's.
    """
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": PLUGIN,
        "route_config": {
            "name": PLUGIN,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [_route("with"), _route("none")]}],
        },
        "http_filters": [
            {
                "name": PLUGIN,
                "config_discovery": {
                    "config_source": {"path_config_source": {"path": str(ecds)}, "resource_api_version": "V3"},
                    "type_urls": [f"{_FILTERS}.http.{kind}" for kind in ("wasm.v3.Wasm", "composite.v3.Composite")],
                },
            },
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": PLUGIN,
        "address": _address(port),
        # Else it is chance how many of the connections each worker gets.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    upstream = responder_bootstrap(upstream_port)
    static = upstream["static_resources"]
    return with_early_v8(
        {
            **upstream,
            "node": {"id": PLUGIN, "cluster": PLUGIN},
            "layered_runtime": {"layers": [{"name": PLUGIN, "admin_layer": {}}]},
            "static_resources": {"listeners": [*static["listeners"], listener], "clusters": [_cluster(upstream_port)]},
        }
    )


def switch(side: Side) -> str:
    """The path of Envoy's admin interface that sends all further requests this way."""
    return f"/runtime_modify?{_RUNTIME_KEY}={100 if side == 'with' else 0}"


def no_plugin() -> dict[str, Any]:
    """What the ECDS file holds at first: a filter that does nothing."""
    return _resource("0", {"@type": f"{_FILTERS}.http.composite.v3.Composite"})


def plugin(module: Path, configuration: Configuration, *, allow_stop_iteration: bool) -> dict[str, Any]:
    """What it holds then. `allow_stop_iteration` is what the ABI shim's modules need to wait for a body."""
    config: dict[str, Any] = {
        "name": PLUGIN,
        "root_id": configuration.root_id,
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(module)}}},
    }
    if configuration.text:
        config["configuration"] = {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration.text,
        }
    if allow_stop_iteration:
        config["allow_on_headers_stop_iteration"] = True
    return _resource("1", {"@type": f"{_FILTERS}.http.wasm.v3.Wasm", "config": config})


def _resource(version: str, filter_config: dict[str, Any]) -> dict[str, Any]:
    extension = {"@type": f"{_CORE}.core.v3.TypedExtensionConfig", "name": PLUGIN, "typed_config": filter_config}
    return {"version_info": version, "resources": [extension]}


def _route(side: Side) -> dict[str, Any]:
    """Of the two the first is taken where the runtime says so, else the second; there the filter is not made at all."""
    route: dict[str, Any] = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": _CLUSTER},
        "response_headers_to_add": [{"header": {"key": SIDE_HEADER, "value": side}}],
    }
    if side == "with":
        route["match"]["runtime_fraction"] = {"default_value": {"numerator": 0}, "runtime_key": _RUNTIME_KEY}
    else:
        route["typed_per_filter_config"] = {
            PLUGIN: {"@type": f"{_CORE}.route.v3.FilterConfig", "disabled": True, "config": {}}
        }
    return route


#: As a service of a gateway is called, for plugins that look at it.
_CLUSTER = "outbound|80||echo.static"


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": _CLUSTER,
        "type": "STATIC",
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

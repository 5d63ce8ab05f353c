"""The listeners that a proxy has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.report.columns import Table
from sim.report.proxy_config.fields import Json, listed, nested, number, text, texts
from sim.report.proxy_config.matches import chain_match, route_match

_HTTP = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"
_BLACK_HOLE = "BlackHoleCluster"


@dataclass(frozen=True, slots=True)
class ListenerFilter:
    """Which listeners are meant; what is not set means every one. `kind`: HTTP, TCP, HTTP+TCP or UNKNOWN."""

    address: str | None = None
    port: int | None = None
    kind: str | None = None

    def takes(self, listener: Json) -> bool:
        return (
            (self.address is None or self.address.lower() in map(str.lower, _addresses(listener)))
            and self.port in (None, _port(listener))
            and (self.kind is None or self.kind.upper() == _kind(listener))
        )


def table(listeners: Sequence[Json]) -> Table:
    """One row a filter chain, by port and address."""
    rows = []
    for listener in sorted(listeners, key=lambda each: (_port(each), _addresses(each)[0], _kind(each))):
        place = (",".join(_addresses(listener)), str(_port(listener)))
        matches = [
            (chain_match(nested(chain, "filter_chain_match")), _destination(listed(chain, "filters")))
            for chain in _chains(listener)
        ]
        # By destination, the last in the alphabet first: the order that istioctl's readers know.
        rows += [(*place, *match) for match in sorted(matches, key=lambda match: match[1], reverse=True)]
    return Table(["ADDRESSES", "PORT", "MATCH", "DESTINATION"], rows)


def _chains(listener: Json) -> list[Json]:
    default = nested(listener, "default_filter_chain")
    return [*listed(listener, "filter_chains"), *([default] if default else [])]


def _addresses(listener: Json) -> list[str]:
    address = nested(listener, "address")
    own = text(nested(address, "socket_address"), "address") or text(nested(address, "pipe"), "path")
    more = [
        text(nested(each, "address", "socket_address"), "address") for each in listed(listener, "additional_addresses")
    ]
    return [own, *more]


def _port(listener: Json) -> int:
    return number(nested(listener, "address", "socket_address"), "port_value")


def _is_black_hole(entry: Json) -> bool:
    return text(nested(entry, "typed_config"), "cluster") == _BLACK_HOLE


def _kind(listener: Json) -> str:
    filters = [entry for chain in _chains(listener) for entry in listed(chain, "filters")]
    kinds = ["HTTP"] if any(text(entry, "name") == _HTTP for entry in filters) else []
    if any(text(entry, "name") == _TCP and not _is_black_hole(entry) for entry in filters):
        kinds.append("TCP")
    return "+".join(kinds) or "UNKNOWN"


def _destination(filters: Sequence[Json]) -> str:
    """Where a chain leads: its routes, or its cluster."""
    for entry in filters:
        held = nested(entry, "typed_config")
        if text(entry, "name") == _HTTP:
            if inline := nested(held, "route_config"):
                return _inline_routes(inline)
            name = text(nested(held, "rds"), "route_config_name")
            return f"Route: {name}" if name else "HTTP"
        if text(entry, "name") == _TCP and not _is_black_hole(entry):
            return _cluster(text(held, "cluster"))
    return "Non-HTTP/Non-TCP"


def _cluster(name: str) -> str:
    # PassthroughCluster and its like say by their name what they are.
    return name if "Cluster" in name else f"Cluster: {name}"


def _inline_routes(configuration: Json) -> str:
    hosts = listed(configuration, "virtual_hosts")
    if len(hosts) == 1 and texts(hosts[0], "domains") == ["*"]:
        routes = listed(hosts[0], "routes")
        if len(routes) == 1 and text(nested(routes[0], "match"), "prefix") == "/":
            cluster = text(nested(routes[0], "route"), "cluster")
            if cluster:
                return _cluster(cluster)
    described = []
    for host in hosts:
        domains = texts(host, "domains")
        matches = ", ".join(route_match(nested(route, "match")) for route in listed(host, "routes"))
        described.append(matches if domains == ["*"] else f"{'/'.join(domains)} {matches}")
    return f"Inline Route: {'; '.join(described)}"

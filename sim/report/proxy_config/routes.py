"""The routes that a proxy has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.report.columns import Table
from sim.report.proxy_config.fields import Json, listed, nested, text, texts
from sim.report.proxy_config.matches import route_match
from sim.report.proxy_config.metadata import origin

_PASSTHROUGH = "PassthroughCluster"
_MOST_DOMAINS = 2


def table(configurations: Sequence[Json]) -> Table:
    """One row a route, in Envoy's order; those that pass everything through are left out."""
    rows = [row for configuration in configurations for row in _rows(configuration)]
    return Table(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], rows)


def _rows(configuration: Json) -> Iterator[tuple[str, ...]]:
    for host in listed(configuration, "virtual_hosts"):
        place = (text(configuration, "name"), text(host, "name"), _domains(texts(host, "domains")))
        routes = listed(host, "routes")
        for route in routes:
            if text(nested(route, "route"), "cluster") != _PASSTHROUGH:
                yield (*place, route_match(nested(route, "match")), origin(route))
        if not routes:
            yield (*place, "/*", "404")


def _domains(domains: Sequence[str]) -> str:
    """The domains without their ports and without the longer spellings of a short one; the first two of many."""
    if len(domains) == 1:
        return domains[0]
    # More than two colons and a bracket at the end: an IPv6 address without a port.
    bare = [name for name in domains if ":" not in name or (name.count(":") > 2 and name.endswith("]"))]
    shorter = set(bare)
    kept = [
        name
        for name in bare
        if not any(
            name.endswith(tail) and name.removesuffix(tail) in shorter for tail in (".svc.cluster.local", ".svc")
        )
    ]
    if len(kept) > _MOST_DOMAINS:
        return f"{', '.join(kept[:_MOST_DOMAINS])} + {len(kept) - _MOST_DOMAINS} more..."
    return ", ".join(kept)

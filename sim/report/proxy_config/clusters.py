"""The clusters that a proxy has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sim.report.columns import Table
from sim.report.proxy_config.fields import Json, nested, text
from sim.report.proxy_config.metadata import origin


@dataclass(frozen=True, slots=True)
class ClusterFilter:
    """Which clusters are meant; what is not set means every one. `fqdn` and `subset` are parts of the name."""

    fqdn: str | None = None
    port: int | None = None
    subset: str | None = None
    direction: str | None = None

    def takes(self, cluster: Json) -> bool:
        name = text(cluster, "name")
        parts = [self.fqdn, self.subset, self.direction, None if self.port is None else f"|{self.port}|"]
        return all(part in name for part in parts if part is not None)


class _Key(NamedTuple):
    """Istio's `direction|port|subset|host`; any other name is a host alone. Sorted as istioctl sorts them."""

    host: str
    subset: str
    port: int
    direction: str


def table(clusters: Sequence[Json]) -> Table:
    """One row a cluster, by host, subset, port and direction."""
    rows = []
    for key, cluster in sorted(((_key(text(each, "name")), each) for each in clusters), key=lambda pair: pair[0]):
        kind = text(cluster, "type") or text(nested(cluster, "cluster_type"), "name") or "STATIC"
        rows.append((key.host, str(key.port or "-"), key.subset or "-", key.direction or "-", kind, origin(cluster)))
    return Table(["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"], rows)


def _key(name: str) -> _Key:
    pieces = name.split("|")
    if len(pieces) != 4 or not pieces[1].isdecimal():
        return _Key(name, "", 0, "")
    direction, port, subset, host = pieces
    return _Key(host, subset, int(port), direction)

"""Nouns that every part shares: xDS type URLs, the MCP kinds, a node's identity, durations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TYPE_PREFIX = "type.googleapis.com/"

CDS = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
EDS = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
RDS = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
ECDS = TYPE_PREFIX + "envoy.config.core.v3.TypedExtensionConfig"

SHORT_NAMES = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS", ECDS: "ECDS"}

HTTP_WASM = TYPE_PREFIX + "envoy.extensions.filters.http.wasm.v3.Wasm"
NETWORK_WASM = TYPE_PREFIX + "envoy.extensions.filters.network.wasm.v3.Wasm"
HTTP_RBAC = TYPE_PREFIX + "envoy.extensions.filters.http.rbac.v3.RBAC"
NETWORK_RBAC = TYPE_PREFIX + "envoy.extensions.filters.network.rbac.v3.RBAC"
HTTP_COMPOSITE = TYPE_PREFIX + "envoy.extensions.filters.http.composite.v3.Composite"

SYSTEM_NAMESPACE = "higress-system"

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_RELEASE = re.compile(r"\d+\.\d+\.\d+([.-]?[a-z0-9]+)*")

#: As Go's time.ParseDuration reads it; µ is two characters that look alike.
_GO_DURATION = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)(?P<unit>ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_GO_SECONDS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, **_SECONDS}
#: Go counts nanoseconds in 64 bits.
_GO_LONGEST_S = (2**63 - 1) / 1e9


def short_name(type_url: str) -> str:
    """`LDS` for the listener's type URL; the last word of any other."""
    return SHORT_NAMES.get(type_url, type_url.rsplit(".", 1)[-1].rsplit("/", 1)[-1])


def parse_duration_s(text: str) -> float:
    """Seconds from `100ms`, `5s`, `1m30s`, `24h`.

    Raises ValueError for anything else, a bare number included: a duration carries its unit.
    """
    total = _sum_s(text, _DURATION, _SECONDS)
    if total is None:
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 100ms, 5s or 1m30s")
    return total


def parse_go_duration_s(text: str) -> float:
    """Seconds from what Go's time.ParseDuration takes and is not negative: `1h30m`, `500us`, `.5s`, `0`.

    For flags and Istio's environment variables; a scenario's durations are `parse_duration_s`'s.
    Raises ValueError for anything else, and for more than the 292 years that Go can count.
    """
    bare = text.removeprefix("+")
    total = 0.0 if bare == "0" else _sum_s(bare, _GO_DURATION, _GO_SECONDS)
    if total is None or total > _GO_LONGEST_S:
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 100ms, 5s or 1h30m")
    return total


def is_release(text: str) -> bool:
    """Whether a text is a program's version, such as 1.36.4, and no path."""
    return _RELEASE.fullmatch(text) is not None


def _sum_s(text: str, pattern: re.Pattern[str], seconds: Mapping[str, float]) -> float | None:
    """The sum of the text's quantities, None when something else is in it."""
    total, position = 0.0, 0
    for match in pattern.finditer(text):
        if match.start() != position:
            break
        total += float(match["number"]) * seconds[match["unit"]]
        position = match.end()
    return total if text and position == len(text) else None


@dataclass(frozen=True, slots=True)
class Node:
    """An Envoy node as Istio names it: `router~<ip>~<pod>.<namespace>~<namespace>.svc.cluster.local`."""

    id: str
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The proxy's configuration namespace, the empty string where the ID is not Istio's."""
        parts = self.id.split("~")
        return parts[2].rpartition(".")[2] if len(parts) == 4 else ""

    @property
    def host(self) -> str:
        """The proxy's own IP address, the empty string where the ID is not Istio's."""
        parts = self.id.split("~")
        return parts[1] if len(parts) == 4 else ""


def gateway_node(name: str = "gateway-1", host: str = "127.0.0.1", labels: Mapping[str, str] | None = None) -> Node:
    """The identity of a gateway proxy of a run; `labels` come on top of the Higress gateway's own."""
    return Node(
        id=f"router~{host}~{name}.{SYSTEM_NAMESPACE}~{SYSTEM_NAMESPACE}.svc.cluster.local",
        labels={"higress": f"{SYSTEM_NAMESPACE}-higress-gateway", **(labels or {})},
    )

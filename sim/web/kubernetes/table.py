"""Lists as tables, as `kubectl get` prints them: the columns are the server's.

Follows k8s.io/kubernetes (pkg/printers/internalversion/printers.go) and, for custom resources, the
`additionalPrinterColumns` of Higress' and Istio's CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sim.web.kubernetes.resources import EVENTS, INGRESSES, NAMESPACES, SECRETS, SERVICES, Resource

_NONE = "<none>"
_SHOWN_HOSTS = 3
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Column:
    """`priority` 1 is shown by `-o wide` alone."""

    name: str
    description: str
    type: str = "string"
    format: str = ""
    priority: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


_NAME = Column("Name", "What the object is called; unique in its namespace", format="name")
_AGE = Column("Age", "How long ago the object was created")
_CREATED = Column("Age", "How long ago the object was created", type="date")


def as_table(
    objects: Sequence[dict[str, Any]],
    resource: Resource,
    metadata: dict[str, Any],
    include: str,
    *,
    definitions: bool = True,
) -> dict[str, Any]:
    """`include` is the query's `includeObject`: `None`, `Metadata` (the default) or `Object`."""
    columns, cells = _columns(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.as_json() for column in columns] if definitions else None,
        "rows": [{"cells": cells(found), "object": _included(found, include)} for found in objects],
    }


def as_partial(content: dict[str, Any]) -> dict[str, Any]:
    """Its metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": content["metadata"]}


def _included(content: dict[str, Any], include: str) -> dict[str, Any] | None:
    return None if include == "None" else content if include == "Object" else as_partial(content)


def human_duration(age: timedelta) -> str:
    """`5s`, `2m30s`, `12m`, `3h5m`, `9h`, `2d4h`, `12d`, `3y`, as kubectl has it."""
    seconds = int(age.total_seconds())
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    for below, unit, letter, smaller, small_letter, whole_from in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s", 2 * _MINUTE),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m", 3 * _HOUR),
        (8 * _DAY, _DAY, "d", _HOUR, "h", 2 * _DAY),
    ):
        if seconds < whole_from:
            # Two of a unit are needed before it is used.
            return f"{seconds // smaller}{small_letter}"
        if seconds < below:
            rest = seconds % unit // smaller
            return f"{seconds // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    days = seconds // _DAY
    if days < 2 * 365:
        return f"{days}d"
    rest = days % 365 if days < 8 * 365 else 0
    return f"{days // 365}y" + (f"{rest}d" if rest else "")


def _age(content: dict[str, Any]) -> str:
    created = datetime.fromisoformat(content["metadata"]["creationTimestamp"])
    return human_duration(datetime.now(UTC) - created)


_Cells = Callable[[dict[str, Any]], list[Any]]


def _columns(resource: Resource) -> tuple[tuple[Column, ...], _Cells]:
    known = {
        INGRESSES.kind: (_INGRESS, _ingress_cells),
        SERVICES.kind: (_SERVICE, _service_cells),
        SECRETS.kind: (_SECRET, _secret_cells),
        NAMESPACES.kind: (_NAMESPACE, _namespace_cells),
        EVENTS.kind: (_EVENT, lambda found: []),
    }
    return known.get(resource.kind, ((_NAME, _CREATED), lambda found: [found["metadata"]["name"], _age(found)]))


_INGRESS = (
    _NAME,
    Column("Class", "The IngressClass that handles it"),
    Column("Hosts", "The hosts that it routes"),
    Column("Address", "Where its load balancer is"),
    Column("Ports", "The ports that its hosts are served on"),
    _AGE,
)
_SERVICE = (
    _NAME,
    Column("Type", "How the service is reached"),
    Column("Cluster-IP", "Its address inside of the cluster"),
    Column("External-IP", "Its addresses outside of the cluster"),
    Column("Port(s)", "Its ports and their protocols"),
    _AGE,
    Column("Selector", "The labels of the pods that it sends traffic to", priority=1),
)
_SECRET = (_NAME, Column("Type", "What the secret is for"), Column("Data", "How many values it holds"), _AGE)
_NAMESPACE = (_NAME, Column("Status", "Whether it is in use or going away"), _AGE)
_EVENT = (
    Column("Last Seen", "When it was seen last"),
    Column("Type", "Normal or Warning"),
    Column("Reason", "Why, in a word"),
    Column("Object", "What it is about"),
    Column("Message", "What happened"),
)


def _ingress_cells(found: dict[str, Any]) -> list[Any]:
    spec = found["spec"]
    hosts = [rule["host"] for rule in spec.get("rules") or [] if rule.get("host")]
    shown = ",".join(hosts[:_SHOWN_HOSTS]) or "*"
    if len(hosts) > _SHOWN_HOSTS:
        shown += f" + {len(hosts) - _SHOWN_HOSTS} more..."
    ports = "80, 443" if spec.get("tls") else "80"
    return [found["metadata"]["name"], spec.get("ingressClassName") or _NONE, shown, "", ports, _age(found)]


def _service_cells(found: dict[str, Any]) -> list[Any]:
    spec = found["spec"]
    kind = spec["type"]
    external = {"ExternalName": spec.get("externalName") or _NONE, "LoadBalancer": "<pending>"}.get(kind, _NONE)
    if spec.get("externalIPs") and kind != "ExternalName":
        external = ",".join(spec["externalIPs"])
    ports = [
        f"{port.get('port')}" + (f":{port['nodePort']}" if port.get("nodePort") else "") + f"/{port['protocol']}"
        for port in spec.get("ports") or []
    ]
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    return [
        found["metadata"]["name"],
        kind,
        spec.get("clusterIP") or _NONE,
        external,
        ",".join(ports) or _NONE,
        _age(found),
        selector or _NONE,
    ]


def _secret_cells(found: dict[str, Any]) -> list[Any]:
    return [found["metadata"]["name"], found["type"], len(found.get("data") or {}), _age(found)]


def _namespace_cells(found: dict[str, Any]) -> list[Any]:
    return [found["metadata"]["name"], found["status"]["phase"], _age(found)]

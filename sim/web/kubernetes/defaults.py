"""An object as the API server would have stored it: a Secret's plain texts encoded, the defaults of Kubernetes' kinds.

Both objects that came through this API and those that came from a file are read through here, so it may see its own
result again. Custom resources have no defaults.
"""

from __future__ import annotations

import base64
from typing import Any

from sim.web.kubernetes.resources import INGRESSES, NAMESPACES, SECRETS, SERVICES, Resource

_NAME_LABEL = "kubernetes.io/metadata.name"


def with_defaults(content: dict[str, Any], resource: Resource) -> dict[str, Any]:
    if resource is SECRETS:
        return _secret(content)
    if resource is SERVICES:
        return {**content, "spec": _service_spec(content.get("spec") or {}), "status": {"loadBalancer": {}}}
    if resource is INGRESSES:
        return {**content, "spec": content.get("spec") or {}, "status": {"loadBalancer": {}}}
    if resource is NAMESPACES:
        metadata = content["metadata"]
        labels = {**(metadata.get("labels") or {}), _NAME_LABEL: metadata.get("name") or ""}
        metadata = {**metadata, "labels": labels}
        return {**content, "metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return content


def _secret(content: dict[str, Any]) -> dict[str, Any]:
    plain = content.get("stringData") or {}
    data = {key: value or "" for key, value in (content.get("data") or {}).items()}
    data |= {key: base64.b64encode((value or "").encode()).decode() for key, value in plain.items()}
    rest = {key: value for key, value in content.items() if key not in ("data", "stringData") and value is not None}
    return {**rest, **({"data": data} if data else {}), "type": content.get("type") or "Opaque"}


def _service_spec(spec: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "type": "ClusterIP"}
    if spec.get("type") == "ExternalName":
        del defaults["internalTrafficPolicy"]
    whole = {**defaults, **{key: value for key, value in spec.items() if value is not None}}
    if ports := whole.pop("ports", None):
        whole["ports"] = [_port(port) for port in ports]
    return whole


def _port(port: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in port.items() if value is not None}
    target = {"targetPort": kept["port"]} if "port" in kept and not kept.get("targetPort") else {}
    return {"protocol": "TCP", **kept, **target}

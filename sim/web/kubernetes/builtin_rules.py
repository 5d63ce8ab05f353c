"""What Kubernetes asks of an Ingress, a Service and a Secret, beyond the types of their fields.

Follows k8s.io/kubernetes (pkg/apis/networking/validation, pkg/apis/core/validation), as far as `sim.manifests`
knows the fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sim.manifests.document import Path
from sim.manifests.schema import Fields, Integer, Items, Shape, Text
from sim.web.kubernetes.names import SUBDOMAIN, SUBDOMAIN_WORDS
from sim.web.kubernetes.resources import INGRESSES, SECRETS, SERVICES, Resource
from sim.web.kubernetes.status import (
    Cause,
    field_forbidden,
    invalid_value,
    not_supported,
    required,
)

_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_CONFIG_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
#: What a Secret of a type has to hold.
_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_IMMUTABLE = "field is immutable"


def builtin_causes(content: dict[str, Any], resource: Resource) -> Iterator[Cause]:
    """What is wrong with an object of Kubernetes' own, metadata aside. Its defaults are set already."""
    spec = content.get("spec") or {}
    yield from _field_causes(content, resource.shape, ())
    if resource is INGRESSES:
        if not spec.get("rules") and not spec.get("defaultBackend"):
            yield Cause(
                "spec",
                "FieldValueInvalid",
                "Invalid value: []networking.IngressRule(nil): either `defaultBackend` or `rules` must be specified",
            )
        yield from _ingress_causes(spec)
    elif resource is SERVICES:
        yield from _service_causes(spec)
    elif resource is SECRETS:
        yield from _secret_causes(content)


def update_causes(before: dict[str, Any], after: dict[str, Any], resource: Resource) -> Iterator[Cause]:
    """What may not be changed, and was."""
    if resource is not SECRETS:
        return
    if before.get("type") != after.get("type"):
        yield invalid_value(("type",), after.get("type"), _IMMUTABLE)
    if before.get("immutable"):
        words = "field is immutable when `immutable` is set"
        for key in ("immutable", "data"):
            if before.get(key) != after.get(key):
                yield field_forbidden((key,), words)


def _ingress_causes(spec: dict[str, Any]) -> Iterator[Cause]:
    if spec.get("defaultBackend"):
        yield from _backend_causes(spec["defaultBackend"], ("spec", "defaultBackend"))
    for index, rule in enumerate(spec.get("rules") or []):
        at: Path = ("spec", "rules", index)
        host = rule.get("host") or ""
        if host and re.fullmatch(SUBDOMAIN, host.removeprefix("*.")) is None:
            yield invalid_value((*at, "host"), host, SUBDOMAIN_WORDS)
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            yield required((*at, "http", "paths"))
        for number, entry in enumerate(http.get("paths") or []):
            here: Path = (*at, "http", "paths", number)
            if entry.get("pathType") is None:
                yield required((*here, "pathType"), "pathType must be specified")
            elif entry["pathType"] in ("Exact", "Prefix") and not (entry.get("path") or "").startswith("/"):
                yield invalid_value((*here, "path"), entry.get("path") or "", "must be an absolute path")
            yield from _backend_causes(entry.get("backend") or {}, (*here, "backend"))


def _backend_causes(backend: dict[str, Any], at: Path) -> Iterator[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is None and resource is None:
        yield required(at, "resource or service must be specified" if not backend else "")
    elif service is not None and resource is not None:
        yield invalid_value(at, "", "cannot set both resource and service backends")
    elif service is not None:
        if not service.get("name"):
            yield required((*at, "service", "name"))
        port = service.get("port") or {}
        if not port.get("name") and not port.get("number"):
            yield required(at, "port name or number is required")


def _service_causes(spec: dict[str, Any]) -> Iterator[Cause]:
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required(("spec", "ports"))
    for index, port in enumerate(ports):
        at: Path = ("spec", "ports", index)
        if len(ports) > 1 and not port.get("name"):
            yield required((*at, "name"))
        target = port.get("targetPort")
        if isinstance(target, int) and not 1 <= target <= 65535:
            yield invalid_value((*at, "targetPort"), target, "must be between 1 and 65535, inclusive")


def _secret_causes(content: dict[str, Any]) -> Iterator[Cause]:
    data = content.get("data") or {}
    for key in data:
        if re.fullmatch(_CONFIG_KEY, key) is None:
            yield Cause(f"data[{key}]", "FieldValueInvalid", invalid_value((), key, _CONFIG_KEY_WORDS).message)
    for key in _SECRET_KEYS.get(content.get("type") or "", ()):
        if key not in data:
            yield Cause(f"data[{key}]", "FieldValueRequired", "Required value")


def _field_causes(value: Any, shape: Shape, path: Path) -> Iterator[Cause]:
    """Words that are not among a field's own, and numbers that are too high; types are right already."""
    if value is None:
        return
    match shape:
        case Fields():
            for key, inner in value.items():
                if key in shape.known and (path or key != "metadata"):
                    yield from _field_causes(inner, shape.known[key], (*path, key))
        case Items():
            for index, item in enumerate(value):
                yield from _field_causes(item, shape.of, (*path, index))
        case Text() if shape.values and value not in shape.values:
            yield not_supported(path, value, sorted(shape.values))
        case Integer() if not shape.lowest <= value <= shape.highest:
            yield invalid_value(path, value, f"must be between {shape.lowest} and {shape.highest}, inclusive")

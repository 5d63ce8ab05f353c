"""Objects on their way between clients and the store: what a request is about, what is stored, what would be."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sim.core import Key
from sim.errors import InvalidInput
from sim.manifests import DEFAULT_NAMESPACE, Manifest, manifest_from
from sim.web.kubernetes.defaults import with_defaults
from sim.web.kubernetes.managed_fields import Ownership, as_managed_fields
from sim.web.kubernetes.namespaces import namespace_manifest
from sim.web.kubernetes.resources import NAMESPACES, Resource
from sim.web.kubernetes.shelf import timestamp
from sim.web.kubernetes.status import ApiError, Cause, conflict, invalid, not_found

#: What the server alone writes. A client's are ignored, or, for some, compared.
SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


@dataclass(frozen=True, slots=True)
class Written:
    """The object as it is now, or would be; `warnings` are for the client."""

    content: dict[str, Any]
    created: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about. `name` is empty for a whole collection, `namespace` where there is none."""

    resource: Resource
    namespace: str
    name: str = ""

    @property
    def key(self) -> Key:
        return Key(self.resource.api_version, self.resource.kind, self.namespace or DEFAULT_NAMESPACE, self.name)

    def not_found(self) -> ApiError:
        return not_found(self.resource.group, self.resource.plural, self.name)

    def conflict(self, *why: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, self.name, *why)


def authored(content: dict[str, Any]) -> dict[str, Any]:
    """The object without what the server alone writes."""
    metadata = {key: value for key, value in (content.get("metadata") or {}).items() if key not in SERVER_METADATA}
    return {**content, "metadata": metadata}


def storable(content: dict[str, Any], target: Target) -> Manifest:
    """What is stored: as its author would have written it. Raises ApiError where `sim.manifests` refuses it."""
    drop = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
    metadata = {
        key: value for key, value in content["metadata"].items() if key not in drop and value not in (None, {}, [])
    }
    text = {key: value for key, value in content.items() if key != "status"} | {"metadata": metadata}
    if target.resource is NAMESPACES:
        return namespace_manifest(text)
    try:
        return manifest_from(text, "kubectl")
    except InvalidInput as error:
        field = (error.where.key if error.where else None) or "<nil>"
        cause = Cause(field, "FieldValueInvalid", error.message)
        raise invalid(target.resource.group, target.resource.kind, target.name, [cause]) from error


def would_be(text: dict[str, Any], owners: Ownership, live: dict[str, Any] | None, target: Target) -> dict[str, Any]:
    """The object as it would be shown, were it stored."""
    content = with_defaults(text, target.resource)
    metadata = dict(content["metadata"])
    if live is None:
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        generation = 1
    else:
        known = live["metadata"]
        metadata |= {key: known[key] for key in ("uid", "creationTimestamp", "resourceVersion")}
        keys = {*content, *live} - {"metadata", "status"}
        generation = known.get("generation", 1) + any(content.get(key) != live.get(key) for key in keys)
    if target.resource.generations:
        metadata["generation"] = generation
    if owners:
        metadata["managedFields"] = as_managed_fields(owners)
    return {**content, "metadata": metadata}


def now() -> str:
    return timestamp(datetime.now(UTC))

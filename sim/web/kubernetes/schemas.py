"""The shapes of `sim.manifests` as OpenAPI schemas, in the two dialects that kubectl validates by.

Version 2 differs as k8s.io/apiextensions-apiserver (pkg/controller/openapi/v2/conversion.go) has it: what may hold
anything has no type, as older kubectl would refuse every key in it. A custom resource is one schema; Kubernetes' own
kinds are split by their Go structs, whose names kubectl prints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sim.manifests.kinds import METADATA
from sim.manifests.schema import (
    Boolean,
    Fields,
    Free,
    Integer,
    IntOrText,
    Items,
    Shape,
    Text,
    TextMap,
    Unchecked,
)
from sim.web.kubernetes.decode import struct_name
from sim.web.kubernetes.descriptions import description
from sim.web.kubernetes.resources import Names, Resource
from sim.web.kubernetes.validation import anchored

Version = Literal[2, 3]
Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
OBJECT_META = f"{_META}.ObjectMeta"
LIST_META = f"{_META}.ListMeta"
DELETE_OPTIONS = f"{_META}.DeleteOptions"
STATUS = f"{_META}.Status"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
#: The types of the fields that are known by name and not looked into.
_UNCHECKED: dict[str, Schema] = {
    "creationTimestamp": _TIME,
    "deletionTimestamp": _TIME,
    "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
    "generation": {"type": "integer", "format": "int64"},
    "finalizers": _TEXTS | {"x-kubernetes-patch-strategy": "merge"},
    "generateName": _TEXT,
    "managedFields": {"type": "array", "items": {"type": "object"}},
    "ownerReferences": {
        "type": "array",
        "items": {"type": "object"},
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": "uid",
    },
    "resourceVersion": _TEXT,
    "selfLink": _TEXT,
    "uid": _TEXT,
    "allocateLoadBalancerNodePorts": {"type": "boolean"},
    "clusterIPs": _TEXTS,
    "externalIPs": _TEXTS,
    "externalTrafficPolicy": _TEXT,
    "healthCheckNodePort": {"type": "integer", "format": "int32"},
    "internalTrafficPolicy": _TEXT,
    "ipFamilies": _TEXTS,
    "ipFamilyPolicy": _TEXT,
    "loadBalancerClass": _TEXT,
    "loadBalancerIP": _TEXT,
    "loadBalancerSourceRanges": _TEXTS,
    "publishNotReadyAddresses": {"type": "boolean"},
    "sessionAffinity": _TEXT,
    "trafficDistribution": _TEXT,
}


def definition_name(group: str, version: str, kind: str) -> str:
    """`io.higress.extensions.v1alpha1.WasmPlugin`, `io.k8s.api.networking.v1.Ingress`"""
    if not group or group.endswith(".k8s.io"):
        return f"io.k8s.api.{group.removesuffix('.k8s.io') or 'core'}.{version}.{kind}"
    return ".".join([*reversed(group.split(".")), version, kind])


@dataclass(slots=True)
class Definitions:
    """Schemas by name, as one document has them."""

    version: Version
    schemas: dict[str, Schema] = field(default_factory=dict)

    def ref(self, name: str, text: str | None = None) -> Schema:
        where = "#/definitions/" if self.version == 2 else "#/components/schemas/"
        if self.version == 2 or text is None:
            return {"$ref": where + name} | ({"description": text} if text else {})
        # OpenAPI 3 ignores whatever stands beside a $ref.
        return {"allOf": [{"$ref": where + name}], "description": text}

    def add(self, resource: Resource) -> None:
        """The schemas of its objects, and of their lists."""
        self._add_common()
        name = definition_name(resource.group, resource.version, resource.kind)
        schema = self._object(resource, resource.shape, ())
        schema["x-kubernetes-group-version-kind"] = [_gvk(resource, resource.kind)]
        self.schemas[name] = schema
        self.schemas[definition_name(resource.group, resource.version, resource.list_kind)] = {
            "type": "object",
            "description": f"Several objects of kind {resource.kind}.",
            "required": ["items"],
            "properties": {
                "apiVersion": _TEXT,
                "items": {"type": "array", "items": self.ref(name)},
                "kind": _TEXT,
                "metadata": self.ref(LIST_META),
            },
            "x-kubernetes-group-version-kind": [_gvk(resource, resource.list_kind)],
        }

    def _add_common(self) -> None:
        if OBJECT_META in self.schemas:
            return
        self.schemas[LIST_META] = _texts("continue", "resourceVersion", "selfLink")
        self.schemas[LIST_META]["properties"]["remainingItemCount"] = {"type": "integer", "format": "int64"}
        self.schemas[STATUS] = _texts("apiVersion", "kind", "message", "reason", "status")
        self.schemas[STATUS]["properties"] |= {
            "code": {"type": "integer", "format": "int32"},
            "details": {"type": "object"},
        }
        self.schemas[DELETE_OPTIONS] = _texts("apiVersion", "kind", "propagationPolicy")
        self.schemas[DELETE_OPTIONS]["properties"] |= {
            "dryRun": _TEXTS,
            "gracePeriodSeconds": {"type": "integer", "format": "int64"},
            "preconditions": _texts("resourceVersion", "uid"),
        }
        self.schemas[_INT_OR_STRING] = {"type": "string", "format": "int-or-string"}
        properties = {
            key: self._described(self._of(None, shape, ("metadata", key)), None, ("metadata", key))
            for key, shape in METADATA.known.items()
        }
        self.schemas[OBJECT_META] = {
            "type": "object",
            "description": "What every object has beside its content.",
            "properties": properties,
        }

    def _object(self, resource: Resource, shape: Fields, path: Names) -> Schema:
        properties: dict[str, Schema] = {}
        for key, inner in shape.known.items():
            here = (*path, key)
            if here == ("metadata",):
                properties[key] = self.ref(OBJECT_META, description(resource.group, resource.kind, here))
            else:
                properties[key] = self._described(self._of(resource, inner, here), resource, here)
        schema: Schema = {"type": "object", "properties": properties}
        required = [key for key in shape.required if not _any_type(shape.known.get(key), self.version)]
        if required:
            schema["required"] = required
        return self._described(schema, resource, path)

    def _of(self, resource: Resource | None, shape: Shape, path: Names) -> Schema:
        custom = resource is not None and resource.custom
        match shape:
            case Fields():
                assert resource is not None
                if custom:
                    return self._object(resource, shape, path)
                name = definition_name(resource.group, resource.version, struct_name(path, resource))
                self.schemas[name] = self._object(resource, shape, path)
                return self.ref(name)
            case Items():
                schema: Schema = {"type": "array", "items": self._of(resource, shape.of, path)}
                if resource is not None and not custom and path in resource.lists:
                    schema["x-kubernetes-patch-strategy"] = "merge"
                    schema["x-kubernetes-patch-merge-key"] = resource.lists[path][0]
                return schema
            case TextMap():
                return {"type": "object", "additionalProperties": _TEXT}
            case Free():
                return _anything(self.version)
            case Unchecked():
                return dict(_UNCHECKED.get(path[-1], {} if not custom else _anything(self.version)))
            case IntOrText():
                return self.ref(_INT_OR_STRING)
        return _plain(shape, self.version, custom=custom)

    def _described(self, schema: Schema, resource: Resource | None, path: Names) -> Schema:
        group, kind = (resource.group, resource.kind) if resource else ("", "")
        text = description(group, kind, path)
        if text is None or "description" in schema:
            return schema
        if "$ref" in schema:
            return self.ref(schema["$ref"].rpartition("/")[2], text)
        return {**schema, "description": text}


def _plain(shape: Shape, version: Version, *, custom: bool) -> Schema:
    schema: Schema = {}
    match shape:
        case Text():
            schema["type"] = "string"
            if shape.values:
                schema["enum"] = list(shape.values)
            if shape.nonempty and version == 3:
                schema["minLength"] = 1
            if shape.pattern is not None and custom:
                schema["pattern"] = anchored(shape.pattern)
        case Integer():
            if shape.nullable and version == 2:
                return {}
            schema["type"] = "integer"
            schema["format"] = "int32"
            if shape.nullable:
                schema["nullable"] = True
        case Boolean():
            schema["type"] = "boolean"
    return schema


def _anything(version: Version) -> Schema:
    free: Schema = {"x-kubernetes-preserve-unknown-fields": True}
    return free if version == 2 else {"type": "object", **free}


def _any_type(shape: Shape | None, version: Version) -> bool:
    return version == 2 and isinstance(shape, Integer) and shape.nullable


def _texts(*names: str) -> Schema:
    return {"type": "object", "properties": dict.fromkeys(names, _TEXT)}


def _gvk(resource: Resource, kind: str) -> dict[str, str]:
    return {"group": resource.group, "kind": kind, "version": resource.version}

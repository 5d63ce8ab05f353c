"""`/openapi/v2` and `/openapi/v3`: what kubectl validates manifests by, explains fields with, and learns from which
queries the server knows (`dryRun`, `fieldValidation`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from sim.web.kubernetes.resources import NAMESPACES, RESOURCES, Resource
from sim.web.kubernetes.schemas import DELETE_OPTIONS, STATUS, Definitions, Version, definition_name
from sim.web.kubernetes.version import GIT_VERSION

_INFO = {"title": "Kubernetes", "version": GIT_VERSION}
_WRITE_QUERIES = {
    "dryRun": "All: answer as if, and change nothing.",
    "fieldManager": "Who changes the object.",
    "fieldValidation": "What to do about unknown fields: Ignore, Warn or Strict.",
}
_FORCE = {"force": "Take fields away from those who own them."}
_LIST_QUERIES = {
    "allowWatchBookmarks": "Ask for bookmarks in a watch.",
    "continue": "Where the list before this one ended.",
    "fieldSelector": "Which objects, by their fields.",
    "labelSelector": "Which objects, by their labels.",
    "limit": "How many objects at once.",
    "resourceVersion": "From which change on.",
    "resourceVersionMatch": "How resourceVersion is meant.",
    "timeoutSeconds": "When a watch ends.",
    "watch": "Tell changes as they happen.",
}
_DELETE_QUERIES = {
    "dryRun": "All: answer as if, and change nothing.",
    "gracePeriodSeconds": "Nothing here takes time to stop.",
    "propagationPolicy": "What becomes of objects that depend on this one.",
}
_CUSTOM_PATCHES = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
_BUILTIN_PATCHES = [*_CUSTOM_PATCHES, "application/strategic-merge-patch+json"]


@cache
def openapi_v2() -> dict[str, Any]:
    definitions = Definitions(2)
    paths: dict[str, Any] = {}
    for resource in RESOURCES:
        definitions.add(resource)
        paths |= dict(_paths(resource, definitions))
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions.schemas}


def api_path(api_version: str) -> str:
    """`apis/extensions.higress.io/v1alpha1`, `api/v1`"""
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


@cache
def openapi_v3(path: str) -> dict[str, Any] | None:
    """The document of one API version, by its path; None where there is none."""
    found = [resource for resource in RESOURCES if api_path(resource.api_version) == path]
    if not found:
        return None
    definitions = Definitions(3)
    paths: dict[str, Any] = {}
    for resource in found:
        definitions.add(resource)
        paths |= dict(_paths(resource, definitions))
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": definitions.schemas}}


def openapi_v3_index(prefix: str) -> dict[str, Any]:
    """Where the documents are; `prefix` is what stands before `/openapi` in this server's paths."""
    paths = {}
    for path in dict.fromkeys(api_path(resource.api_version) for resource in RESOURCES):
        text = json.dumps(openapi_v3(path), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest().upper()
        paths[path] = {"serverRelativeURL": f"{prefix}/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def _paths(resource: Resource, definitions: Definitions) -> Iterator[tuple[str, dict[str, Any]]]:
    root = f"/{api_path(resource.api_version)}"
    collection = (
        f"{root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{root}/{resource.plural}"
    )
    if resource.namespaced:
        yield f"{root}/{resource.plural}", {"get": _operation(resource, "list", definitions, everywhere=True)}
    verbs = {"get": "list", "post": "create", "delete": "deletecollection"}
    yield collection, _operations(resource, verbs, definitions, in_namespace=resource.namespaced)
    verbs = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
    yield (
        f"{collection}/{{name}}",
        _operations(resource, verbs, definitions, in_namespace=resource.namespaced, named=True),
    )


def _operations(
    resource: Resource, verbs: dict[str, str], definitions: Definitions, *, in_namespace: bool, named: bool = False
) -> dict[str, Any]:
    path_names = (["name"] if named else []) + (["namespace"] if in_namespace else [])
    item: dict[str, Any] = {
        method: _operation(resource, verb, definitions) for method, verb in verbs.items() if verb in resource.verbs
    }
    if path_names:
        item["parameters"] = [_parameter(name, "path", definitions.version) for name in path_names]
    return item


def _operation(resource: Resource, verb: str, definitions: Definitions, *, everywhere: bool = False) -> dict[str, Any]:
    version = definitions.version
    queries = {
        "list": _LIST_QUERIES,
        "deletecollection": _LIST_QUERIES | _DELETE_QUERIES,
        "delete": _DELETE_QUERIES,
        "create": _WRITE_QUERIES,
        "update": _WRITE_QUERIES,
        "patch": _WRITE_QUERIES | _FORCE,
    }.get(verb, {})
    name = definition_name(resource.group, resource.version, resource.kind)
    answer = {
        "list": definition_name(resource.group, resource.version, resource.list_kind),
        "delete": name if resource is NAMESPACES else STATUS,
        "deletecollection": STATUS,
    }.get(verb, name)
    bodies = {"create": name, "update": name, "delete": DELETE_OPTIONS}
    scope = "AllNamespaces" if everywhere else "Namespaced" if resource.namespaced else ""
    group = "".join(part.capitalize() for part in (resource.group.partition(".")[0] or "core", resource.version))
    operation: dict[str, Any] = {
        "operationId": f"{verb}{group}{scope}{resource.kind}",
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "kind": resource.kind,
            "version": resource.version,
        },
        "parameters": [_parameter(query, "query", version, text) for query, text in queries.items()],
    }
    consumed = ["application/json", "application/yaml"]
    if verb == "patch":
        consumed = _CUSTOM_PATCHES if resource.custom else _BUILTIN_PATCHES
    body = definitions.ref(bodies[verb]) if verb in bodies else {"type": "object"} if verb == "patch" else None
    response: dict[str, Any] = {"description": "OK"}
    if version == 2:
        operation |= {"consumes": consumed, "produces": ["application/json", "application/yaml"]}
        if body is not None:
            operation["parameters"].append({"name": "body", "in": "body", "required": verb != "delete", "schema": body})
        response["schema"] = definitions.ref(answer)
    else:
        if body is not None:
            operation["requestBody"] = {"content": {media_type: {"schema": body} for media_type in consumed}}
        response["content"] = {"application/json": {"schema": definitions.ref(answer)}}
    operation["responses"] = {"200": response}
    return operation


def _parameter(name: str, where: str, version: Version, text: str = "") -> dict[str, Any]:
    kind = "integer" if name in ("limit", "timeoutSeconds", "gracePeriodSeconds") else "string"
    if name in ("watch", "force", "allowWatchBookmarks"):
        kind = "boolean"
    parameter: dict[str, Any] = {"name": name, "in": where}
    if text:
        parameter["description"] = text
    if where == "path":
        parameter["required"] = True
    return parameter | ({"type": kind} if version == 2 else {"schema": {"type": kind}})

"""What this API has, as clients discover it: groups, versions, resources; one by one, or all in two answers.

The latter is aggregated discovery (apidiscovery.k8s.io/v2), which kubectl asks for from 1.27 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.web.kubernetes.resources import RESOURCES, Resource

AGGREGATED = "APIGroupDiscoveryList"


def api_versions(address: str) -> dict[str, Any]:
    """`/api`"""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list() -> dict[str, Any]:
    """`/apis`"""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}


def group(name: str) -> dict[str, Any] | None:
    """`/apis/<group>`"""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in _groups() else None


def resource_list(api_version: str) -> dict[str, Any] | None:
    """`/apis/<group>/<version>` and `/api/v1`"""
    found = [resource for resource in RESOURCES if resource.api_version == api_version]
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": [_resource(resource) for resource in found],
    }


def aggregated(version: str, *, core: bool) -> dict[str, Any]:
    """All groups but the core one, or that one alone; `version` is `v2` or `v2beta1`."""
    groups: Sequence[str] = [""] if core else _groups()
    return {
        "kind": AGGREGATED,
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated_group(name) for name in groups],
    }


def _groups() -> list[str]:
    return list(dict.fromkeys(resource.group for resource in RESOURCES if resource.group))


def _versions(name: str) -> list[str]:
    return list(dict.fromkeys(resource.version for resource in RESOURCES if resource.group == name))


def _group(name: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource(resource: Resource) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        described["shortNames"] = list(resource.short_names)
    if resource.categories:
        described["categories"] = list(resource.categories)
    return described


def _aggregated_group(name: str) -> dict[str, Any]:
    versions = [
        {
            "version": version,
            "freshness": "Current",
            "resources": [
                _aggregated_resource(resource)
                for resource in RESOURCES
                if (resource.group, resource.version) == (name, version)
            ],
        }
        for version in _versions(name)
    ]
    return {"metadata": {"name": name, "creationTimestamp": None} if name else {}, "versions": versions}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    described: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        described["shortNames"] = list(resource.short_names)
    if resource.categories:
        described["categories"] = list(resource.categories)
    return described

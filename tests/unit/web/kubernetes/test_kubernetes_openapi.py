"""The OpenAPI documents, beside what kubectl makes of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sim.manifests.schema import Fields, Shape
from sim.proto_gen.openapi_v2_pb2 import Document
from sim.web.kubernetes.gnostic import openapi_v2_protobuf
from sim.web.kubernetes.openapi import api_path, openapi_v2, openapi_v3, openapi_v3_index
from sim.web.kubernetes.resources import HIGRESS_PLUGINS, ISTIO_PLUGINS, RESOURCES, Resource

PLUGIN = "io.higress.extensions.v1alpha1.WasmPlugin"


@pytest.mark.parametrize("path", [None, *sorted({api_path(resource.api_version) for resource in RESOURCES})])
def test_every_reference_leads_somewhere(path: str | None) -> None:
    document: Any = openapi_v2() if path is None else openapi_v3(path)
    schemas = document["definitions"] if path is None else document["components"]["schemas"]
    where = "#/definitions/" if path is None else "#/components/schemas/"
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert references
    assert references == {where + name for name in schemas} & references


def test_older_kubectl_lets_pass_what_may_hold_anything() -> None:
    spec = openapi_v2()["definitions"][PLUGIN]["properties"]["spec"]["properties"]
    assert "type" not in spec["defaultConfig"]
    assert "type" not in spec["priority"]
    assert spec["matchRules"]["items"]["properties"]["domain"] == {
        "type": "array",
        "items": {"type": "string"},
        "description": "Hosts that the rule is for; *.example.com stands for those that end so.",
    }


def test_newer_kubectl_is_told_the_types() -> None:
    document: Any = openapi_v3("apis/extensions.higress.io/v1alpha1")
    spec = document["components"]["schemas"][PLUGIN]["properties"]["spec"]["properties"]
    assert spec["defaultConfig"]["type"] == "object"
    assert spec["priority"]["nullable"] is True
    assert spec["phase"]["enum"] == ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]


def test_a_patch_is_said_to_know_dry_runs_and_validation() -> None:
    path = "/apis/extensions.higress.io/v1alpha1/namespaces/{namespace}/wasmplugins/{name}"
    operation = openapi_v2()["paths"][path]["patch"]
    assert {"dryRun", "fieldValidation", "fieldManager", "force"} <= {
        found["name"] for found in operation["parameters"]
    }
    assert operation["x-kubernetes-group-version-kind"]["kind"] == "WasmPlugin"


def test_the_protobuf_document_says_the_same() -> None:
    document = Document.FromString(openapi_v2_protobuf())
    read = {named.name: named.value for named in document.definitions.additional_properties}
    written = openapi_v2()["definitions"]
    assert read.keys() == written.keys()
    properties = {named.name: named.value for named in read[PLUGIN].properties.additional_properties}
    assert properties.keys() == written[PLUGIN]["properties"].keys()
    assert getattr(properties["metadata"], "_ref") == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"  # noqa: B009  # mypy knows no such name
    [extension] = read[PLUGIN].vendor_extension
    assert json.loads(extension.value.yaml) == written[PLUGIN][extension.name]
    assert {named.name for named in document.paths.path} == openapi_v2()["paths"].keys()


def test_the_index_changes_with_a_document() -> None:
    index = openapi_v3_index("/below")["paths"]
    assert index["api/v1"]["serverRelativeURL"].startswith("/below/openapi/v3/api/v1?hash=")
    assert len({entry["serverRelativeURL"].partition("=")[2] for entry in index.values()}) == len(index)
    assert openapi_v3("apis/nope/v1") is None


def _paths(shape: Shape, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    inner = getattr(shape, "of", shape)
    if not isinstance(inner, Fields):
        return set()
    found = {(*at, key) for key in inner.known if key not in ("apiVersion", "kind", "metadata")}
    return found.union(*(_paths(inner.known[path[-1]], path) for path in found))


@pytest.mark.parametrize("resource", [HIGRESS_PLUGINS, ISTIO_PLUGINS])
def test_explain_has_something_to_say_of_every_field_of_a_plugin(resource: Resource) -> None:
    from sim.web.kubernetes.descriptions import description

    named = {path for path in _paths(resource.shape) if description(resource.group, resource.kind, path) is None}
    # A target's own fields say what they are.
    assert {path for path in named if path[1] not in ("targetRef", "targetRefs")} == set()

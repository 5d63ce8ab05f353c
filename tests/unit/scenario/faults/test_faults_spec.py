"""Fault steps as a scenario writes them: what is taken, what is refused and in which words, and the JSON Schema."""

from __future__ import annotations

from typing import Any, ClassVar

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from pydantic import ValidationError

from sim.manifests.document import read_documents
from sim.scenario.faults import KINDS, ClearSpec, FaultSpec, links_of
from sim.scenario.faults.network import Latency
from sim.scenario.faults.registry import Status
from sim.scenario.strict import Strict

#: One of each kind, with every attribute that it must have.
EVERY_KIND: dict[str, tuple[str, dict[str, Any]]] = {
    "latency": ("agent-registry", {"latency": "200ms"}),
    "bandwidth": ("agent-registry", {"rate": 64}),
    "slow_close": ("core-discovery", {"delay": "1s"}),
    "timeout": ("agent-envoy", {"timeout": "0ms"}),
    "reset_peer": ("discovery-agent", {}),
    "slicer": ("agent-envoy", {"average_size": 100}),
    "limit_data": ("agent-registry", {"bytes": "64KiB"}),
    "down": ("core-discovery", {}),
    "status": ("registry", {"code": 503}),
    "slow_blob": ("registry", {"rate": 10}),
    "truncated_blob": ("registry", {}),
    "digest_mismatch": ("registry", {}),
    "bad_manifest": ("registry", {}),
    "expired_token": ("registry", {}),
    "drop_ack": ("discovery-agent", {"type": "ecds"}),
    "nack": ("agent-envoy", {"type": "lds"}),
    "reorder": ("discovery-agent", {"type": "ecds"}),
    "stale_version": ("core-discovery", {"type": "WasmPlugin"}),
    "duplicate": ("core-discovery", {"type": "extensions.istio.io/v1alpha1/WasmPlugin"}),
    "disconnect": ("discovery-agent", {}),
}


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        FaultSpec.model_validate(data)
    (error,) = refused.value.errors()
    return error["msg"]


def test_every_kind_is_tried_here() -> None:
    assert EVERY_KIND.keys() == KINDS.keys()


@pytest.mark.parametrize("name", EVERY_KIND)
def test_a_kind_is_taken_where_it_fits_and_comes_back_as_it_was(name: str) -> None:
    on, attributes = EVERY_KIND[name]
    written = {"on": on, name: attributes}
    spec = FaultSpec.model_validate(written)
    assert isinstance(spec.kind_of_fault, KINDS[name])
    assert spec.fault_name == name
    again = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert again["on"] == on
    assert again[name].items() >= attributes.items()
    assert FaultSpec.model_validate(again) == spec
    jsonschema.validate(written, FaultSpec.model_json_schema())


def test_the_scenarios_of_the_documentation_are_taken() -> None:
    slow = FaultSpec.model_validate(
        {
            "name": "slow-registry",
            "on": "agent-registry",
            "latency": {"latency": "200ms", "jitter": "50ms"},
            "toxicity": 0.5,
        }
    )
    assert (slow.fault_name, slow.kind_of_fault) == ("slow-registry", Latency(latency="200ms", jitter="50ms"))
    refusing = FaultSpec.model_validate(
        {"on": "registry", "status": {"code": 503, "count": 2}, "match": {"what": "blob"}}
    )
    assert (refusing.fault_name, refusing.kind_of_fault) == ("status", Status(code=503, count=2))
    assert refusing.matched.what == "blob"


def test_on_is_the_key_on_although_yaml_takes_it_for_a_boolean() -> None:
    (document,) = read_documents("{on: registry, status: {code: 404}}", "step.yaml")
    assert FaultSpec.model_validate(document.data).on == "registry"
    assert FaultSpec.model_validate({True: "registry", "status": {"code": 404}}).on == "registry"


def test_no_kind_and_two_kinds_are_refused_with_those_there_are() -> None:
    assert refusal({"on": "registry"}).startswith("a fault is of exactly one kind, this one of none; the kinds are ")
    two = refusal({"on": "agent-registry", "down": {}, "latency": {"latency": "1s"}})
    assert "this one of down and latency; " in two or "this one of latency and down; " in two
    assert all(name in two for name in KINDS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"on": "registry", "latency": {"latency": "1s"}},
            "latency is a fault of bytes, which registry has none of; write on: core-discovery or discovery-agent or "
            "agent-envoy or agent-registry, or one of bad_manifest, ",
        ),
        ({"on": "agent-registry", "status": {"code": 503}}, "write on: registry, or one of "),
        ({"on": "agent-registry", "drop_ack": {"type": "ecds"}}, "write on: core-discovery or discovery-agent or "),
        ({"on": "registry", "disconnect": {}}, "disconnect is a fault of xDS messages, which registry has none of"),
        ({"on": "core-discovery", "nack": {"type": "ecds"}}, "write an MCP kind such as WasmPlugin, or on: discovery-"),
        ({"on": "agent-envoy", "nack": {"type": "WasmPlugin"}}, "write on: core-discovery, or one of cds, eds, lds"),
        ({"on": "agent-envoy", "reorder": {"type": "lds", "behind": "WasmPlugin"}}, "write on: core-discovery"),
        ({"on": "core-discovery", "disconnect": {"after": 1, "type": "lds"}}, "Core sends Discovery no lds"),
        ({"on": "registry", "status": {"code": 503}, "toxicity": 0.5}, "leave it out, or use one of bandwidth, "),
        ({"on": "core-discovery", "down": {}, "stream": "upstream"}, "stream is of single connections, which down is"),
        ({"on": "agent-registry", "latency": {"latency": "1s"}, "match": {}}, "write on: registry"),
        ({"on": "registry", "bad_manifest": {}, "match": {"what": "blob"}}, "write what: manifest, or leave it out"),
        ({"on": "registry", "status": {"code": 503}, "match": {"tag": "1", "digest": "sha256:" + "0" * 64}}, "one of"),
        ({"on": "registry", "status": {"code": 503}, "match": {"what": "ping", "tag": "1"}}, "leave tag and digest"),
        ({"on": "registry", "status": {"code": 503}, "match": {"what": "ping", "repository": "a"}}, "no repository"),
        ({"on": "registry", "status": {"code": 503}, "match": {"repository": "a.com/b"}}, "write b"),
        ({"on": "registry", "slow_blob": {}}, "write rate or delay"),
        ({"on": "agent-envoy", "disconnect": {"type": "lds"}}, "add after: 1"),
        ({"on": "registry", "truncated_blob": {"bytes": 1, "at": 0.5}}, "write bytes or at"),
        ({"on": "agent-registry", "down": {}, "name": "all"}, "give this one another name"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(data: dict[str, Any], words: str) -> None:
    assert words in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        {"on": "registry", "status": {"code": 200}},
        {"on": "registry", "status": {"code": 503, "count": 0}},
        {"on": "registry", "status": {"code": 503, "cuont": 1}},
        {"on": "agent-registry", "latency": {"latency": 200}},
        {"on": "agent-registry", "latency": {}},
        {"on": "agent-registry", "latency": {"latency": "1s"}, "toxicity": 1.5},
        {"on": "agent-registry", "latency": {"latency": "1s"}, "stream": "sideways"},
        {"on": "agent-registry", "bandwidth": {"rate": 0}},
        {"on": "somewhere", "down": {}},
        {"on": "agent-envoy", "disconnect": {"code": "OK"}},
        {"on": "agent-envoy", "disconnect": {"after": 0}},
        {"on": "agent-envoy", "down": {}, "name": "two words"},
        {"down": {}},
    ],
)
def test_values_that_are_none_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FaultSpec.model_validate(data)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, FaultSpec.model_json_schema())


def test_the_json_schema_describes_everything_and_wants_exactly_one_kind() -> None:
    schema = FaultSpec.model_json_schema()
    for name, described in schema["properties"].items():
        assert described.get("description"), name
    for name, definition in schema["$defs"].items():
        assert definition.get("description"), name
        for key, described in definition["properties"].items():
            assert described.get("description"), f"{name}.{key}"
    for wrong in ({"on": "registry"}, {"on": "agent-registry", "down": {}, "reset_peer": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_step_can_be_made_of_it() -> None:
    class Step(Strict):
        kind: ClassVar[str]

    class Fault(FaultSpec, Step):
        kind = "fault"

    made = Fault.model_validate({"on": "registry", "status": {"code": 503}})
    assert (made.kind, made.kind_of_fault) == ("fault", Status(code=503))
    assert made.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "on": "registry",
        "status": {"code": 503},
    }
    assert Fault.model_json_schema()["oneOf"]


def test_it_is_shown_without_what_is_not_set() -> None:
    made = FaultSpec.model_validate({"on": "agent-envoy", "down": {}})
    assert repr(made) == "FaultSpec(on='agent-envoy', down=Down())"


def test_a_clear_names_a_fault() -> None:
    assert ClearSpec(name="slow-registry").name == "slow-registry"
    with pytest.raises(ValidationError):
        ClearSpec(name="")


def test_the_links_that_faults_need_are_told_and_which_must_understand_xds() -> None:
    specs = [
        FaultSpec.model_validate({"on": on, name: attributes})
        for on, name, attributes in (
            ("agent-registry", "down", {}),
            ("discovery-agent", "nack", {"type": "ecds"}),
            ("discovery-agent", "down", {}),
            ("agent-envoy", "down", {}),
            ("registry", "status", {"code": 404}),
        )
    ]
    assert links_of(specs) == {"agent-registry": False, "discovery-agent": True, "agent-envoy": False}

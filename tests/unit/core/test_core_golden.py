"""Higress' own answers, captured in tests/golden/core-higress.json."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from sim.core import (
    Controller,
    ConversionError,
    CoreOptions,
    DecodeError,
    Key,
    Store,
    TemplateError,
    as_json,
    convert,
    decode_istio,
    fill,
)
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN, manifest_from
from sim.trace import Trace

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "core-higress.json").read_text(encoding="utf-8")
)
OPTIONS = CoreOptions()

SECRETS = {
    ("higress-system", "creds"): {"token": "s3cret", "tls.crt": "CERT", "quoted": 'a"b'},
    ("team-a", "creds"): {"token": "team-a-s3cret"},
}


def assert_same(actual: Any, expected: Any) -> None:
    if actual != expected:
        before, after = (
            json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines() for value in (expected, actual)
        )
        pytest.fail("\n".join(difflib.unified_diff(before, after, "Higress", "ecdsim", lineterm="")))


def outcome(spec: Any) -> dict[str, Any]:
    try:
        plugin = convert(spec, OPTIONS.selector)
    except DecodeError as error:
        return {"decode_error": error.reason}
    except ConversionError as error:
        return {"error": error.reason}
    return {"none": True} if plugin is None else {"istio": as_json(plugin)}


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=names(GOLDEN["cases"]))
def test_a_wasm_plugin_converts_as_higress_converts_it(case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("istio", "error", "none", "decode_error") if key in case}
    assert_same(outcome(case["higress"]), expected)


def test_the_options_of_the_capture_are_the_defaults() -> None:
    captured = GOLDEN["options"]
    assert OPTIONS.selector == {captured["gatewaySelectorKey"]: captured["gatewaySelectorValue"]}
    assert OPTIONS.namespace == captured["namespace"]


@pytest.mark.parametrize("case", GOLDEN["templates"], ids=names(GOLDEN["templates"]))
def test_references_are_filled_in_as_higress_does(case: dict[str, Any]) -> None:
    def lookup(namespace: str, name: str, key: str) -> str:
        if (namespace, name) not in SECRETS:
            raise LookupError(f"secret {namespace}/{name} not found")
        return SECRETS[namespace, name][key]

    plugin = decode_istio(case["istio_before"])
    reason = None
    try:
        plugin, _ = fill(plugin, OPTIONS.namespace, lookup)
    except TemplateError as error:
        reason = error.reason
    assert_same(
        {"istio": as_json(plugin), "error": reason},
        {"istio": case["istio_after"], "error": case.get("error")},
    )


def test_plugins_come_and_go_as_in_higress() -> None:
    store = Store()
    controller = Controller(store, OPTIONS, Trace())
    told: list[frozenset[str]] = []
    controller.listen(lambda kinds, plugins: told.append(plugins))
    listed: list[Any] = []
    for step in GOLDEN["lifecycle"]:
        told.clear()
        key = Key(HIGRESS_WASM, WASM_PLUGIN, step["namespace"], step["name"])
        if step["do"] == "delete":
            store.delete(key)
        else:
            content = {
                "apiVersion": HIGRESS_WASM,
                "kind": WASM_PLUGIN,
                "metadata": {"name": step["name"], "namespace": step["namespace"], "labels": {"team": "a"}},
                "spec": step["higress"],
            }
            store.apply(manifest_from(content, "golden"))
        expected = [
            {"name": f"{found['namespace']}/{found['name']}", "spec": found["spec"]}
            for found in step["istio_resources_after"]
        ]
        actual = [
            {"name": resource.name, "spec": as_json(resource.body)} for resource in controller.resources("WasmPlugin")
        ]
        assert_same(actual, expected)
        assert told == ([frozenset({"/".join((step["namespace"], step["name"]))})] if actual != listed else [])
        listed = actual

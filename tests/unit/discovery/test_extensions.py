"""What ECDS serves for a plugin: code, environment, configuration, failure policy."""

from __future__ import annotations

from typing import Any

import pytest

from sim.model import ECDS
from tests.unit.discovery.worlds import GATEWAY, answered, configuration, push_context


def plugin_config(
    spec: dict[str, Any], profile: str = "istio-1.27", secrets: dict[str, str] | None = None
) -> dict[str, Any]:
    held = configuration(
        Gateway=GATEWAY, WasmPlugin={"higress-system/demo": {"url": "oci://r.example/p:1.0.0", **spec}}
    )
    (extension,) = answered(push_context(held, profile, secrets=secrets), ECDS).values()
    config: dict[str, Any] = extension["typed_config"]["config"]
    return config


def environment(spec: dict[str, Any], secrets: dict[str, str] | None = None) -> dict[str, Any]:
    variables: dict[str, Any] = plugin_config(spec, secrets=secrets)["vm_config"]["environment_variables"]
    return variables


VERSION = {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "1"}


def test_a_variable_has_its_value_or_comes_from_the_host() -> None:
    variables = [
        {"name": "A", "value": "1", "valueFrom": "INLINE"},
        {"name": "B", "value": "2"},
        {"name": "C", "valueFrom": "HOST"},
        {"name": "D", "value": "ignored", "valueFrom": "HOST"},
        {"name": "EMPTY"},
    ]
    assert environment({"vmConfig": {"env": variables}}) == {
        "key_values": {**VERSION, "A": "1", "B": "2", "EMPTY": ""},
        "host_env_keys": ["C", "D"],
    }


def test_without_variables_there_is_the_resource_version_alone() -> None:
    assert environment({}) == {"key_values": VERSION}


@pytest.mark.parametrize("policy", ["Always", "IfNotPresent"])
def test_a_pull_policy_is_passed_on_where_one_is_given(policy: str) -> None:
    assert environment({"imagePullPolicy": policy})["key_values"]["ISTIO_META_WASM_IMAGE_PULL_POLICY"] == policy
    assert "ISTIO_META_WASM_IMAGE_PULL_POLICY" not in environment({"imagePullPolicy": "UNSPECIFIED_POLICY"})


@pytest.mark.parametrize("name", ["regcred", "other-namespace/regcred", "kubernetes://regcred"])
def test_a_pull_secret_is_that_of_the_plugins_own_namespace(name: str) -> None:
    secrets = {"higress-system/regcred": '{"auths":{}}', "other-namespace/regcred": "not this"}
    found = environment({"imagePullSecret": name}, secrets)["key_values"]["ISTIO_META_WASM_IMAGE_PULL_SECRET"]
    assert found == '{"auths":{}}'


def test_a_pull_secret_that_does_not_exist_is_empty_but_there() -> None:
    assert environment({"imagePullSecret": "nope"})["key_values"]["ISTIO_META_WASM_IMAGE_PULL_SECRET"] == ""


@pytest.mark.parametrize("spec", [{}, {"pluginConfig": {}}], ids=["absent", "empty"])
def test_no_configuration_and_an_empty_one_are_the_same(spec: dict[str, Any]) -> None:
    # istiod asks whether there are fields; the plugin then sees no configuration at all, not "{}".
    assert plugin_config(spec)["configuration"] == {}


def test_a_configuration_is_json_in_a_string_value_as_go_writes_it() -> None:
    configuration_of_plugin = {"b": 1, "a": [1.5, 1e21, 1e-7, True, None], "c": "<&>"}
    assert plugin_config({"pluginConfig": configuration_of_plugin})["configuration"] == {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": '{"a":[1.5,1e+21,1e-7,true,null],"b":1,"c":"\\u003c\\u0026\\u003e"}',
    }


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("oci://r.example/p:1", "oci://r.example/p:1"),
        ("r.example/p:1", "oci://r.example/p:1"),
        ("https://files.example/p.wasm", "https://files.example/p.wasm"),
        ("r.example:5000/p:1", "r.example:5000/p:1"),
    ],
)
def test_code_is_remote_with_the_url_as_go_writes_it(url: str, uri: str) -> None:
    code = plugin_config({"url": url, "sha256": "c0ffee"})["vm_config"]["code"]
    assert code == {"remote": {"http_uri": {"uri": uri, "cluster": "_", "timeout": "30s"}, "sha256": "c0ffee"}}


@pytest.mark.parametrize(
    ("url", "filename"),
    [
        ("file:///opt/p.wasm", "/opt/p.wasm"),
        ("file://opt/p.wasm", "opt/p.wasm"),
        # The scheme is recognised in any case, but only "file://" is cut off.
        ("FILE:///opt/p.wasm", "FILE:///opt/p.wasm"),
    ],
)
def test_a_files_code_is_local(url: str, filename: str) -> None:
    assert plugin_config({"url": url})["vm_config"]["code"] == {"local": {"filename": filename}}


@pytest.mark.parametrize(
    ("strategy", "policy", "open_"),
    [
        ("FAIL_CLOSE", "FAIL_CLOSED", None),
        ("FAIL_OPEN", "FAIL_OPEN", True),
        ("FAIL_RELOAD", "FAIL_RELOAD", None),
    ],
)
def test_the_failure_strategy_is_told_in_the_field_of_its_time(strategy: str, policy: str, open_: bool | None) -> None:
    spec = {"failStrategy": strategy}
    assert plugin_config(spec)["failure_policy"] == policy
    assert plugin_config(spec, "higress-1.19").get("fail_open") is open_
    assert "failure_policy" not in plugin_config(spec, "higress-1.19")

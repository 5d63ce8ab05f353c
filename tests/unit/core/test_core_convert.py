"""Beyond the captured cases: texts that hold Go's words, checked against golang/protobuf 1.5.4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sim.core import ConversionError, DecodeError, TemplateError, as_json, convert, decode_istio, fill
from sim.manifests.document import MAX_DEPTH
from sim.proto_gen.istio_extensions_pb2 import WasmPlugin

SELECTOR = {"higress": "gateway"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"priority": "high"}, "invalid character 'h' looking for beginning of value"),
        ({"priority": 1.5}, "json: cannot unmarshal number 1.5 into Go value of type int32"),
        ({"priority": 2**40}, "json: cannot unmarshal number 1099511627776 into Go value of type int32"),
        ({"url": 5}, "json: cannot unmarshal number into Go value of type string"),
        ({"matchRules": {}}, "json: cannot unmarshal object into Go value of type []json.RawMessage"),
        (
            {"defaultConfig": []},
            "bad StructValue: json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
        ),
        ({"defaultConfigDisable": "true"}, "json: cannot unmarshal string into Go value of type bool"),
        ({"phase": True}, "json: cannot unmarshal bool into Go value of type protoreflect.EnumNumber"),
        (
            {"failStrategy": "FAIL_RELOAD"},
            'unknown value "\\"FAIL_RELOAD\\"" for enum higress.extensions.v1alpha1.FailStrategy',
        ),
        (
            {"matchRules": [{"ingress": ["a"], "routeType": "TCP"}]},
            'unknown value "\\"TCP\\"" for enum higress.extensions.v1alpha1.RouteType',
        ),
    ],
)
def test_what_the_decoder_refuses_is_named_in_its_words(spec: Any, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        convert(spec, SELECTOR)
    assert caught.value.reason == reason


def test_a_rule_without_a_condition_is_shown_in_protobuf_s_text_form() -> None:
    config = {"n": 1e6, "s": 'a"\n\u0001é', "l": [1, True, None, {}], "z": 123456789, "g": 0.00001, "f": 0.25}
    with pytest.raises(ConversionError) as caught:
        convert({"matchRules": [{"config": config, "configDisable": False}]}, SELECTOR)
    assert caught.value.reason == (
        "invalid match rule has no match condition, rule:config:{"
        'fields:{key:"f" value:{number_value:0.25}} '
        'fields:{key:"g" value:{number_value:1e-05}} '
        'fields:{key:"l" value:{list_value:{values:{number_value:1} values:{bool_value:true} '
        "values:{null_value:NULL_VALUE} values:{struct_value:{}}}}} "
        'fields:{key:"n" value:{number_value:1e+06}} '
        'fields:{key:"s" value:{string_value:"a\\"\\n\\x01é"}} '
        'fields:{key:"z" value:{number_value:1.23456789e+08}}} config_disable:{}'
    )


def test_field_names_are_known_in_both_spellings_and_unknown_ones_dropped() -> None:
    plugin = convert({"plugin_config": {"a": 1}, "priority": "5", "bogus": 1}, SELECTOR)
    assert plugin is not None
    assert as_json(plugin) == {"selector": {"matchLabels": SELECTOR}, "pluginConfig": {"a": 1}, "priority": 5}


def test_converting_leaves_the_manifest_s_data_alone() -> None:
    spec = {"defaultConfig": {"a": 1}, "matchRules": [{"ingress": ["x"], "config": {"b": 2}}]}
    before = json.dumps(spec)
    convert(spec, SELECTOR)
    assert json.dumps(spec) == before


def test_the_deepest_config_that_a_manifest_may_have_can_be_read_back_from_its_bytes() -> None:
    config: Any = {}
    for _ in range(MAX_DEPTH - len(("spec", "matchRules", 0, "config"))):
        config = {"in": config}
    plugin = convert({"matchRules": [{"ingress": ["a"], "config": config}]}, SELECTOR)
    assert plugin is not None
    assert WasmPlugin.FromString(plugin.SerializeToString()) == plugin


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('a"b', "invalid character 'b' after object key:value pair"),
        ("a\nb", "invalid character '\\n' in string literal"),
        ("a\\qb", "invalid character 'q' in string escape code"),
        ("a\\", "invalid character 'x' after object key:value pair"),
    ],
)
def test_a_secret_that_breaks_the_text_is_refused_as_encoding_json_does(value: str, problem: str) -> None:
    plugin = decode_istio({"pluginConfig": {"k": "${secret.creds.token}", "x": 1}})
    with pytest.raises(TemplateError) as caught:
        fill(plugin, "higress-system", lambda *_: value)
    assert caught.value.reason == f"failed to unmarshal substituted config: {problem}"
    assert caught.value.used == {"higress-system/creds"}


def test_a_secret_with_the_right_quotes_adds_a_key() -> None:
    plugin = decode_istio({"pluginConfig": {"k": "${secret.creds.token}"}})
    filled, _ = fill(plugin, "higress-system", lambda *_: 'a","added":"b')
    assert as_json(filled) == {"pluginConfig": {"k": "a", "added": "b"}}


def test_a_reference_may_stand_in_any_field() -> None:
    plugin = decode_istio({"url": "oci://${secret.team-a/hub.host}/p:1"})
    filled, used = fill(plugin, "higress-system", lambda namespace, name, key: f"{namespace}.{name}.{key}")
    assert filled.url == "oci://team-a.hub.host/p:1"
    assert used == {"team-a/hub"}

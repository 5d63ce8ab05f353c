"""A plugin's configuration as the gateway would hand it over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.errors import InvalidInput
from sim.plugin.configuration import Configuration, read_configuration

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: mine, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/mine:1.0.0
  pluginName: root
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_yaml_becomes_json_as_discovery_writes_it(file: Path) -> None:
    file.write_text("b: 1\na: [x, 1.5, true, null]\n_rules_:\n- {_match_domain_: ['*.example.com'], b: 2}\n")
    text = '{"_rules_":[{"_match_domain_":["*.example.com"],"b":2}],"a":["x",1.5,true,null],"b":1}'
    assert read_configuration(file) == Configuration(text)


@pytest.mark.parametrize("text", ["", "---\n", "{}", "# nothing\n"])
def test_nothing_is_no_configuration_at_all(file: Path, text: str) -> None:
    file.write_text(text)
    assert read_configuration(file) == Configuration()


def test_a_wasm_plugin_gives_what_core_makes_of_its_rules(file: Path) -> None:
    rules = "  defaultConfig: {k: 1}\n  matchRules:\n  - {ingress: [default/route], config: {k: 2}}\n"
    file.write_text(PLUGIN + rules)
    found = read_configuration(file)
    assert found.root_id == "root"
    assert json.loads(found.text) == {"k": 1, "_rules_": [{"_match_route_": ["default/route"], "k": 2}]}


def test_istios_own_wasm_plugin_is_taken_as_it_is(file: Path) -> None:
    text = PLUGIN.replace("higress.io", "istio.io") + "  pluginConfig: {k: 1}\n"
    file.write_text(text)
    assert read_configuration(file) == Configuration('{"k":1}', "root")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "a configuration is an object"),
        ("a: 1\n---\nb: 2\n", "there are 2 documents"),
        (PLUGIN + "---\n" + PLUGIN.replace("name: mine", "name: other"), "there are 2 WasmPlugins"),
        (PLUGIN + "  matchRules:\n  - {config: {k: 1}}\n", "no match condition"),
        (PLUGIN + "  defaultConfig: {}\n  defaultConfigDisable: true\n", "is disabled"),
        (PLUGIN + "  nope: 1\n", "nope"),
        ("a: [", "config.yaml"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_its_place(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_configuration(file)
    assert told in str(refused.value) and "config.yaml" in str(refused.value)


def test_what_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_configuration(file)
    with pytest.raises(InvalidInput, match="there is no file"):
        read_configuration(file.with_name("nope.yaml"))

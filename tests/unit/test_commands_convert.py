"""`ecdsim convert`: what Core makes of a manifest."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from sim.cli import main
from sim.manifests import parse_manifests

HEAD = "apiVersion: extensions.higress.io/v1alpha1\nkind: WasmPlugin\n"
BLOCK = HEAD + (
    "metadata: {name: block, namespace: higress-system, labels: {a: b}}\n"
    "spec:\n  url: oci://registry.local/plugins/request-block:1.0.0\n"
    "  defaultConfig: {block_urls: [swagger.html], answer: 'yes', code: 403}\n"
)
DISABLED = HEAD + (
    "metadata: {name: idle, namespace: higress-system}\n"
    "spec: {url: 'oci://registry.local/off:1', defaultConfig: {}, defaultConfigDisable: true}\n"
)
BROKEN = HEAD + (
    "metadata: {name: broken, namespace: higress-system}\n"
    "spec: {url: 'oci://registry.local/broken:1', matchRules: [{config: {a: 1}}]}\n"
)


class Converted:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    def run(text: str, *more: str, stdin: bool = False) -> Converted:
        file = tmp_path / "plugin.yaml"
        file.write_text(text, encoding="utf-8")
        source = str(file)
        if stdin:
            source = "-"
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        monkeypatch.setattr(sys, "argv", ["ecdsim", "convert", "-f", source, *more])
        status = main()
        told = capsys.readouterr()
        return Converted(status, told.out, told.err)

    return run


class Convert:
    def __call__(self, text: str, *more: str, stdin: bool = False) -> Converted: ...  # type: ignore[empty-body]


def test_a_plugin_becomes_istios(convert: Convert) -> None:
    ended = convert(BLOCK)
    assert (ended.status, ended.err) == (0, "")
    (made,) = parse_manifests(ended.out, "out")
    assert made.api_version == "extensions.istio.io/v1alpha1"
    assert made.key == "higress-system/block"
    assert made.spec == {
        "selector": {"matchLabels": {"higress": "higress-system-higress-gateway"}},
        "url": "oci://registry.local/plugins/request-block:1.0.0",
        "pluginConfig": {"block_urls": ["swagger.html"], "answer": "yes", "code": 403},
    }


def test_json_and_yaml_say_the_same_also_from_stdin(convert: Convert) -> None:
    (from_yaml,) = parse_manifests(convert(BLOCK, stdin=True).out, "out")
    assert json.loads(convert(BLOCK, "-o", "json", stdin=True).out) == from_yaml.content


def test_several_objects_are_a_list_in_json_and_documents_in_yaml(convert: Convert) -> None:
    both = BLOCK + "---\n" + BLOCK.replace("name: block", "name: other")
    made = json.loads(convert(both, "-o", "json").out)
    assert made["kind"] == "List"
    assert [item["metadata"]["name"] for item in made["items"]] == ["block", "other"]
    assert [m.name for m in parse_manifests(convert(both).out, "out")] == ["block", "other"]


def test_a_refusal_is_told_in_higress_words_and_the_others_are_printed(convert: Convert) -> None:
    ended = convert(BROKEN + "---\n" + BLOCK)
    assert ended.status == 1
    assert "plugin.yaml:1:1: WasmPlugin higress-system/broken: invalid match rule has no match condition" in ended.err
    assert [m.name for m in parse_manifests(ended.out, "out")] == ["block"]


def test_a_plugin_without_anything_enabled_is_none(convert: Convert) -> None:
    ended = convert(DISABLED)
    assert (ended.status, ended.out) == (0, "")
    assert "higress-system/idle: none: everything in it is disabled" in ended.err
    assert convert(DISABLED, "-o", "json").out == ""


def test_a_plugin_of_another_namespace_is_ignored_and_that_is_said(convert: Convert) -> None:
    ended = convert(BLOCK.replace("higress-system", "team"))
    assert (ended.status, ended.out) == (0, "")
    assert "team/block: ignored, only the namespace higress-system is read" in ended.err


def test_an_istio_plugin_is_passed_on(convert: Convert) -> None:
    text = (
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: own, namespace: team}\n"
        "spec: {url: 'oci://registry.local/own:1', phase: AUTHN}\n"
    )
    (made,) = parse_manifests(convert(text).out, "out")
    assert (made.key, made.spec) == ("team/own", {"url": "oci://registry.local/own:1", "phase": "AUTHN"})


def test_a_secret_before_the_plugin_is_pasted_in(convert: Convert) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: higress-system}\nstringData: {a: hidden}\n"
    )
    plugin = BLOCK.replace("answer: 'yes'", "answer: '${secret.keys.a}'")
    ended = convert(f"{secret}---\n{plugin}")
    (made,) = parse_manifests(ended.out, "out")
    assert made.spec["pluginConfig"]["answer"] == "hidden"
    assert "Secret higress-system/keys: read, not printed" in ended.err
    alone = convert(plugin)
    assert alone.status == 0
    assert "${secret.keys.a}" in alone.out
    assert "secret higress-system/keys not found" in alone.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BLOCK.replace("url:", "ulr:"), "plugin.yaml:5"),
        ("a: [", "not valid YAML"),
        ("", "there is no object in it"),
    ],
)
def test_what_is_no_manifest_ends_with_2_and_its_place(convert: Convert, text: str, told: str) -> None:
    ended = convert(text)
    assert (ended.status, ended.out) == (2, "")
    assert told in ended.err
    assert convert(text, stdin=True).err.startswith("ecdsim: stdin")


def test_a_file_that_is_not_there_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ecdsim", "convert", "-f", "/nonexistent.yaml"])
    assert main() == 2
    assert "/nonexistent.yaml" in capsys.readouterr().err

"""Manifests: read with their lines, checked as the API server would, written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.manifests import (
    HIGRESS_WASM,
    ISTIO_WASM,
    dump_manifest,
    load_manifests,
    manifest_from,
    parse_manifests,
)

GUIDE = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata:
  name: my-plugin
  namespace: higress-system
spec:
  # global
  defaultConfig:
    mockEnable: false
    content: "hello"
  matchRules:
  - ingress:
    - default/api-route
    config:
      mockEnable: true
  - domain:
    - "*.example.com"
    config: {content: there}
  url: oci://registry.example.com/plugins/my-plugin:1.0.0
  phase: UNSPECIFIED_PHASE
  priority: 100
"""

HEAD = "apiVersion: extensions.higress.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: demo\n"


def refused(text: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_manifests(text, "demo.yaml")
    return caught.value


def place(error: InvalidInput) -> tuple[int | None, str | None]:
    assert error.where is not None
    assert error.where.file == "demo.yaml"
    return error.where.line, error.where.key


def spec_of(text: str) -> dict[str, Any]:
    (manifest,) = parse_manifests(HEAD + text, "demo.yaml")
    return manifest.spec


def test_an_ordinary_manifest_is_read_whole() -> None:
    (manifest,) = parse_manifests(GUIDE, "guide.yaml")
    assert (manifest.api_version, manifest.kind, manifest.key) == (
        HIGRESS_WASM,
        "WasmPlugin",
        "higress-system/my-plugin",
    )
    assert manifest.spec["matchRules"] == [
        {"ingress": ["default/api-route"], "config": {"mockEnable": True}},
        {"domain": ["*.example.com"], "config": {"content": "there"}},
    ]
    assert manifest.spec["defaultConfig"] == {"mockEnable": False, "content": "hello"}


def test_every_key_knows_its_line() -> None:
    (manifest,) = parse_manifests(GUIDE, "guide.yaml")
    assert str(manifest.location) == "guide.yaml:1:1"
    assert str(manifest.where("spec", "matchRules", 1)) == "guide.yaml:16:5"
    assert str(manifest.where("spec", "priority")) == "guide.yaml:21:3"
    assert manifest.where("spec", "matchRules", 1).key == "spec.matchRules[1]"


def test_a_key_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    (manifest,) = parse_manifests(GUIDE, "guide.yaml")
    assert manifest.where("spec", "matchRules", 0, "domain").line == 12


def test_without_a_namespace_it_is_default() -> None:
    (manifest,) = parse_manifests(HEAD, "demo.yaml")
    assert (manifest.namespace, manifest.spec) == ("default", {})


def test_documents_and_lists_are_taken_apart() -> None:
    other = HEAD.replace("demo", "other").replace("\n", "\n  ").rstrip()
    text = f"---\n{HEAD}---\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {other}\n"
    first, second = parse_manifests(text, "demo.yaml")
    assert (first.name, second.name) == ("demo", "other")
    assert second.where("metadata", "name").line == 16
    assert second.where("metadata", "name").key == "items[0].metadata.name"


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(HEAD)
    (tmp_path / "a.yml").write_text(HEAD.replace("demo", "first"))
    (tmp_path / "notes.txt").write_text("no manifest")
    assert [manifest.name for manifest in load_manifests(tmp_path)] == ["first", "demo"]


def test_an_object_in_two_files_is_refused_with_both_places(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD)
    with pytest.raises(InvalidInput) as caught:
        load_manifests(tmp_path)
    assert str(caught.value.where) == f"{tmp_path / 'b.yaml'}:4:3"
    assert f"first in {tmp_path / 'a.yaml'}:1:1" in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_manifests(tmp_path / "none.yaml")
    assert "none.yaml" in str(caught.value)


def test_both_groups_of_wasm_plugin_are_known_and_may_share_a_name() -> None:
    istio = f"apiVersion: {ISTIO_WASM}\nkind: WasmPlugin\nmetadata: {{name: demo}}\nspec: {{url: r/p:1}}\n"
    assert len(parse_manifests(f"{HEAD}---\n{istio}", "demo.yaml")) == 2


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", True),
        ("y", True),
        ("Yes", True),
        ("off", False),
        ("N", False),
        ("yEs", "yEs"),
        ("'yes'", "yes"),
        ("!!str yes", "yes"),
        ("~", None),
        ("", None),
        ("017", 15),
        ("0o17", 15),
        ("08", 8),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1.0", 1),
        ("1e3", 1000),
        (".5", 0.5),
        ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709551615.0),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("!!binary aGVsbG8=", "hello"),
        ("1.5:3", "1.5:3"),
        ("|\n      two\n      lines\n", "two\nlines\n"),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(written: str, value: Any) -> None:
    found = spec_of(f"spec:\n  defaultConfig:\n    k: {written}\n")["defaultConfig"]["k"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_always_strings() -> None:
    found = spec_of("spec: {defaultConfig: {1: a, yes: b, 'on': c}}")["defaultConfig"]
    assert found == {"1": "a", "true": "b", "on": "c"}


def test_anchors_and_merge_keys_are_resolved_and_own_keys_win() -> None:
    text = "spec:\n  defaultConfig: &base {a: 1, b: 2}\n  pluginConfig: {<<: *base, b: 3}\n"
    assert spec_of(text)["pluginConfig"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    [
        ("kind: WasmPlugin\n", 1, "apiVersion", "Required value", HIGRESS_WASM),
        ("apiVersion: v1\nmetadata: {name: a}\n", 1, "kind", "Required value", "Service or Secret"),
        (
            "apiVersion: WasmPlugin\nmetadata:\n  name: request-block\n",
            1,
            "apiVersion",
            "that is a kind",
            "apiVersion: extensions.higress.io/v1alpha1 and kind: WasmPlugin",
        ),
        (HEAD.replace("/v1alpha1", "/v1"), 1, "apiVersion", "no matches for kind", HIGRESS_WASM),
        (HEAD.replace("WasmPlugin", "WasmPlugn"), 2, "kind", "is not a kind", "did you mean WasmPlugin?"),
        (HEAD.replace("  name: demo", "  namespace: x"), 3, "metadata.name", "Required value", "name"),
        ("apiVersion: v1\nkind: Secret\n", 1, "metadata", "Required value", "name"),
        (HEAD.replace("demo", "My_Plugin"), 4, "metadata.name", 'Invalid value: "My_Plugin"', "my-plugin"),
        (HEAD + "  namespace: a.b\n", 5, "metadata.namespace", 'Invalid value: "a.b"', "a-b"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: 1st}\n",
            3,
            "metadata.name",
            "not a name by RFC 1035",
            None,
        ),
        (HEAD + "  labels: {team: 7}\n", 5, "metadata.labels.team", "must be a string", "quotes"),
        (HEAD + "url: x\n", 5, "url", 'unknown field "url"', "spec.url"),
        (HEAD + "spec:\n  prioritty: 1\n", 6, "spec.prioritty", "unknown field", "did you mean priority?"),
        (HEAD + "spec:\n  default_config: {}\n", 6, "spec.default_config", "unknown field", "defaultConfig?"),
        (HEAD + "spec:\n  selector: {}\n", 6, "spec.selector", "unknown field", ISTIO_WASM),
        (
            f"apiVersion: {ISTIO_WASM}\nkind: WasmPlugin\nmetadata: {{name: a}}\nspec: {{url: u, matchRules: []}}\n",
            4,
            "spec.matchRules",
            "unknown field",
            HIGRESS_WASM,
        ),
        (
            f"apiVersion: {ISTIO_WASM}\nkind: WasmPlugin\nmetadata: {{name: a}}\nspec: {{}}\n",
            4,
            "spec.url",
            "Required value",
            "add url",
        ),
        (HEAD + "spec:\n  priority: high\n", 6, "spec.priority", "must be an integer, not string", None),
        (HEAD + "spec:\n  priority: 3000000000\n", 6, "spec.priority", "must be between", None),
        (
            HEAD + "spec:\n  phase: AUTHZN\n",
            6,
            "spec.phase",
            'Unsupported value: "AUTHZN": supported values: "UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"',
            "did you mean AUTHZ?",
        ),
        (
            HEAD + "spec:\n  matchRules:\n  - ingress: [a]\n    service: a\n",
            8,
            "spec.matchRules[0].service",
            "must be an array",
            "list",
        ),
        (HEAD + "spec:\n  matchRules:\n", 6, "spec.matchRules", "must be an array, not null", "value"),
        (HEAD + "spec:\n  pluginConfig: [a]\n", 6, "spec.pluginConfig", "must be an object", None),
        (HEAD + "spec:\n  url: a\n  url: b\n", 7, "spec.url", "first in line 6", "keep one"),
        (f"{HEAD}---\n{HEAD}", 9, "metadata.name", "WasmPlugin default/demo is defined twice", "rename"),
        (HEAD + "spec:\n\turl: a\n", 6, None, "not valid YAML", "spaces"),
        (HEAD + "spec: {url: [a\n", 6, None, "not valid YAML", None),
        (HEAD + "spec: {defaultConfig: {k: .inf}}\n", 5, "spec.defaultConfig.k", "JSON", None),
        (HEAD + "spec: *nowhere\n", 5, "spec", "anchor", None),
        ("- a\n", 1, None, "must be a mapping, not array", "apiVersion"),
        ("apiVersion: v1\nkind: List\nitems: {}\n", 3, "items", "list of objects", None),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  token: '#'\n",
            5,
            "data.token",
            "not Base64",
            "stringData.token",
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec:\n  rules:\n"
            "  - http:\n      paths:\n      - path: /\n        backend: {service: {name: a}}\n",
            8,
            "spec.rules[0].http.paths[0].pathType",
            "Required value",
            None,
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_would_be_right(
    text: str, line: int, key: str | None, message: str, hint: str | None
) -> None:
    error = refused(text)
    assert place(error) == (line, key)
    assert message in error.message
    assert hint is None or (error.hint is not None and hint in error.hint)


def test_the_other_problems_of_an_object_are_listed_too() -> None:
    error = refused(HEAD + "spec:\n  phase: X\n  priority: high\n")
    assert "also demo.yaml:7:3: spec.priority: " in error.message


def test_an_error_reads_like_a_compiler_s() -> None:
    assert str(refused(HEAD + "spec:\n  phas: AUTHN\n")).startswith(
        'demo.yaml:6:3: spec.phas: unknown field "spec.phas"\n  hint: did you mean phase?'
    )


def test_aliases_can_t_blow_a_document_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    assert "nodes" in refused("\n".join(lines)).message


def test_nesting_has_an_end() -> None:
    assert "deep" in refused(HEAD + "spec: {defaultConfig: {k: " + "[" * 2000 + "]" * 2000 + "}}").message


def test_nesting_has_an_end_for_data_too() -> None:
    config: Any = 1
    for _ in range(40):
        config = [config]
    content = {"apiVersion": HIGRESS_WASM, "kind": "WasmPlugin", "metadata": {"name": "a"}, "spec": config}
    with pytest.raises(InvalidInput, match="nested too deep"):
        manifest_from(content, "api")


def test_a_changed_spec_is_checked_and_leaves_the_original_alone() -> None:
    (manifest,) = parse_manifests(GUIDE, "guide.yaml")
    changed = manifest.with_spec({**manifest.spec, "url": "oci://r/p:2"})
    assert (changed.spec["url"], changed.key) == ("oci://r/p:2", manifest.key)
    assert manifest.spec["url"].endswith(":1.0.0")
    with pytest.raises(InvalidInput, match="unknown field"):
        manifest.with_spec({"bogus": 1})


def test_an_object_of_a_list_keeps_its_lines_when_its_spec_changes() -> None:
    other = HEAD.replace("\n", "\n  ").rstrip()
    (manifest,) = parse_manifests(f"apiVersion: v1\nkind: List\nitems:\n- {other}\n", "demo.yaml")
    changed = manifest.with_spec({"url": "oci://r/p:2"})
    assert changed.where("metadata", "name").line == manifest.where("metadata", "name").line == 7
    assert str(changed.location) == str(manifest.location) == "demo.yaml:4:3"


def test_an_object_that_was_never_a_text_has_a_source_but_no_line() -> None:
    content = {"apiVersion": HIGRESS_WASM, "kind": "WasmPlugin", "metadata": {"name": "a"}}
    assert str(manifest_from(content, "the console").location) == "the console"


texts = st.text() | st.sampled_from(["yes", "012", "1e3", "~", "<<", "=", "a: b", "#", "x\ny\n", " a\n", "\n", "- "])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=5))
def test_what_is_written_is_read_back_the_same(config: dict[str, Any]) -> None:
    content = {
        "apiVersion": HIGRESS_WASM,
        "kind": "WasmPlugin",
        "metadata": {"name": "demo"},
        "spec": {"defaultConfig": config},
    }
    written = dump_manifest(manifest_from(content, "test"))
    (again,) = parse_manifests(written, "written")
    assert again.content == content

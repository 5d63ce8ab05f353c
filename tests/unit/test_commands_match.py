"""`ecdsim match`: which rule a request gets."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sim.cli import main
from tests.golden_files import golden

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: custom-response, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/custom-response:1.0.0
  defaultConfig: {body: global}
  matchRules:
  - {domain: [off.com], configDisable: true, config: {body: off}}
  - {domain: [foo.com, "*.foo.com"], service: [web.default], config: {body: by domain}}
  - {ingress: [course/bar], config: {body: by route, code: 200}}
  - {service: ["web.default.svc:80"], config: {body: by service}}
"""
SECOND = PLUGIN.replace("custom-response", "second")
NO_CONDITION = PLUGIN.replace("domain: [off.com], configDisable: true, ", "")
DISABLED = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: idle, namespace: higress-system}
spec: {url: 'oci://registry.local/idle:1', defaultConfig: {a: 1}, defaultConfigDisable: true}
"""


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.out)
        return decoded


Matching = Callable[..., Ended]


@pytest.fixture
def matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Matching:
    def run(text: str, *more: str, stdin: bool = False) -> Ended:
        file = tmp_path / "plugin.yaml"
        file.write_text(text, encoding="utf-8")
        if stdin:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        monkeypatch.setattr(sys, "argv", ["ecdsim", "match", "-f", "-" if stdin else str(file), *more])
        status = main()
        return Ended(status, *capsys.readouterr())

    return run


def in_a_manifest(case: dict[str, Any]) -> bool:
    """A manifest's pluginConfig is an object, the command has an authority, and no plugin's own checks."""
    return "config" in case and case["request"]["authority"] is not None and "fail" not in json.dumps(case["config"])


CASES = [case for case in golden("rule-matcher.json")["cases"] if in_a_manifest(case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_printed_is_what_higress_was_seen_to_apply(matching: Matching, case: dict[str, Any]) -> None:
    manifest = {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "demo", "namespace": "team"},
        "spec": {"url": "oci://registry.local/demo:1", "pluginConfig": case["config"]},
    }
    request = case["request"]
    options = ["--route", request["route_name"] or "", "--cluster", request["cluster_name"] or ""]
    ended = matching(json.dumps(manifest), "--authority", request["authority"], *options, "-o", "json")
    found = ended.document
    assert (found["start"], found["matched"]) == (case["start"], case["matched"])
    if case["start"] == "error":
        assert (ended.status, found["error"]) == (1, case["error"])
        assert case["error"] in ended.err
    else:
        assert (ended.status, ended.err) == (0, "")
        if case["parser"] == "one":
            assert found["config"] == case["matched_config"]


@pytest.mark.parametrize(
    ("options", "matched", "config"),
    [
        (["--authority", "x.foo.com:8080"], "rule:0", {"body": "by domain"}),
        (["--authority", "a.com", "--route", "course/bar"], "rule:1", {"body": "by route", "code": 200}),
        (["--authority", "a.com", "--cluster", "outbound|80||web.default.svc"], "rule:2", {"body": "by service"}),
        (["--authority", "off.com"], "global", {"body": "global"}),
    ],
)
def test_a_higress_plugin_is_converted_by_core_before(
    matching: Matching, options: list[str], matched: str, config: dict[str, Any]
) -> None:
    ended = matching(PLUGIN, *options, "-o", "json")
    assert (ended.status, ended.err) == (0, "")
    assert (ended.document["matched"], ended.document["config"]) == (matched, config)
    assert matching(PLUGIN, *options, "-o", "json", stdin=True).document == ended.document
    assert YAML(typ="safe").load(matching(PLUGIN, *options, "-o", "yaml").out) == ended.document


def test_every_rule_is_listed_with_its_reason(matching: Matching) -> None:
    found = matching(PLUGIN, "--authority", "Foo.com", "--route", "course/bar", "-o", "json").document
    assert found["request"] == {"authority": "Foo.com", "route_name": "course/bar", "cluster_name": None}
    assert [(rule["rule"], rule["category"], rule["fits"]) for rule in found["rules"]] == [
        ("rule:0", "domain", False),
        ("rule:1", "route", True),
        ("rule:2", "service", False),
    ]
    domain, route, service = found["rules"]
    assert domain["conditions"] == {"_match_domain_": ["foo.com", "*.foo.com"]}
    assert domain["ignored"] == {"_match_service_": ["web.default"]}
    assert "letter case counts" in domain["why"]
    assert route["why"] == "matches route course/bar"
    assert service["why"].startswith("rule:1 comes first; the request goes to no cluster")
    assert service["config"] == {"body": "by service"}
    assert found["global"] == {"body": "global"}


def test_the_table_marks_what_applies_and_prints_its_configuration(matching: Matching) -> None:
    lines = matching(PLUGIN, "--authority", "a.com", "--route", "course/bar").out.splitlines()
    assert lines[:3] == [
        "plugin     higress-system/custom-response",
        "request    a.com, route course/bar, cluster -",
        "applies    rule:1",
    ]
    assert [line.split()[1] for line in lines if line.startswith("->")] == ["rule:1"]
    assert any("rule:0" in line and "a.com is not foo.com, *.foo.com" in line for line in lines)
    assert any("rule:0" in line and "(ignored: _match_service_)" in line for line in lines)
    assert any("global" in line and "rule:1 comes first" in line for line in lines)
    assert lines[-3:] == ["config", "body: by route", "code: 200"]


def test_a_disabled_rule_is_listed_and_the_others_are_named_by_both_their_numbers(matching: Matching) -> None:
    ended = matching(PLUGIN, "--authority", "off.com")
    lines = [line.split() for line in ended.out.splitlines() if "matchRules[" in line]
    assert [line[:2] for line in lines] == [
        ["matchRules[0]", "-"],
        ["rule:0", "(matchRules[1])"],
        ["rule:1", "(matchRules[2])"],
        ["rule:2", "(matchRules[3])"],
    ]
    assert "disabled: Core passes it on to nobody" in ended.out
    found = matching(PLUGIN, "--authority", "off.com", "-o", "json").document
    assert (found["disabled_match_rules"], [rule["match_rule"] for rule in found["rules"]]) == ([0], [1, 2, 3])
    enabled = matching(PLUGIN.replace("configDisable: true, ", ""), "--authority", "a.com")
    assert "matchRules[" not in enabled.out


def test_a_plugin_config_beside_rules_is_told_to_win(matching: Matching) -> None:
    both = PLUGIN.replace("  defaultConfig:", "  pluginConfig: {body: it}\n  defaultConfig:")
    ended = matching(both, "--authority", "off.com", "-o", "json")
    assert (ended.status, ended.document["config"], ended.document["rules"]) == (0, {"body": "it"}, [])
    assert "has a pluginConfig, so its defaultConfig and matchRules are ignored" in ended.err


def test_no_configuration_is_called_none(matching: Matching) -> None:
    bare = PLUGIN[: PLUGIN.index("  defaultConfig")]
    ended = matching(bare, "--authority", "a.com")
    assert (ended.status, ended.out.splitlines()[-1]) == (0, "config     none")


@pytest.mark.parametrize("authority", ["", "http://a.com/", "a.com/x", "a b"])
def test_what_is_no_authority_is_refused(authority: str, matching: Matching) -> None:
    ended = matching(PLUGIN, "--authority", authority)
    assert (ended.status, ended.out) == (2, "")
    assert "give the host alone" in ended.err


def test_a_request_that_nothing_applies_to_is_left_alone(matching: Matching) -> None:
    without_global = PLUGIN.replace("  defaultConfig: {body: global}\n", "")
    ended = matching(without_global, "--authority", "a.com")
    assert ended.status == 0
    assert "applies    nothing: the plugin leaves this request alone" in ended.out
    assert "config\n" not in ended.out


def test_a_plugin_that_core_refuses_ends_with_1_and_higress_reason(matching: Matching) -> None:
    ended = matching(NO_CONDITION, "--authority", "a.com", "-o", "json")
    assert ended.status == 1
    assert ended.err.count("invalid match rule has no match condition") == 1
    found = ended.document
    assert (found["start"], found["matched"], found["rules"], found["global"]) == ("error", None, [], None)
    assert "invalid match rule has no match condition" in found["error"]
    assert "nothing: the plugin does not run" in matching(NO_CONDITION, "--authority", "a.com").out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DISABLED, "none: everything in it is disabled"),
        (PLUGIN.replace("higress-system", "team"), "ignored, only the namespace higress-system is read"),
    ],
)
def test_a_plugin_that_core_passes_on_to_nobody_applies_to_nothing(matching: Matching, text: str, reason: str) -> None:
    ended = matching(text, "--authority", "foo.com", "-o", "json")
    assert (ended.status, ended.document["matched"], ended.document["start"]) == (0, None, "ok")
    assert reason in ended.err


def test_of_several_plugins_the_named_one_is_meant(matching: Matching) -> None:
    both = f"{PLUGIN}---\n{SECOND.replace('body: global', 'body: other')}"
    ended = matching(both, "--authority", "a.com", "--plugin", "higress-system/second", "-o", "json")
    assert (ended.document["plugin"], ended.document["config"]) == ("higress-system/second", {"body": "other"})


def test_a_secret_before_the_plugin_is_pasted_in(matching: Matching) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: higress-system}\nstringData: {a: hidden}\n"
    )
    plugin = PLUGIN.replace("body: global", "body: '${secret.keys.a}'")
    ended = matching(f"{secret}---\n{plugin}", "--authority", "a.com", "-o", "json")
    assert ended.document["config"] == {"body": "hidden"}


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        (f"{PLUGIN}---\n{SECOND}", [], "2 WasmPlugins in it: higress-system/custom-response, higress-system/second"),
        (f"{PLUGIN}---\n{SECOND}", [], "--plugin higress-system/custom-response"),
        (PLUGIN, ["--plugin", "custom-response"], "did you mean higress-system/custom-response?"),
        (PLUGIN, ["--plugin", "zzz"], "there is higress-system/custom-response"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", [], "there is no WasmPlugin in it"),
        ("", [], "there is no object in it"),
        (PLUGIN.replace("url:", "ulr:"), [], ":5"),
    ],
)
def test_what_can_not_be_meant_ends_with_2_and_what_to_do(
    matching: Matching, text: str, more: list[str], told: str
) -> None:
    for stdin in (False, True):
        ended = matching(text, "--authority", "a.com", *more, stdin=stdin)
        assert (ended.status, ended.out) == (2, "")
        assert told in ended.err
        assert ("stdin" if stdin else "plugin.yaml") in ended.err


def test_without_an_authority_the_usage_is_told(matching: Matching) -> None:
    ended = matching(PLUGIN)
    assert (ended.status, ended.out) == (2, "")
    assert "--authority" in ended.err

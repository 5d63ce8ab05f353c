"""Several gateways, and parts that are restarted, killed and paused in the middle of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import SCENARIOS, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

HEAD = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
  images:
  - {plugin: request-block, tag: 1.0.0}
  - {plugin: request-block, tag: 2.0.0}
"""
#: An Istio WasmPlugin, which may choose its gateways by their labels.
CANARY = """\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: canary, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/request-block:2.0.0
  selector: {matchLabels: {ring: canary}}
  pluginConfig: {block_urls: [swagger.html]}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[str], Path]:
    manifest = (SCENARIOS / "tag-bump" / "request-block.yaml").read_text(encoding="utf-8")
    (tmp_path / "plugin.yaml").write_text(manifest, encoding="utf-8")
    (tmp_path / "canary.yaml").write_text(CANARY, encoding="utf-8")

    def write(body: str) -> Path:
        path = tmp_path / "demo.yaml"
        path.write_text(HEAD + body, encoding="utf-8")
        return path

    return write


def test_each_gateway_has_rollouts_traffic_and_evidence_of_its_own(
    scenario: Callable[[str], Path], ecdsim: Run
) -> None:
    path = scenario("""\
  gateways: [{name: east}, {name: west, workers: 1}]
  traffic:
    users: {rate: 100/s, connections: 2}
    others: {rate: 50/s, connections: 1, gateway: west}
  steps:
  - apply: plugin.yaml
  - wait: {settled: higress-system/request-block}
  - bump: {plugin: higress-system/request-block, tag: 2.0.0}
  - wait: {settled: higress-system/request-block}
  - request: {gateway: west, path: /swagger.html, expect: {status: 403}}
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr
    result = ended.result
    assert [(r["gateway"], r["change"], len(r["workers"])) for r in result["rollouts"]] == [
        ("east", "add", 2), ("west", "add", 1), ("east", "image", 2), ("west", "image", 1),
    ]  # fmt: skip
    assert all(rollout["acked"] and rollout["effective_ms"] > 0 for rollout in result["rollouts"])
    for traffic in result["traffic"].values():
        assert (traffic["failed"], traffic["connections_broken"]) == (0, 0)
        assert traffic["by_version"]["1.0.0"] > 0 and traffic["by_version"]["2.0.0"] > 0
    directory = Path(result["directory"])
    for name in ("east", "west"):
        dump = json.loads((directory / "gateways" / name / "config_dump.json").read_text(encoding="utf-8"))
        assert "request-block" in json.dumps(dump)
        assert (directory / "gateways" / name / "envoy.log").stat().st_size > 0


def test_a_selector_chooses_among_gateways(scenario: Callable[[str], Path], ecdsim: Run) -> None:
    path = scenario("""\
  gateways: [{name: stable}, {name: canary, labels: {ring: canary}}]
  steps:
  - apply: canary.yaml
  - wait: {acked: higress-system/canary, gateway: canary}
  - request: {gateway: canary, within: 5s, expect: {headers: {x-request-block-version: 2.0.0}}}
  - request: {gateway: stable, expect: {headers: {x-request-block-version: null}}}
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert [rollout["gateway"] for rollout in ended.result["rollouts"]] == ["canary"]


def test_the_data_plane_serves_on_and_converges_whatever_part_goes_and_comes(
    scenario: Callable[[str], Path], ecdsim: Run
) -> None:
    path = scenario("""\
  traffic:
    users: {rate: 100/s, connections: 2}
  steps:
  - apply: plugin.yaml
  - wait: {settled: higress-system/request-block}
  - restart: core
  - restart: discovery
  - restart: agent
  - restart: registry
  - kill: core
  - bump: {plugin: higress-system/request-block, tag: 2.0.0}
  - sleep: 300ms
  - check: gateways.gateway.ready && traffic.users.failed == 0
  - restart: core
  - request: {within: 10s, expect: {headers: {x-request-block-version: 2.0.0}}}
  expect:
  - traffic.users.failed == 0
  - traffic.users.connections_broken == 0
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout


def test_an_envoy_that_is_killed_comes_back_with_its_plugins(scenario: Callable[[str], Path], ecdsim: Run) -> None:
    path = scenario("""\
  steps:
  - apply: plugin.yaml
  - wait: {acked: higress-system/request-block}
  - kill: envoy
  - check: "!gateways.gateway.running && !gateways.gateway.ready"
  - restart: envoy
  - wait: {ready: gateway}
  - request: {within: 5s, path: /swagger.html, expect: {status: 403}}
  - pause: {part: envoy, for: 100ms}
  - request: {path: /swagger.html, expect: {status: 403}}
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout


def test_steps_are_repeated_and_carried_out_side_by_side(scenario: Callable[[str], Path], ecdsim: Run) -> None:
    path = scenario("""\
  traffic:
    users: {rate: 100/s, connections: 2}
  steps:
  - apply: plugin.yaml
  - wait: {settled: higress-system/request-block}
  - repeat:
      times: 3
      steps:
      - edit: {plugin: higress-system/request-block, patch: [{op: add, path: /spec/priority, value: 7}]}
      - bump: {plugin: higress-system/request-block, tag: 2.0.0}
      - wait: {settled: higress-system/request-block}
      - bump: {plugin: higress-system/request-block, tag: 1.0.0}
      - wait: {settled: higress-system/request-block}
  - parallel:
    - wait: {event: envoy.ack, within: 10s}
    - bump: {plugin: higress-system/request-block, tag: 2.0.0}
  expect:
  - rollouts.filter(r, r.change == "image").size() == 7
  - traffic.users.failed == 0
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout


def test_a_branch_that_fails_ends_the_others_and_is_named(scenario: Callable[[str], Path], ecdsim: Run) -> None:
    path = scenario("""\
  steps:
  - parallel:
    - sleep: 60s
    - request: {path: /, expect: {status: 418}}
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 1
    assert ended.result["outcome"] == "failed"
    assert "expected status 418" in ended.result["error"]["message"]
    assert ended.result["error"]["where"].endswith("demo.yaml:11:7")

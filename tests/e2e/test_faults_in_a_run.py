"""The steps `fault` and `clear` in a whole run: links between the parts, restarts behind them, a guarded registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.trace import read_trace
from tests.e2e.conftest import SCENARIOS, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]
Write = Callable[[str], Path]

HEAD = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
  images:
  - {plugin: request-block, tag: 1.0.0}
  - {plugin: request-block, tag: 2.0.0}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Write:
    manifest = (SCENARIOS / "tag-bump" / "request-block.yaml").read_text(encoding="utf-8")
    (tmp_path / "plugin.yaml").write_text(manifest, encoding="utf-8")

    def write(body: str) -> Path:
        path = tmp_path / "demo.yaml"
        path.write_text(HEAD + body, encoding="utf-8")
        return path

    return write


def test_parts_behind_links_come_back_and_what_is_in_force_at_the_end_is_cleared(scenario: Write, ecdsim: Run) -> None:
    path = scenario("""\
  seed: 7
  traffic:
    users: {rate: 100/s, connections: 2}
  steps:
  - fault: {name: far, on: agent-registry, latency: {latency: 20ms}}
  - fault: {name: late, on: agent-envoy, latency: {latency: 5ms}}
  - fault: {on: discovery-agent, drop_ack: {type: lds}}
  - fault: {on: core-discovery, duplicate: {type: WasmPlugin, count: 1}}
  - apply: plugin.yaml
  - wait: {settled: higress-system/request-block}
  - restart: registry
  - restart: discovery
  - restart: agent
  - clear: far
  - fault: {on: registry, status: {code: 503, count: 2}, match: {tag: 2.0.0, what: blob}}
  - bump: {plugin: higress-system/request-block, tag: 2.0.0}
  - wait: {settled: higress-system/request-block}
  - restart: core
  - request: {path: /swagger.html, within: 10s, expect: {status: 403, headers: {x-request-block-version: 2.0.0}}}
  expect:
  - events("fault.injected").map(e, e.data.fault) == ["far", "late", "drop_ack", "duplicate", "status"]
  - events("fault.cleared").map(e, e.data.fault) == ["far"]
  - events("fault.hit").filter(e, e.data.fault == "status").size() == 2
  - '["far", "late", "drop_ack", "duplicate"].all(name, events("fault.hit").exists(e, e.data.fault == name))'
  - environment.seed == 7
  - traffic.users.failed == 0
  - traffic.users.connections_broken == 0
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout
    cleared = [e.data["fault"] for e in read_trace(Path(ended.result["directory"])) if e.event == "fault.cleared"]
    assert cleared[0] == "far"
    assert sorted(cleared[1:]) == ["drop_ack", "duplicate", "late", "status"]


def test_a_fault_of_one_gateway_leaves_the_other_alone(scenario: Write, ecdsim: Run) -> None:
    path = scenario("""\
  gateways: [{name: east}, {name: west}]
  steps:
  - fault: {on: agent-registry, down: {}, gateway: west}
  - apply: plugin.yaml
  - wait: {acked: higress-system/request-block, gateway: east}
  - wait: {nacked: higress-system/request-block, gateway: west}
  - request: {gateway: east, within: 5s, expect: {headers: {x-request-block-version: 1.0.0}}}
  - request: {gateway: west, expect: {headers: {x-request-block-version: null}}}
  - clear: down
  - bump: {plugin: higress-system/request-block, tag: 2.0.0}
  - request: {gateway: west, within: 10s, expect: {headers: {x-request-block-version: 2.0.0}}}
""")
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout
    assert ended.result["environment"]["seed"] == 1


def test_a_guarded_registry_is_pulled_from_through_a_link(scenario: Write, ecdsim: Run) -> None:
    path = scenario("""\
  registry: {auth: {token: {username: robot, password: p}}, tls: true}
  steps:
  - apply: secret.yaml
  - fault: {on: agent-registry, slicer: {average_size: 200}}
  - apply: plugin.yaml
  - wait: {nacked: higress-system/request-block}
  - push: {plugin: request-block, tag: 3.0.0}
  - edit: {plugin: higress-system/request-block, patch: {spec: {imagePullSecret: right}}}
  - wait: {acked: higress-system/request-block}
  - restart: registry
  - bump: {plugin: higress-system/request-block, tag: 3.0.0}
  - wait: {acked: higress-system/request-block}
  - request: {path: /swagger.html, within: 5s, expect: {status: 403, headers: {x-request-block-version: 3.0.0}}}
  expect:
  - events("fault.hit").size() > 0
""")
    (path.parent / "secret.yaml").write_text(
        """\
apiVersion: v1
kind: Secret
metadata: {name: right, namespace: higress-system}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{"auths": {"registry.local": {"username": "robot", "password": "p"}}}'
""",
        encoding="utf-8",
    )
    ended = ecdsim("run", path, "-o", "json")
    assert ended.status == 0, ended.stderr + ended.stdout

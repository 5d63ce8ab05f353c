"""Own modules in a run: an image that a registry has already, and what tells its versions apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from sim.wasm import bundled, stamp
from tests.e2e.conftest import ROOT, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: own, title: {en: A module of one's own}}
spec:
  gateway: {workers: 1}
  debounce: {after: 1ms}
  images: IMAGES
  traffic: {users: TRAFFIC}
  steps:
  - apply: own.yaml
  - wait: {settled: higress-system/own, within: WITHIN}
  - request: {path: /swagger.html, within: 5s, expect: {status: 403}}
  expect: [traffic.users.failed == 0]
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: own, namespace: higress-system}
spec:
  url: oci://URL
  defaultConfig: {block_urls: [swagger.html], blocked_code: 403}
"""
HEADER = 'response.headers["x-request-block-version"]'


def written(folder: Path, images: str, url: str, traffic: str = "{}", within: str = "10s") -> Path:
    text = SCENARIO.replace("IMAGES", images).replace("TRAFFIC", traffic).replace("WITHIN", within)
    (folder / "scenario.yaml").write_text(text)
    (folder / "own.yaml").write_text(PLUGIN.replace("URL", url))
    (folder / "main.wasm").write_bytes(stamp(bundled("request-block").module, "unheard-of"))
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of `ecdsim registry`, a process of its own."""
    words = ["registry", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "images")]
    with Popen([executable, "-m", "sim", *words], cwd=ROOT, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["listen"]
        process.terminate()


@pytest.mark.parametrize(
    ("listed", "instead"), [(True, False), (True, True), (False, True)], ids=["ref", "ref and --with", "--with alone"]
)
def test_the_agent_pulls_what_somebody_elses_registry_has(
    ecdsim: Run, registry: str, tmp_path: Path, listed: bool, instead: bool
) -> None:
    image = f"{registry}/team/mine:1.0.0"
    scenario = written(
        tmp_path,
        f'[{{ref: "oci://{image}"}}]' if listed else "[]",
        image,
        f'{{version_by: \'{HEADER} == "unheard-of" ? "1.0.0" : null\'}}',
    )
    pushed = ecdsim("plugin", "push", tmp_path / "main.wasm", image)
    assert pushed.status == 0, pushed.stderr
    using = ["--with", f"registry={registry}"] if instead else []
    ended = ecdsim("run", scenario, "-q", "-o", "json", *using)
    assert (ended.status, ended.stderr) == (0, "")
    (rollout,) = ended.result["rollouts"]
    assert rollout["to"] == f"oci://{image}" and rollout["traffic_tells"]
    assert rollout["effective_ms"] <= rollout["settled_ms"]


def test_a_wait_in_vain_tells_the_version_that_was_wanted_and_those_that_came(ecdsim: Run, tmp_path: Path) -> None:
    images = '[{file: main.wasm, as: "hub.example.com/team/own:1.0.0"}]'
    scenario = written(tmp_path, images, "hub.example.com/team/own:1.0.0", f"{{version_by: '{HEADER}'}}", "3s")
    ended = ecdsim("run", scenario)
    assert ended.status == 1
    told = " ".join(ended.stdout.split())
    assert "traffic users must tell the version '1.0.0' (version_by must give the image's tag)" in told
    assert "it told 'unheard-of' (" in told
    # What goes to stderr meanwhile does not claim otherwise.
    assert "effective after" not in ended.stderr


def test_without_a_rule_the_wait_passes_and_nobody_says_that_traffic_saw_nothing(ecdsim: Run, tmp_path: Path) -> None:
    images = '[{file: main.wasm, as: "hub.example.com/team/own:1.0.0"}]'
    ended = ecdsim("run", written(tmp_path, images, "hub.example.com/team/own:1.0.0"))
    assert ended.status == 0, ended.stdout
    assert "traffic can't tell its versions" in ended.stdout


def test_a_rule_that_gives_no_version_of_some_response_fails_the_run(ecdsim: Run, tmp_path: Path) -> None:
    images = '[{file: main.wasm, as: "hub.example.com/team/own:1.0.0"}]'
    rule = f"{{version_by: '{HEADER} == null ? null : response.status'}}"
    ended = ecdsim("run", written(tmp_path, images, "hub.example.com/team/own:1.0.0", rule), "-o", "json", "-q")
    assert (ended.status, ended.result["outcome"]) == (1, "failed")
    assert "version_by gives a number (200), not a version" in ended.stderr

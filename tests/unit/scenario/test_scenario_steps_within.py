"""Steps within steps, gateways by name, and pieces that are included: read and checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.scenario.load import load_scenario
from sim.scenario.problems import InvalidScenario
from sim.scenario.schema import Repeat, Sleep, as_written

HEAD = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
"""
BODY = """\
  gateways: [{name: east}, {name: west, labels: {ring: canary}}]
  images:
  - {plugin: request-block, tag: 1.0.0}
  - {plugin: request-block, tag: 2.0.0}
  traffic:
    users: {gateway: west}
  steps:
  - apply: plugin.yaml
  - repeat:
      times: 3
      steps:
      - bump: {plugin: higress-system/block, tag: 2.0.0}
      - wait: {settled: higress-system/block, gateway: east}
      - bump: {plugin: higress-system/block, tag: 1.0.0}
  - parallel:
    - sleep: 1s
    - [{restart: discovery}, {kill: envoy/west}]
  - restart: envoy/west
  - wait: {ready: west}
  - pause: {part: envoy/east, for: 1s}
  - advance: 25h
  - check: traffic.users.failed == 0
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec: {url: "oci://registry.local/plugins/request-block:1.0.0"}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")

    def write_scenario(body: str) -> Path:
        path = tmp_path / "demo.yaml"
        path.write_text(HEAD + body, encoding="utf-8")
        return path

    return write_scenario


def test_each_step_has_a_number_and_a_line_also_within_others(write: Write) -> None:
    path = write(BODY)
    loaded = load_scenario(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    places = {step.number: lines[(step.where.line or 0) - 1].strip() for step in loaded.every_step()}
    assert places["2"] == "- repeat:"
    assert places["2.1.2"] == "- wait: {settled: higress-system/block, gateway: east}"
    assert places["3.1.1"] == "- sleep: 1s"
    assert places["3.2.2"] == "- [{restart: discovery}, {kill: envoy/west}]"
    assert [step.step.kind for step in loaded.every_step()].count("bump") == 2


def test_what_steps_within_others_put_in_force_is_known(write: Write) -> None:
    loaded = load_scenario(write(BODY))
    urls = {key: made[0].spec["url"].rpartition(":")[2] for key, made in loaded.manifests.items()}
    assert urls == {(0,): "1.0.0", (1, 0, 0): "2.0.0", (1, 0, 2): "1.0.0"}


def test_a_scenario_with_steps_in_steps_reads_back_as_it_was_written(write: Write, tmp_path: Path) -> None:
    loaded = load_scenario(write(BODY))
    again = tmp_path / "again.yaml"
    again.write_text(loaded.resolved_yaml(), encoding="utf-8")
    assert load_scenario(again).scenario.spec.steps == loaded.scenario.spec.steps


def test_a_repeat_is_written_with_its_steps() -> None:
    step = Repeat(times=2, steps=[Sleep(duration="1s")])
    assert as_written(step) == {"repeat": {"times": 2, "steps": [{"sleep": {"duration": "1s"}}]}}


WRONG: dict[str, tuple[str, str, str, str]] = {
    "a gateway that is not there": ("gateway: east}", "gateway: eastt}", "eastt", "did you mean east?"),
    "a part that is none": ("restart: discovery", "restart: discovry", "discovry", "registry, core, discovery"),
    "a part that several have": ("restart: envoy/west", "restart: envoy", "several envoys", "envoy/east"),
    "a part of a gateway that is not there": ("kill: envoy/west", "kill: envoy/wst", "wst", "did you mean west?"),
    "a pause of something else": ("part: envoy/east", "part: core", "only envoy can be paused", "timeout"),
    "a readiness of nobody": ("ready: west", "ready: north", "north", "east, west"),
    "traffic to nobody": ("{gateway: west}", "{gateway: nowhere}", "nowhere", "east, west"),
    "two gateways of one name": ("{name: west,", "{name: east,", "two gateways", "another name"),
    "one gateway and several": ("  gateways:", "  gateway: {workers: 1}\n  gateways:", "together", "gateways alone"),
    "a repeat of nothing": ("times: 3", "times: 0", "out of range", "at least 1"),
    "an unknown step within": ("- sleep: 1s", "- slep: 1s", "slep", "did you mean sleep?"),
    "an unknown key within": ("{restart: discovery}", "{restart: {prt: core}}", "unknown key", "did you mean part?"),
    "a bump within to what is not there": ("tag: 2.0.0}\n      - wait", "tag: 9.0.0}\n      - wait", "9.0.0", "it has"),
    "a check of an unknown name": ("traffic.users.failed == 0", "trafic.users.failed == 0", "trafic", "traffic"),
    "a lone branch": ("    - [{restart: discovery}, {kill: envoy/west}]\n", "", "has 1 branch", "at least 2"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_within_steps_is_told_with_a_hint(what: str, write: Write) -> None:
    old, new, message, hint = WRONG[what]
    assert BODY.count(old) == 1, old
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(BODY.replace(old, new)))
    told = str(refused.value)
    assert message in told and hint in told, told
    assert all(problem.where is not None and problem.where.line for problem in refused.value.problems)


PIECE = """\
apiVersion: ecdsim/v1
kind: Piece
spec:
  images:
  - {plugin: request-block, tag: 1.0.0}
  traffic:
    users: {rate: 50/s}
  steps:
  - apply: plugin.yaml
  - wait: {settled: higress-system/block}
  expect:
  - traffic.users.failed == 0
"""
INCLUDING = """\
  include: [shared/start.yaml]
  images:
  - {plugin: request-block, tag: 2.0.0}
  steps:
  - bump: {plugin: higress-system/block, tag: 2.0.0}
  expect:
  - size(rollouts) == 2
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")
    (folder / "start.yaml").write_text(PIECE, encoding="utf-8")
    return folder / "start.yaml"


def test_a_piece_comes_before_what_includes_it_and_keeps_its_places(write: Write, shared: Path) -> None:
    loaded = load_scenario(write(INCLUDING))
    assert [step.step.kind for step in loaded.steps] == ["apply", "wait", "bump"]
    assert [(Path(s.where.file).name, s.where.line) for s in loaded.steps] == [
        ("start.yaml", 9), ("start.yaml", 10), ("demo.yaml", 9),
    ]  # fmt: skip
    assert [image.reference.tag for image in loaded.images] == ["1.0.0", "2.0.0"]
    assert [Path(expectation.where.file).name for expectation in loaded.expectations] == ["start.yaml", "demo.yaml"]
    assert set(loaded.scenario.spec.traffic) == {"users"}


def test_a_mistake_in_a_piece_is_told_in_the_piece(write: Write, shared: Path) -> None:
    shared.write_text(PIECE.replace("settled:", "setled:"), encoding="utf-8")
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(INCLUDING))
    assert f"{shared}:10:" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "piece", "told"),
    [
        (INCLUDING.replace("start", "strat"), PIECE, "did you mean start.yaml?"),
        (INCLUDING, PIECE.replace("kind: Piece", "kind: Pice"), "kind: Piece"),
        (INCLUDING, PIECE.replace("  traffic:", "  trafic:"), "did you mean traffic?"),
        (INCLUDING, PIECE.replace("  images:\n  -", "  images:\n   a:"), "must be a list"),
        (INCLUDING + "  traffic: {users: {}}\n", PIECE, "another name"),
        (INCLUDING.replace("[shared", "[{a: 1}, shared"), PIECE, "path of a piece"),
    ],
)
def test_what_can_be_wrong_with_a_piece(body: str, piece: str, told: str, write: Write, shared: Path) -> None:
    shared.write_text(piece, encoding="utf-8")
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(body))
    assert told in str(refused.value)

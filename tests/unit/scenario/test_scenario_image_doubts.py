"""What `validate` and `run` tell of images beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli import cli
from sim.scenario.image_doubts import packing_doubts
from sim.scenario.images import ImageProblem, resolve_image
from sim.scenario.schema import BundledImage, FileImage
from tests.wasm_modules import plugin

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: doubtful, title: {en: Doubtful}}
spec:
  matrix: {profile: [higress, istio-1.27]}
  images:
  - {file: ./main.wasm, as: "hub.example.com/team/mine:1.0.0", format: FORMAT}
  steps:
  - sleep: 1ms
"""


@pytest.mark.parametrize(
    ("entry", "doubts"),
    [
        ({"format": "guide"}, True),
        ({"format": "guide", "member": "plugin.wasm"}, False),
        ({"format": "docker"}, False),
        ({"format": "docker", "member": "main.wasm"}, True),
        ({"format": "docker", "member": "dir/plugin.wasm"}, False),
        ({"format": "artifact"}, False),
    ],
)
def test_an_archive_without_plugin_wasm_is_told_of(entry: dict[str, str], doubts: bool, tmp_path: Path) -> None:
    (tmp_path / "main.wasm").write_bytes(plugin())
    image = resolve_image(
        FileImage.model_validate({"file": "main.wasm", "as": "h.example.com/a/b:1", **entry}), tmp_path
    )
    told = list(packing_doubts([image]))
    assert bool(told) == doubts
    if doubts:
        assert "h.example.com/a/b:1: the agent will refuse it: its archive holds main.wasm" in told[0]


def test_a_bundled_plugin_is_told_of_unless_its_file_was_named_on_purpose(tmp_path: Path) -> None:
    def told(**more: str) -> list[str]:
        entry = BundledImage.model_validate({"plugin": "request-block", "tag": "1.0.0", **more})
        return list(packing_doubts([resolve_image(entry, tmp_path)]))

    assert len(told(format="guide")) == 1
    assert told(format="oci", member="main.wasm") == []


def test_validate_warns_once_of_what_will_be_refused_and_the_scenario_stays_valid(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("FORMAT", "guide"))
    (tmp_path / "main.wasm").write_bytes(plugin(imports=[("env", "proxy_redis_init")]))
    ended = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    assert ended.exit_code == 0
    assert ended.stdout == f"{tmp_path}: valid (doubtful, 2 combinations)\n"
    packed, imported = ended.stderr.splitlines()
    assert packed.startswith(f"warning: {tmp_path}: ") and "plugin.wasm" in packed
    assert "proxy_redis_init" in imported


def test_validate_says_nothing_of_a_module_that_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("FORMAT", "docker"))
    (tmp_path / "main.wasm").write_bytes(plugin())
    assert CliRunner().invoke(cli, ["validate", str(tmp_path)]).stderr == ""


def test_where_there_is_no_envoy_validate_still_tells_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVOY", str(tmp_path / "none"))
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("FORMAT", "guide"))
    (tmp_path / "main.wasm").write_bytes(plugin(imports=[("env", "proxy_redis_init")]))
    ended = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (0, 1)


@pytest.mark.parametrize("source", ["go.mod", "Cargo.toml", "build.zig", "package.json", "filter.c"])
def test_a_module_that_was_not_built_yet_is_to_be_built(source: str, tmp_path: Path) -> None:
    (tmp_path / "main.go").touch()
    (tmp_path / source).write_text(json.dumps({}))
    with pytest.raises(ImageProblem) as refused:
        resolve_image(FileImage.model_validate({"file": "main.wasm", "as": "h.example.com/a/b:1"}), tmp_path)
    assert refused.value.hint == f"build it first: ecdsim plugin build {tmp_path}"


def test_a_file_that_nothing_builds_may_be_called_otherwise(tmp_path: Path) -> None:
    (tmp_path / "main.go").touch()
    with pytest.raises(ImageProblem) as refused:
        resolve_image(FileImage.model_validate({"file": "main.wasm", "as": "h.example.com/a/b:1"}), tmp_path)
    assert refused.value.hint == "did you mean main.go?"

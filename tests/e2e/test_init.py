"""`ecdsim init`: what it writes runs, and passes, as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Ended
from tests.wasm_modules import plugin

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]


@pytest.mark.parametrize("name", ["request-block", "key-auth", "http-call"])
def test_a_first_scenario_passes_with_a_bundled_plugin(name: str, ecdsim: Run, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    assert ecdsim("init", folder, "--plugin", name).status == 0
    ended = ecdsim("run", folder, "-o", "json", "-q")
    assert ended.status == 0, ended.stderr
    assert ended.result["outcome"] == "passed"
    assert [rollout["to"][-5:] for rollout in ended.result["rollouts"]] == ["1.0.0", "2.0.0"]
    assert ended.result["traffic"]["users"]["by_version"]["2.0.0"] > 0


def test_a_first_scenario_passes_with_a_module_of_ones_own(ecdsim: Run, tmp_path: Path) -> None:
    module = tmp_path / "mine.wasm"
    module.write_bytes(plugin())
    folder = tmp_path / "first"
    assert ecdsim("init", folder, "--plugin", module).status == 0
    ended = ecdsim("run", folder, "-o", "json", "-q")
    assert ended.status == 0, ended.stderr
    assert ended.result["rollouts"][0]["acked"] is True


def test_existing_files_are_2(ecdsim: Run, tmp_path: Path) -> None:
    assert ecdsim("init", tmp_path).status == 0
    again = ecdsim("init", tmp_path)
    assert (again.status, again.stdout) == (2, "")
    assert "scenario.yaml" in again.stderr

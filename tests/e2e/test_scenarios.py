"""The scenario library, as a user runs it, on a real Envoy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # the package has no types
import pytest

from sim.envoy import find_envoy
from sim.errors import EnvironmentProblem
from sim.scenario.load import load_scenarios
from sim.scenario.result import STAGES, result_schema
from sim.trace import read_payload, read_trace
from tests.e2e.conftest import SCENARIOS, Ended
from tests.scenario_table import scenario_files

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.relative_to(SCENARIOS).as_posix())
def test_every_scenario_of_the_library_passes(path: Path, ecdsim: Run) -> None:
    for loaded in load_scenarios(path):
        _skip_without(loaded.envoy)
    ended = ecdsim("run", path, "-o", "json", timeout_s=300)
    assert ended.status == 0, ended.stderr
    # With a matrix there is a result for each combination.
    results = ended.result if isinstance(ended.result, list) else [ended.result]
    for result in results:
        assert result["outcome"] == "passed"
        assert result["expectations"]


def _skip_without(envoy: str | None) -> None:
    """A release of Envoy that a matrix names is not there before somebody has fetched it."""
    try:
        find_envoy(envoy)
    except EnvironmentProblem as error:
        pytest.skip(f"NO ENVOY {envoy}, THE SCENARIO IS NOT RUN WITH IT: {error}")


@pytest.mark.parametrize("profile", ["higress-1.19", "istio-1.27"])
def test_the_tag_bump_passes_in_every_profile(profile: str, ecdsim: Run) -> None:
    ended = ecdsim("run", SCENARIOS / "tag-bump", "--profile", profile, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert ended.result["profile"] == profile


@pytest.fixture(scope="module")
def tag_bump(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run that many tests look at: its result."""
    runs = tmp_path_factory.mktemp("runs")
    finished = subprocess.run(
        [sys.executable, "-m", "sim", "run", str(SCENARIOS / "tag-bump"), "-q", "-o", "json", "--runs-dir", str(runs)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    decoded: dict[str, Any] = json.loads(finished.stdout)
    return decoded


def test_the_stages_add_up_to_effective_ms(tag_bump: dict[str, Any]) -> None:
    for rollout in tag_bump["rollouts"]:
        stages = [rollout["stages_ms"][stage] for stage in STAGES]
        assert all(value is None or value >= 0 for value in stages)
        assert sum(value for value in stages if value is not None) == pytest.approx(rollout["effective_ms"], rel=0.02)


def test_a_first_pull_has_every_stage(tag_bump: dict[str, Any]) -> None:
    assert all(tag_bump["rollouts"][1]["stages_ms"][stage] is not None for stage in STAGES)


def test_both_versions_served_and_nothing_was_lost(tag_bump: dict[str, Any]) -> None:
    users = tag_bump["traffic"]["users"]
    assert users["requests"] > 500
    assert (users["failed"], users["connections_broken"]) == (0, 0)
    assert users["by_version"]["1.0.0"] > 0 and users["by_version"]["2.0.0"] > 0
    # Adding the plugin changed the listener, so every connection was drained and opened again, once.
    assert users["connections_opened"] == 16
    assert users["connections_drained"] == 8


def test_every_worker_switched(tag_bump: dict[str, Any]) -> None:
    for rollout in tag_bump["rollouts"]:
        assert [worker["worker"] for worker in rollout["workers"]] == [0, 1]
        assert all(worker["ready_ms"] > 0 for worker in rollout["workers"])


def test_result_json_fits_its_published_schema(tag_bump: dict[str, Any]) -> None:
    jsonschema.validate(tag_bump, result_schema())
    written = json.loads((Path(tag_bump["directory"]) / "result.json").read_text(encoding="utf-8"))
    assert written == tag_bump


def test_the_run_directory_holds_what_was_promised(tag_bump: dict[str, Any]) -> None:
    directory = Path(tag_bump["directory"])
    names = {path.name for path in directory.iterdir()}
    assert {
        "scenario.yaml",
        "trace.jsonl",
        "payloads",
        "result.json",
        "envoy.log",
        "config_dump.json",
    } <= names
    assert re.fullmatch(r"tag-bump-\d{8}T\d{6}Z", directory.name)


def test_the_trace_tells_the_nine_steps_in_their_order(tag_bump: dict[str, Any]) -> None:
    events = read_trace(Path(tag_bump["directory"]))
    bump = [e for e in events if e.event == "core.apply" and e.plugin][1]
    later: list[tuple[str, str | None]] = [(e.event, e.span) for e in events[bump.seq :]]
    order = [
        ("core.apply", None),
        ("core.convert", "completed"),
        ("core.mcp_push", None),
        ("discovery.received", None),
        ("discovery.debounce", "completed"),
        ("discovery.push", None),
        ("agent.intercept", None),
        ("agent.fetch", "completed"),
        ("agent.unpack", "completed"),
        ("agent.rewrite", "completed"),
        ("agent.deliver", None),
    ]
    positions = [later.index(step) for step in order]
    assert positions == sorted(positions)
    assert {"envoy.worker_ready", "envoy.ack", "traffic.first_response"} <= {name for name, _ in later}


def test_the_payload_of_the_rewrite_shows_oci_before_and_a_file_after(tag_bump: dict[str, Any]) -> None:
    directory = Path(tag_bump["directory"])
    rewrite = [e for e in read_trace(directory) if e.event == "agent.rewrite" and e.span == "completed"][-1]
    before, after = (read_payload(directory, rewrite.data["payloads"][role]) for role in ("before", "after"))
    code = before["typed_config"]["config"]["vm_config"]["code"]
    assert code["remote"]["http_uri"]["uri"] == tag_bump["rollouts"][1]["to"]
    vm_config = after["typed_config"]["config"]["vm_config"]
    assert vm_config["code"]["local"]["filename"].endswith(".wasm")
    assert "environment_variables" not in vm_config


def test_the_listener_goes_out_again_with_the_same_bytes(tag_bump: dict[str, Any]) -> None:
    events = read_trace(Path(tag_bump["directory"]))
    applied = [e for e in events if e.event == "core.apply" and e.plugin]
    listeners = [e for e in events if e.event == "discovery.push" and (e.type_url or "").endswith(".Listener")]
    before = [e for e in listeners if e.seq < applied[1].seq][-1]
    after = next(e for e in listeners if e.seq > applied[1].seq)
    assert before.version_info != after.version_info
    assert before.data["payloads"] == after.data["payloads"]


def test_envoy_was_not_told_of_the_image(tag_bump: dict[str, Any]) -> None:
    dump = (Path(tag_bump["directory"]) / "config_dump.json").read_text(encoding="utf-8")
    assert "config_discovery" in dump
    assert "oci://" not in dump
    assert "ISTIO_META_" not in dump


def test_two_runs_at_the_same_time_pass(start_ecdsim: Callable[..., Any]) -> None:
    running = [start_ecdsim(SCENARIOS / "tag-bump", "-q", "-o", "json") for _ in range(2)]
    ended = [process.communicate(timeout=90) for process in running]
    assert [process.returncode for process in running] == [0, 0], [error for _, error in ended]
    directories = {json.loads(output)["directory"] for output, _ in ended}
    assert len(directories) == 2

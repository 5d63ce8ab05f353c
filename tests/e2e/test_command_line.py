"""What users do wrong, and what they stop: the exit codes, the messages, and what is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SCENARIOS, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Path]:
    """A copy of tag-bump with some of its text changed."""

    def changed(**replacements: str) -> Path:
        folder = tmp_path / "scenario"
        shutil.copytree(SCENARIOS / "tag-bump", folder)
        file = folder / "scenario.yaml"
        text = file.read_text(encoding="utf-8")
        for old, new in (replacement.split(" => ") for replacement in replacements.values()):
            assert old in text
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
        return folder

    return changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("rate: 200/s => rate: 200", "spec.traffic.users.rate"),
        ("apply: request-block.yaml => apply: request-blok.yaml", "did you mean request-block.yaml"),
        ("plugin: request-block, tag: 1.0.0 => plugin: request-blok, tag: 1.0.0", "did you mean request-block"),
        ("gateway: {workers: 2} => gatway: {workers: 2}", "did you mean gateway"),
        ("within: 10s => within: 10", "a duration carries its unit"),
        ("traffic.users.failed == 0 => traffic.user.failed == 0", "did you mean users"),
    ],
)
def test_a_scenario_that_is_not_valid_ends_with_2_and_says_where(
    change: str, told: str, scenario: Callable[..., Path], ecdsim: Run
) -> None:
    folder = scenario(change=change)
    ended = ecdsim("run", folder)
    assert ended.status == 2
    assert f"{folder / 'scenario.yaml'}:" in ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_validate_starts_nothing_and_tells_every_problem(scenario: Callable[..., Path], ecdsim: Run) -> None:
    folder = scenario(one="rate: 200/s => rate: 200", two="within: 10s => within: 10")
    ended = ecdsim("validate", folder, SCENARIOS / "rollback")
    assert ended.status == 2
    assert ended.stderr.count("scenario.yaml:") >= 3
    assert "rollback: valid" in ended.stdout


def test_no_envoy_ends_with_3_and_says_what_to_do(ecdsim: Run) -> None:
    ended = ecdsim("run", SCENARIOS / "tag-bump", env={"ENVOY": "/nonexistent/envoy"})
    assert ended.status == 3
    assert "/nonexistent/envoy" in ended.stderr and "hint" in ended.stderr


def test_something_that_is_no_envoy_ends_with_3(ecdsim: Run) -> None:
    ended = ecdsim("run", SCENARIOS / "tag-bump", "--envoy", "/bin/true")
    assert ended.status == 3
    assert "--version" in ended.stderr


def test_a_taken_port_ends_with_3_and_names_it(scenario: Callable[..., Path], ecdsim: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        folder = scenario(port=f"gateway: {{workers: 2}} => gateway: {{workers: 2, port: {port}}}")
        ended = ecdsim("run", folder, "-q", "-o", "json")
    assert ended.status == 3
    assert str(port) in ended.stderr
    assert ended.result["outcome"] == "error"


def test_a_run_directory_that_can_not_be_made_ends_with_3(ecdsim: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    ended = ecdsim("run", SCENARIOS / "tag-bump")
    assert ended.status == 3
    assert "--runs-dir" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_expectation_that_fails_ends_with_1_and_shows_the_values(scenario: Callable[..., Path], ecdsim: Run) -> None:
    folder = scenario(expect="traffic.users.requests > 500 => traffic.users.requests > 500000")
    ended = ecdsim("run", folder, "-q")
    assert ended.status == 1
    assert "traffic.users.requests > 500000" in ended.stdout
    assert "scenario.yaml:" in ended.stdout


def test_a_wait_in_vain_says_how_far_it_came_and_the_rest_is_reported(
    scenario: Callable[..., Path], ecdsim: Run
) -> None:
    folder = scenario(
        bump="tag: 2.0.0}\n  - wait: {settled: higress-system/request-block, within: 10s}"
        " => tag: 9.9.9, missing: true}\n  - wait: {effective: higress-system/request-block, within: 10s}"
    )
    ended = ecdsim("run", folder, "-q", "-o", "json")
    assert ended.status == 1
    assert "refused" in ended.result["error"]["message"] and "404" in ended.result["error"]["message"]
    assert ended.result["rollouts"][1]["nacked"] is True
    assert ended.result["traffic"]["users"]["failed"] == 0


def test_a_part_that_dies_is_named_with_the_end_of_its_log(start_ecdsim: Start, tmp_path: Path) -> None:
    process = start_ecdsim(SCENARIOS / "tag-bump", "-o", "json")
    (envoy,) = wait_for_envoy(process, tmp_path)
    os.kill(envoy, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    result: dict[str, Any] = json.loads(output)
    assert process.returncode == 3
    assert result["outcome"] == "error"
    assert result["error"]["part"] == "envoy"
    assert "worker" in result["error"]["log_tail"] or "Wasm" in result["error"]["log_tail"]
    lines = (Path(result["directory"]) / "trace.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] != ""
    assert any(json.loads(line)["event"] == "agent.deliver" for line in lines)


def wait_for_envoy(process: subprocess.Popen[str], tmp_path: Path) -> list[int]:
    """Read progress until the first step is done; the PIDs of the run's Envoy then."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/"):
            break
    return processes_of(tmp_path, "envoy")


def processes_of(folder: Path, program: str = "") -> list[int]:
    """The processes whose command line names this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if program in words[0] and any(str(folder) in word for word in words) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_behind(number: signal.Signals, start_ecdsim: Start, tmp_path: Path) -> None:
    process = start_ecdsim(SCENARIOS / "tag-bump")
    wait_for_envoy(process, tmp_path)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert processes_of(tmp_path) == []
    # TMPDIR was the test's folder: what is left in it is the run directory alone.
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (directory,) = (tmp_path / "runs").iterdir()
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    assert (result["outcome"], result["error"]["message"]) == ("error", "interrupted")


def test_data_goes_to_stdout_and_progress_to_stderr(ecdsim: Run) -> None:
    ended = ecdsim("run", SCENARIOS / "first-plugin", "-o", "json")
    assert ended.status == 0
    json.loads(ended.stdout)
    assert "[1/" in ended.stderr

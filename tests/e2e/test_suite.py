"""`ecdsim test` and `ecdsim diff` as CI runs them: several scenarios at a time, reports, baselines, interrupts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, SCENARIOS, Ended
from tests.e2e.test_command_line import processes_of

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

#: A scenario as short as one can be: one plugin, one request that it blocks.
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: NAME, title: {en: A demonstration}}
spec:
  gateway: {workers: 1}
  images:
  - {plugin: request-block, tag: 1.0.0}
  steps:
  - apply: request-block.yaml
  - wait: {acked: higress-system/request-block}
  - request: {path: /swagger.html, within: 5s, expect: {status: 403}}
  expect:
  - EXPECT
"""


def write(folder: Path, name: str, expect: str = "rollouts[0].acked", **replaced: str) -> Path:
    """A scenario in a folder of its own."""
    made = folder / name
    made.mkdir(parents=True)
    shutil.copy(SCENARIOS / "tag-bump" / "request-block.yaml", made)
    text = SCENARIO.replace("NAME", name).replace("EXPECT", expect)
    for change in replaced.values():
        old, new = change.split(" => ")
        assert old in text
        text = text.replace(old, new)
    (made / "scenario.yaml").write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def suite(tmp_path: Path, ecdsim: Run) -> Callable[..., Ended]:
    """`ecdsim test` on the test's own scenarios."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Ended:
        return ecdsim("test", tmp_path / "scenarios", "--runs-dir", tmp_path / "runs", *arguments, env=env)

    return run


def test_one_that_passes_and_one_that_fails_two_at_a_time(suite: Run, tmp_path: Path) -> None:
    write(tmp_path / "scenarios", "good")
    bad = write(tmp_path / "scenarios", "bad", "rollouts[0].acked && size(rollouts) == 7")
    junit = tmp_path / "reports" / "junit.xml"
    env = {"GITHUB_WORKSPACE": str(tmp_path)}
    ended = suite("-j", "2", "--junit-xml", junit, "--github-annotations", env=env)
    assert ended.status == 1, ended.stderr
    assert re.search(r"^PASSED +\d+\.\d s  good$", ended.stdout, re.MULTILINE)
    assert re.search(r"^FAILED +\d+\.\d s  bad$", ended.stdout, re.MULTILINE)
    assert f"{bad / 'scenario.yaml'}:13  not so: rollouts[0].acked && size(rollouts) == 7" in ended.stdout
    assert "size(rollouts) = 1" in ended.stdout
    assert "::error file=scenarios/bad/scenario.yaml,line=13,title=bad::not so:" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("1 passed, 1 failed in ")
    cases = {case.attrib["name"]: case for case in ET.parse(junit).getroot().iter("testcase")}
    assert cases["good"].find("failure") is None
    assert cases["bad"].find("failure") is not None
    assert all(float(case.attrib["time"]) > 0 for case in cases.values())


def test_an_invalid_scenario_prevents_every_run_and_is_told_everywhere(suite: Run, tmp_path: Path) -> None:
    write(tmp_path / "scenarios", "good")
    bad = write(tmp_path / "scenarios", "bad", wrong="tag: 1.0.0 => tog: 1.0.0")
    junit = tmp_path / "junit.xml"
    ended = suite("-j", "2", "--junit-xml", junit, "--github-annotations")
    assert ended.status == 2
    assert f"{bad / 'scenario.yaml'}:7" in ended.stderr
    assert "did you mean tag" in ended.stderr
    assert "line=7" in ended.stdout
    assert not (tmp_path / "runs").exists()
    root = ET.parse(junit).getroot()
    assert (root.attrib["errors"], root.attrib["skipped"]) == ("1", "1")


def test_each_combination_is_a_case_and_a_run_of_its_own(suite: Run, tmp_path: Path) -> None:
    matrix = "  gateway: {workers: 1} =>   matrix: {format: [oci, guide], workers: [1]}"
    write(tmp_path / "scenarios", "packed", 'rollouts[0].acked == (combination.format == "oci")', matrix=matrix)
    ended = suite("-j", "2", "-o", "json")
    data = ended.result
    outcomes = {case["name"]: case["outcome"] for case in data["cases"]}
    assert set(outcomes) == {"packed[oci-workers-1]", "packed[guide-workers-1]"}
    assert outcomes["packed[oci-workers-1]"] == "passed"
    names = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "runs").iterdir())
    assert names == ["packed-guide-workers-1", "packed-oci-workers-1"]
    chosen = suite("-k", "guide", "--list")
    assert chosen.stdout == "packed[guide-workers-1]\n"


def test_a_baseline_goes_round_and_a_changed_configuration_is_a_difference_with_its_path(
    suite: Run, tmp_path: Path, ecdsim: Run
) -> None:
    folder = write(tmp_path / "scenarios", "block")
    base = tmp_path / "base"
    written = suite("--baseline", base, "--update-baseline")
    assert written.status == 0, written.stdout
    assert "baseline new" in written.stdout
    text = (base / "block.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert suite("--baseline", base, "--runs", "2", "-j", "2").status == 0
    manifest = folder / "request-block.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("- swagger.html", "- swagger.html\n    - /admin"))
    drifted = suite("--baseline", base)
    assert drifted.status == 1
    assert "not as the baseline has it" in drifted.stdout
    assert re.search(r'spec\.defaultConfig\.block_urls\[1\] +\(not there\) → "/admin"', drifted.stdout)
    again = suite("--baseline", base, "--update-baseline")
    assert (again.status, "baseline changed" in again.stdout) == (0, True)
    assert (base / "block.json").read_text(encoding="utf-8") != text
    first, *_, last = sorted((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    differ = ecdsim("diff", first, last, "-o", "json")
    assert differ.status == 1
    paths = {change["path"] for change in differ.result["payloads"]}
    assert "spec.defaultConfig.block_urls[1]" in paths
    assert differ.result["order"] == []
    same = ecdsim("diff", first, first)
    assert (same.status, same.stdout.splitlines()[-1]) == (0, "same (times are not held against each other)")


def test_an_interrupt_stops_what_runs_reports_what_ended_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "scenarios", "a-short")
    for name in ("b-long", "c-long", "d-never"):
        write(tmp_path / "scenarios", name, wait="  expect: =>   - sleep: 60s\n  expect:")
    junit = tmp_path / "junit.xml"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sim", "test", str(tmp_path / "scenarios"), "-j", "2"),
            *("--junit-xml", str(junit), "--runs-dir", str(tmp_path / "runs")),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "PASSED" in first
    assert "a-short" in first
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted: 1 passed" in rest.splitlines()[-1]
    assert "not run" in rest
    root = ET.parse(junit).getroot()
    assert (root.attrib["tests"], root.attrib["errors"], root.attrib["failures"]) == ("4", "3", "0")
    assert processes_of(tmp_path) == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("ecdsim-")]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--junit-xml", "{tmp}/file/junit.xml"], 3, "--junit-xml"),
        (["--baseline", "{tmp}/file/base", "--update-baseline"], 3, "--baseline"),
        (["--envoy", "/nonexistent/envoy"], 3, "/nonexistent/envoy"),
        (["--envoy", "1.0.0"], 3, "ecdsim envoy install 1.0.0"),
        (["--fixed", "nothing"], 2, "has no bug 'nothing'"),
        (["-k", "nothing"], 2, "none of 1 cases"),
        (["-k", "a and"], 2, "breaks off"),
        (["--update-baseline"], 2, "needs --baseline"),
        (["--max-ratio", "2"], 2, "needs --baseline"),
        (["{tmp}/nowhere"], 2, "no such file or folder"),
    ],
)
def test_what_makes_runs_vain_is_told_before_the_first(
    arguments: list[str], status: int, told: str, suite: Run, tmp_path: Path
) -> None:
    write(tmp_path / "scenarios", "good")
    (tmp_path / "file").write_text("")
    ended = suite(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert (ended.status, "Traceback" in ended.stderr) == (status, False), ended.stderr
    assert told in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_failure_ends_a_fail_fast_suite(suite: Run, tmp_path: Path) -> None:
    write(tmp_path / "scenarios", "a-bad", "size(rollouts) == 7")
    write(tmp_path / "scenarios", "b-good")
    ended = suite("--fail-fast", "-j", "1")
    assert ended.status == 1
    assert ended.stdout.splitlines()[-1].startswith("1 failed, 1 not run in ")


def test_runs_that_can_not_be_made_end_with_3_and_say_why(suite: Run, tmp_path: Path) -> None:
    write(tmp_path / "scenarios", "good")
    (tmp_path / "runs").write_text("in the way")
    ended = suite()
    assert ended.status == 3
    assert "--runs-dir" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("1 error in ")


def test_a_scenario_with_a_matrix_is_run_once_for_each_combination(tmp_path: Path, ecdsim: Run) -> None:
    matrix = "  gateway: {workers: 1} =>   matrix: {workers: [1, 2]}"
    folder = write(tmp_path / "scenarios", "sized", "environment.workers == combination.workers", matrix=matrix)
    validated = ecdsim("validate", folder)
    assert validated.stdout == f"{folder}: valid (sized, 2 combinations)\n"
    ended = ecdsim("run", folder, "-q", "-o", "json")
    assert ended.status == 0, ended.stderr
    results: Any = ended.result
    assert [each["combination"]["workers"] for each in results] == [1, 2]
    assert [Path(each["directory"]).name.rpartition("-")[0] for each in results] == [
        "sized-workers-1",
        "sized-workers-2",
    ]
    table = ecdsim("run", folder, "-q")
    assert re.search(r"^  PASSED  workers-2  ", table.stdout, re.MULTILINE)
    one = ecdsim("run", folder, "--combination", "workers-2", "-q", "-o", "json")
    assert one.result["environment"]["workers"] == 2
    unknown = ecdsim("run", folder, "--combination", "workers-3", "-q")
    assert (unknown.status, "workers-1, workers-2" in unknown.stderr) == (2, True)


def test_the_schema_of_a_result_has_the_combination(ecdsim: Run) -> None:
    schema = json.loads(ecdsim("schema", "result").stdout)
    assert "combination" in schema["properties"]

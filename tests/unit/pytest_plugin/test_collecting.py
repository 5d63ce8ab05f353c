"""The plugin in a project: what it costs those who do not use it, and how scenario files are collected."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sim.pytest_plugin.collecting
import sim.pytest_plugin.factory
import sim.scenario.runner
import sim.scenario.session  # noqa: F401  pytester forgets what is first imported while it runs; these can't be twice

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[3]
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: block, labels: [incident, not-slow], title: {en: A plugin that blocks}}
spec:
  matrix: {format: [oci, guide]}
  images: [{plugin: request-block, tag: 1.0.0}]
  steps:
  - apply: request-block.yaml
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with one scenario, in which markers and options must be known and warnings are errors."""
    # In this process the package is imported before pytest would rewrite it, which is of no concern to a user.
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p no:asyncio -W ignore::pytest.PytestAssertRewriteWarning\n"
        "filterwarnings = error\n"
    )
    shutil.copy(ROOT / "scenarios" / "tag-bump" / "request-block.yaml", pytester.path)
    (pytester.path / "checkout.ecdsim.yaml").write_text(SCENARIO, encoding="utf-8")
    return pytester


def collected(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    outcome = pytester.runpytest_inprocess("--collect-only", "-q", *arguments)
    return [line for line in outcome.outlines if "::" in line]


def test_importing_the_plugin_imports_nothing_of_a_run() -> None:
    heavy = {"asyncio", "grpc", "pydantic", "ruamel", "rich", "aiohttp", "sim.scenario", "sim.errors"}
    script = f"import sys, sim.pytest_plugin; print(sorted({heavy!r} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_a_scenario_file_is_a_test_for_each_combination(project: pytest.Pytester) -> None:
    assert collected(project) == [
        "checkout.ecdsim.yaml::block[oci]",
        "checkout.ecdsim.yaml::block[guide]",
    ]


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["-k", "guide"], ["block[guide]"]),
        (["-k", "checkout and not oci"], ["block[guide]"]),
        (["-m", "incident"], ["block[oci]", "block[guide]"]),
        (["-m", "not-slow and not incident"], []),
        (["-m", "not slow"], ["block[oci]", "block[guide]"]),
        (["checkout.ecdsim.yaml::block[oci]"], ["block[oci]"]),
    ],
)
def test_words_and_labels_choose_scenarios(arguments: list[str], chosen: list[str], project: pytest.Pytester) -> None:
    assert collected(project, *arguments) == [f"checkout.ecdsim.yaml::{name}" for name in chosen]


def test_other_yaml_files_are_no_tests(project: pytest.Pytester) -> None:
    (project.path / "checkout.ecdsim.yaml").rename(project.path / "scenario.yaml")
    assert collected(project) == []


def test_a_file_that_is_not_valid_is_an_error_with_every_place_in_it(project: pytest.Pytester) -> None:
    file = project.path / "checkout.ecdsim.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("tag:", "tog:").replace("request-block.yaml", "request-blok.yaml"), encoding="utf-8")
    outcome = project.runpytest_inprocess()
    assert outcome.ret == pytest.ExitCode.INTERRUPTED
    outcome.stdout.fnmatch_lines(
        [
            "*ERROR collecting checkout.ecdsim.yaml*",
            f"{file}:6:*unknown key*",
            "*did you mean tag*",
            "ERROR checkout.ecdsim.yaml*",
        ]
    )
    outcome.stdout.no_fnmatch_line("*Traceback*")


def test_the_header_says_which_ecdsim_and_envoy(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVOY", raising=False)
    project.runpytest_inprocess("--collect-only").stdout.re_match_lines([r"ecdsim: \d+\.\d+\S*, Envoy \d+\.\d+\.\d+$"])
    monkeypatch.setenv("ENVOY", "/opt/envoy")
    project.runpytest_inprocess("--collect-only").stdout.re_match_lines([r"ecdsim: \S+, ENVOY=/opt/envoy$"])


def test_a_machine_without_envoy_fails_the_test_with_the_remedy(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVOY", "/nonexistent/envoy")
    outcome = project.runpytest_inprocess("-k", "oci")
    outcome.assert_outcomes(failed=1, deselected=1)
    outcome.stdout.fnmatch_lines(["no Envoy at /nonexistent/envoy (ENVOY)*", "  hint: *", "FAILED * - no Envoy at *"])
    outcome.stdout.no_fnmatch_line("*Traceback*")
    outcome.stdout.no_fnmatch_line("*.py:*")


def test_what_no_run_can_be_made_of_is_told_at_the_tests_own_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        def test_nothing_there(ecdsim):
            with ecdsim.sync("nothing.yaml"):
                raise AssertionError

        def test_no_scenario(ecdsim):
            with ecdsim.sync({"trafic": {}}):
                raise AssertionError

        def test_which_combination(ecdsim):
            with ecdsim.sync("checkout.ecdsim.yaml"):
                raise AssertionError

        def test_no_event_loop(ecdsim):
            with pytest.raises(StopIteration):
                ecdsim({}).__aenter__().send(None)
        """
    )
    outcome = project.runpytest_inprocess("-k", "test_")
    outcome.assert_outcomes(failed=4, deselected=2)
    outcome.stdout.fnmatch_lines(
        [
            '>       with ecdsim.sync("nothing.yaml"):',
            "E       *InvalidScenario: *nothing.yaml: there is no such scenario",
            "*.py:4: InvalidScenario",
            '>       with ecdsim.sync({"trafic": {}}):',
            "E       *InvalidScenario: *.py: spec.trafic: unknown key",
            "E         hint: did you mean traffic*",
            "E       *InvalidInput: *checkout.ecdsim.yaml has a matrix of 2 combinations, and a run is of one",
            "E         hint: name it: combination='oci'; there are oci, guide",
            "E       *InvalidInput: a run lives in an asyncio event loop, and this test runs in none",
        ]
    )
    outcome.stdout.no_fnmatch_line("*/sim/*.py:*")

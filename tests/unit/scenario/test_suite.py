"""Which scenarios are found below a path, which cases they are, and which of these are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InvalidInput
from sim.scenario.suite import Suite, discover, load_suite, namesakes, refuse_namesakes

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: NAME, title: {en: A demonstration}, labels: [LABELS]}
spec:
  steps:
  - sleep: 1ms
"""


def write(file: Path, name: str = "demo", labels: str = "", extra: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SCENARIO.replace("NAME", name).replace("LABELS", labels) + extra, encoding="utf-8")
    return file


def test_a_folder_has_its_scenario_files_and_other_yaml_that_says_it_is_one(tmp_path: Path) -> None:
    expected = [write(tmp_path / "b" / "deep" / "scenario.yaml"), write(tmp_path / "c" / "other.yml")]
    (tmp_path / "c" / "plugin.yaml").write_text("apiVersion: v1\nkind: Secret\n")
    (tmp_path / "c" / "piece.yaml").write_text("apiVersion: ecdsim/v1\nkind: Piece\n")
    write(tmp_path / ".hidden" / "scenario.yaml")
    assert discover([tmp_path]) == expected


@pytest.mark.parametrize(
    "head",
    ["apiVersion: ecdsim/v1\nkind: Secnario\n", "apiVersion: ecdsim/v1\nkind: scenario\n", "kind: Scenario\n",
     '{"apiVersion": "ecdsim/v1", "kind": "Scenario"}\n', "apiVersion: ecdsim/v2\n", "apiVersion: ecsdim/v1\n"],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_broken_scenario_is_found_too(tmp_path: Path, head: str, encoding: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(head, encoding=encoding)
    assert list(load_suite(discover([tmp_path])).invalid) == [file]


@pytest.mark.parametrize(
    "head", ["apiVersion: chaos.example.com/v1\nkind: Scenario\n", "kind: Secret\n", "- apiVersion\n", "", "hello\n"]
)
def test_somebody_elses_yaml_is_passed_by(tmp_path: Path, head: str) -> None:
    expected = write(tmp_path / "scenario.yaml")
    (tmp_path / "other.yaml").write_text(head)
    assert discover([tmp_path]) == [expected]


def test_two_scenarios_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a" / "scenario.yaml"), write(tmp_path / "b" / "scenario.yaml")
    with pytest.raises(InvalidInput, match="the name demo") as raised:
        refuse_namesakes(load_suite([one, other]).cases)
    assert str(one) in str(raised.value) and str(other) in str(raised.value)


def test_a_run_directory_is_no_scenario(tmp_path: Path) -> None:
    expected = write(tmp_path / "a" / "scenario.yaml")
    write(tmp_path / "runs" / "a-2026" / "scenario.yaml")
    (tmp_path / "runs" / "a-2026" / "trace.jsonl").write_text("")
    assert discover([tmp_path]) == [expected]


def test_a_file_that_is_named_twice_is_one_case(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "scenario.yaml")
    assert discover([file, tmp_path, tmp_path / "a"]) == [file]


def test_a_file_that_is_named_is_taken_whatever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("nothing")
    assert list(load_suite(discover([file])).invalid) == [file]


def test_a_path_that_is_not_there_says_which_may_be_meant(tmp_path: Path) -> None:
    write(tmp_path / "tag-bump" / "scenario.yaml")
    with pytest.raises(InvalidInput, match="no such") as raised:
        discover([tmp_path / "tag-bmp"])
    assert raised.value.hint is not None
    assert "tag-bump" in raised.value.hint


def test_a_folder_without_a_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no scenario here"):
        discover([tmp_path])


def suite_of(tmp_path: Path) -> Suite:
    write(tmp_path / "a" / "scenario.yaml", "alpha", "slow, incident")
    matrix = "  matrix: {format: [docker, oci]}\n"
    write(tmp_path / "b" / "scenario.yaml", "beta", "incident", matrix)
    return load_suite(discover([tmp_path]))


def test_each_combination_is_a_case(tmp_path: Path) -> None:
    suite = suite_of(tmp_path)
    assert [case.name for case in suite.cases] == ["alpha", "beta[docker]", "beta[oci]"]
    assert [case.slug for case in suite.cases] == ["alpha", "beta-docker", "beta-oci"]
    assert suite.cases[0].labels == ("slow", "incident")
    assert suite.cases[0].where.line == 3


@pytest.mark.parametrize(
    ("words", "labels", "expected"),
    [
        (None, None, ["alpha", "beta[docker]", "beta[oci]"]),
        ("oci", None, ["beta[oci]"]),
        ("slow", None, ["alpha"]),
        ("/a/", None, ["alpha"]),
        (None, "incident and not slow", ["beta[docker]", "beta[oci]"]),
        ("beta", "incident", ["beta[docker]", "beta[oci]"]),
    ],
)
def test_cases_are_selected_by_name_path_and_label(
    words: str | None, labels: str | None, expected: list[str], tmp_path: Path
) -> None:
    assert [case.name for case in suite_of(tmp_path).select(words, labels)] == expected


def test_a_selection_of_nothing_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none of 3 cases") as raised:
        suite_of(tmp_path).select("gamma", None)
    assert raised.value.hint is not None
    assert "beta[oci]" in raised.value.hint


def test_scenarios_of_one_name_are_found(tmp_path: Path) -> None:
    write(tmp_path / "a" / "scenario.yaml", "same")
    write(tmp_path / "b" / "scenario.yaml", "same")
    suite = load_suite(discover([tmp_path]))
    ((one, other),) = namesakes(suite.cases)
    assert (one.file, other.file) == (tmp_path / "a" / "scenario.yaml", tmp_path / "b" / "scenario.yaml")

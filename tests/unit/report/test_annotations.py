"""GitHub's workflow commands: one line each, escaped so that what they quote can't be taken for a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.annotations import annotation, annotation_lines
from sim.report.case_problems import Problem

ROOT = Path("/repository")
_COMMAND = re.compile(r"::error (?P<properties>[^\r\n]*?)::(?P<data>[^\r\n]*)")


def unescaped(text: str) -> str:
    """As the runner reads it."""
    for escape, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def read(line: str) -> tuple[dict[str, str], str]:
    """What the runner makes of a line."""
    found = _COMMAND.fullmatch(line)
    assert found is not None, line
    pairs = [pair.partition("=") for pair in found["properties"].split(",")]
    return {key: unescaped(value) for key, _, value in pairs}, unescaped(found["data"])


def test_a_problem_is_told_at_its_line() -> None:
    problem = Problem("expectation", "not so: a == b", "/repository/x/scenario.yaml", 31, ("a = 1", "b = 2"))
    assert annotation(problem, "tag-bump[oci]", ROOT) == (
        "::error file=x/scenario.yaml,line=31,title=tag-bump[oci]::not so: a == b%0Aa = 1%0Ab = 2"
    )


def test_commas_and_colons_of_a_property_are_escaped_and_those_of_the_text_are_not() -> None:
    line = annotation(Problem("error", "a: b, c", "/repository/a,b:c.yaml"), "x", ROOT)
    assert line == "::error file=a%2Cb%3Ac.yaml,title=x::a: b, c"


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_told_stays_one_command_and_reads_back(message: str, detail: str, title: str) -> None:
    line = annotation(Problem("error", message, "/repository/f.yaml", 3, (detail,)), title, ROOT)
    properties, data = read(line)
    assert properties == {"file": "f.yaml", "line": "3", "title": title}
    assert data == f"{message}\n{detail}"


def test_a_file_outside_the_repository_keeps_its_path() -> None:
    properties, _ = read(annotation(Problem("error", "m", "/elsewhere/f.yaml", 1), "t", ROOT))
    assert properties["file"] == "/elsewhere/f.yaml"


def test_paths_start_where_github_checked_the_repository_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    problem = Problem("error", "m", "scenarios/a.yaml", 1)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert read(annotation_lines([problem], "t")[0])[0]["file"] == "sub/scenarios/a.yaml"
    monkeypatch.delenv("GITHUB_WORKSPACE")
    assert read(annotation_lines([problem], "t")[0])[0]["file"] == "scenarios/a.yaml"


def test_a_long_difference_is_cut() -> None:
    _, data = read(annotation(Problem("baseline", "m", "f", 1, tuple("x" for _ in range(500))), "t", ROOT))
    assert len(data.splitlines()) < 50
    assert data.endswith("…")

"""The course: both languages give the same commands, and each of them works as it is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.e2e

COURSE = ROOT / "docs" / "course"
LESSONS = sorted(path.stem for path in (COURSE / "en").glob("[1-9]-*.md"))


def commands(lesson: str, language: str = "en") -> list[str]:
    """What the lesson has one type, in its order."""
    text = (COURSE / language / f"{lesson}.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```console\n(.+?)```", text, re.DOTALL)
    return [line.removeprefix("$ ecdsim ") for block in blocks for line in block.splitlines()]


def test_there_are_seven_lessons() -> None:
    assert [lesson[0] for lesson in LESSONS] == list("1234567")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_of_contents_names_every_lesson(language: str) -> None:
    contents = (COURSE / language / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(([1-9]-[a-z-]+)\.md\)", contents) == LESSONS


@pytest.mark.parametrize("lesson", LESSONS)
def test_both_languages_teach_the_same(lesson: str) -> None:
    assert commands(lesson) == commands(lesson, "zh") != []


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_command_of_a_lesson_works(lesson: str, tmp_path: Path) -> None:
    # A reader has the scenarios beside him, and writes his own things there.
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    for command in commands(lesson):
        words = [sys.executable, "-m", "sim", *shlex.split(command)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if words[3] == "up":
            _comes_up_and_ends([*words, "-o", "json"], tmp_path, environment)
            continue
        ended = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"


def _comes_up_and_ends(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["ready"]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize("page", sorted(COURSE.glob("*/*.md")), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target

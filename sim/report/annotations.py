"""Problems as GitHub Actions' workflow commands, which show beside the line of the file in a pull request."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sim.report.case_problems import Problem

_MOST_LINES = 30


def annotation(problem: Problem, title: str, root: Path) -> str:
    """`::error file=…,line=…,title=…::…`; `root` is the repository's, where the file's path has to start."""
    told = problem.told()
    if len(told) > _MOST_LINES:
        told = [*told[:_MOST_LINES], "…"]
    properties = {"file": _relative(problem.file, root), "line": problem.line, "title": title}
    written = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items() if value is not None)
    return f"::error {written}::{_data(chr(10).join([problem.message, *told]))}"


def annotation_lines(problems: Sequence[Problem], title: str) -> list[str]:
    """One for each problem. The repository is where GitHub checked it out, elsewhere the current folder."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    return [annotation(problem, title, root) for problem in problems]


def _relative(file: str, root: Path) -> str:
    path = Path(os.path.normpath(Path.cwd() / file))
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

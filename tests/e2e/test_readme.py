"""What the pages show of tests runs as it stands there: files, each under its name, beside the manifest of tag-bump."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, SCENARIOS, Ended

pytestmark = pytest.mark.e2e
pytest_plugins = "pytester"

Run = Callable[..., Ended]
#: A block of code whose first line is the name of a file.
NAMED = re.compile(r"```(?:yaml|python)\n# (?P<name>[\w.-]+)\n(?P<text>.+?)```", re.DOTALL)


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    return {found["name"]: found["text"] for found in NAMED.finditer((ROOT / page).read_text(encoding="utf-8"))}


def written(folder: Path, files: dict[str, str]) -> None:
    shutil.copy(SCENARIOS / "tag-bump" / "request-block.yaml", folder)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "tests"), [("README.md", ["first.ecdsim.yaml", "test_bump.py"]), ("docs/pytest.md", ["test_*.py"] * 2)]
)
def test_the_files_of_a_page_pass_as_tests(page: str, tests: list[str], pytester: pytest.Pytester) -> None:
    written(pytester.path, files_of(page))
    outcome = pytester.runpytest_subprocess("-o", "asyncio_mode=auto")
    outcome.assert_outcomes(passed=len(tests))
    outcome.stdout.fnmatch_lines([f"{name} *" for name in tests])


def test_the_first_regression_test_of_the_readme_has_ten_lines_in_either_form() -> None:
    files = files_of("README.md")
    assert {name: len(text.splitlines()) for name, text in files.items()} == {
        "first.ecdsim.yaml": 10,
        "test_bump.py": 10,
    }


def test_the_scenario_of_the_readme_passes_under_ecdsim_test(ecdsim: Run, tmp_path: Path) -> None:
    written(tmp_path, {"first.ecdsim.yaml": files_of("README.md")["first.ecdsim.yaml"]})
    ended = ecdsim("test", tmp_path, "--runs-dir", tmp_path / "runs")
    assert ended.status == 0, ended.stdout
    assert re.search(r"^PASSED +\d+\.\d s  first$", ended.stdout, re.MULTILINE)

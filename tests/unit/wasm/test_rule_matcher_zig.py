"""The plugins' rule matcher, compiled for this machine, against what Higress' own matcher was seen to do."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "rule-matcher.json"

if importlib.util.find_spec("ziglang") is None and "CI" not in os.environ:
    pytest.skip("no Zig compiler: pip install -e .[dev]", allow_module_level=True)


def run_table(folder: Path, golden: str) -> tuple[int, str]:
    """Exit status and output of the table over `golden`, built in `folder`."""
    shutil.copy(Path(__file__).with_name("rule_matcher_table.zig"), folder)
    shutil.copy(ROOT / "plugins" / "shared" / "rule_matcher.zig", folder)
    (folder / "rule-matcher.json").write_text(golden)
    command = [
        *(sys.executable, "-m", "ziglang", "test", "--dep", "rule_matcher"),
        *("-Mroot=rule_matcher_table.zig", "-Mrule_matcher=rule_matcher.zig"),
        *("--cache-dir", "cache", "--global-cache-dir", "cache"),
    ]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return finished.returncode, finished.stdout + finished.stderr


def test_the_plugins_rule_matcher_agrees_with_every_recorded_case(tmp_path: Path) -> None:
    golden = GOLDEN.read_text()
    status, output = run_table(tmp_path, golden)
    assert status == 0, output
    compared = re.search(r"compared (\d+) cases", output)
    cases = json.loads(golden)["cases"]
    without = [c for c in cases if c["parser"] == "override" or c["request"]["authority"] is None]
    assert compared is not None and int(compared[1]) == len(cases) - len(without) >= 75


def test_the_comparison_notices_a_deviation(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    case = next(c for c in golden["cases"] if c["name"] == "domain/exact")
    case["matched"] = "rule:3"
    status, output = run_table(tmp_path, json.dumps({"cases": [case]}))
    assert status != 0
    assert "domain/exact: expected rule:3, got rule:0" in output

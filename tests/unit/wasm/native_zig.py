"""A part of the plugins, compiled for this machine: it reads a list of JSON cases and answers each."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent


def skip_without_zig() -> None:
    """To be called at a test module's top: without the compiler its tests are skipped, but not in CI."""
    if importlib.util.find_spec("ziglang") is None and "CI" not in os.environ:
        pytest.skip("no Zig compiler: pip install -e .[dev]", allow_module_level=True)


class NativeProgram:
    """`program` is a Zig source beside this file; `sources` of the plugins are what it imports by their file names."""

    def __init__(self, folder: Path, zig_cache: Path, program: str, *sources: str) -> None:
        for source in (HERE / program, HERE / "native_cases.zig", *(ROOT / "plugins" / each for each in sources)):
            shutil.copy(source, folder)
        self._executable = folder / "program"
        command = [
            *(sys.executable, "-m", "ziglang", "build-exe", program, f"-femit-bin={self._executable}"),
            *("--cache-dir", "cache", "--global-cache-dir", str(zig_cache)),
        ]
        finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr

    def answers(self, cases: Sequence[Any]) -> list[Any]:
        """One answer to each case."""
        finished = subprocess.run(self._executable, input=json.dumps(cases), capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
        answers = [json.loads(line) for line in finished.stdout.splitlines()]
        assert len(answers) == len(cases)
        return answers

"""What end-to-end tests share: the Envoy that there must be, and the command line as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needed_envoy

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"


@pytest.fixture(scope="session", autouse=True)
def envoy_is_there() -> None:
    """Without Envoy these tests prove nothing: loud elsewhere, a failure in CI."""
    needed_envoy("END-TO-END TESTS DO NOT RUN")


@dataclass(frozen=True)
class Ended:
    """A finished `ecdsim`."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """What `-o json` printed."""
        decoded: dict[str, Any] = json.loads(self.stdout)
        return decoded


@pytest.fixture
def ecdsim(tmp_path: Path) -> Callable[..., Ended]:
    """Run `ecdsim` with these arguments; run directories go to the test's folder."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, timeout_s: float = 90) -> Ended:
        words = [str(argument) for argument in arguments]
        if words[0] == "run":
            words += ["--runs-dir", str(tmp_path / "runs")]
        finished = subprocess.run(
            [sys.executable, "-m", "sim", *words],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(finished.returncode, finished.stdout, finished.stderr)

    return run


@pytest.fixture
def start_ecdsim(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `ecdsim run` as a terminal would, so that SIGINT reaches it."""

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sim", "run", *map(str, arguments), "--runs-dir", str(tmp_path / "runs")],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start

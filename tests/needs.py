"""What some tests need from the machine: without it they are skipped, loudly, and in CI they fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.envoy import find_envoy
from sim.errors import EnvironmentProblem


def needed_envoy(untested: str) -> Path:
    """The Envoy binary; where there is none, `untested` says what is not tested."""
    try:
        return find_envoy()
    except EnvironmentProblem as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(f"NO ENVOY, {untested}: {error}")

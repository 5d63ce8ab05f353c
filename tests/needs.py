"""What some tests need from the machine: without it they are skipped, loudly, and in CI they fail."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from sim.envoy import find_envoy
from sim.errors import EnvironmentProblem


def needed_envoy(untested: str) -> Path:
    """The Envoy binary; where there is none, `untested` says what is not tested."""
    try:
        return find_envoy()
    except EnvironmentProblem as error:
        _lacking("Envoy", untested, str(error))


def needed_program(program: str, untested: str, *, package: str | None = None) -> Path:
    """A program that a Debian package brings, of the same name if none is given; where it is not, `untested` says
    what is not tested.
    """
    found = shutil.which(program)
    if found is None:
        _lacking(program, untested, f"install the package {package or program} (.ci/install-system-packages does)")
    return Path(found)


def _lacking(what: str, untested: str, remedy: str) -> NoReturn:
    message = f"NO {what.upper()}, {untested}: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)

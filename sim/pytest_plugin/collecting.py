"""Files `*.ecdsim.yaml` as tests: one for each combination of a scenario's matrix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# pytest's reports cross xdist's border between processes in this form alone.
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from sim.clock import precise_loop
from sim.errors import PartDied, SimError
from sim.pytest_plugin.engine import ready_engine
from sim.pytest_plugin.failures import failure_text, headline, place_of, write_report
from sim.scenario.load import LoadedScenario, load_scenarios
from sim.scenario.result import Result
from sim.scenario.suite import Case


class ScenarioFailed(Exception):
    """A run that did not pass."""

    def __init__(self, result: Result) -> None:
        super().__init__(headline(result))
        self.result = result


class ScenarioFile(pytest.File):
    """A scenario file. One that is not valid is an error of collecting, told with every place in it."""

    def collect(self) -> Iterator[ScenarioItem]:
        for loaded in load_scenarios(self.path):
            yield ScenarioItem.from_parent(self, name=loaded.label, loaded=loaded)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return str(excinfo.value) if isinstance(excinfo.value, SimError) else super().repr_failure(excinfo)


class ScenarioItem(pytest.Item):
    """One run. The scenario's labels are its markers."""

    def __init__(self, *, loaded: LoadedScenario, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._case = Case(loaded)
        known = {line.partition(":")[0].partition("(")[0].strip() for line in self.config.getini("markers")}
        for label in self._case.labels:
            if label not in known:
                self.config.addinivalue_line("markers", f"{label}: a label of scenarios")
            self.add_marker(label)

    def runtest(self) -> None:
        ready_engine()
        from sim.scenario.run import RunOptions
        from sim.scenario.runner import run_scenario

        options = RunOptions(runs_dir=self._runs_dir(), warn=self._warn)
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            result = runner.run(run_scenario(self._case.loaded, options))
        self.user_properties.append(("ecdsim_run", result.directory or ""))
        write_report(result)
        if result.outcome != "passed":
            raise ScenarioFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What `ecdsim run` prints, without a traceback, which would tell of our own code alone."""
        error = excinfo.value
        file, line = str(self.path), self._case.where.line or 1
        if isinstance(error, ScenarioFailed):
            place = place_of(error.result)
            return _told(error.args[0], failure_text(error.result), *(place or (file, line)))
        if isinstance(error, SimError):
            log = f"\n{error.log_tail}" if isinstance(error, PartDied) else ""
            return _told(error.message, f"{error}{log}", file, line)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, (self._case.where.line or 1) - 1, self.name

    def _warn(self, doubt: str) -> None:
        self.add_report_section("call", "ecdsim", f"warning: {doubt}")

    def _runs_dir(self) -> Path:
        kept: Path | None = self.config.getoption("--ecdsim-runs-dir")
        if kept is not None:
            return kept
        # The only way to the session's temporary folder from a test that is no function, and has no fixtures.
        factory: pytest.TempPathFactory | None = getattr(self.config, "_tmp_path_factory", None)
        return factory.mktemp(self._case.slug) if factory is not None else Path("runs")


def _told(message: str, text: str, file: str, line: int) -> ReprExceptionInfo:
    entry = ReprEntryNative([f"{text}\n"])
    return ReprExceptionInfo(
        reprcrash=ReprFileLocation(file, line, message),
        reprtraceback=ReprTraceback([entry], None, style="native"),
    )

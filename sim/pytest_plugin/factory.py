"""What the fixture `ecdsim` is: it opens runs of scenarios, for one test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sim.pytest_plugin.blocking import OpenBlockingRun
from sim.pytest_plugin.engine import ready_engine
from sim.pytest_plugin.opening import OpenRun

if TYPE_CHECKING:
    from sim.manifests import Document
    from sim.scenario.load import LoadedScenario
    from sim.scenario.result import Result
    from sim.scenario.run import RunOptions

Scenario = str | os.PathLike[str] | Mapping[str, Any]


class Ecdsim:
    """Opens runs. Relative paths start at the test file's folder; run directories are made in `runs_dir`."""

    def __init__(self, test: pytest.Item, runs_dir: Path) -> None:
        self._test = test
        self._runs_dir = runs_dir.absolute()
        self._folder = test.path.parent

    def __call__(
        self,
        scenario: Scenario,
        *,
        profile: str | None = None,
        envoy: str | None = None,
        fixed: Iterable[str] = (),
        combination: str | None = None,
        faults: bool = False,
        steps: bool = True,
        runs_dir: str | os.PathLike[str] | None = None,
    ) -> OpenRun:
        """A run of a scenario, for `async with`.

        `scenario` is a file, a folder with a scenario.yaml, or data: a whole scenario, or its `spec` alone. It may be
        without steps; those that it has are done when the run is entered, unless `steps` is False. `profile`, `envoy`
        and `fixed` are as on the command line; `combination` names one of the scenario's matrix; `faults` puts a proxy
        on every link, so that faults may be put there that the scenario does not know of.
        """
        ready_engine()

        def load() -> LoadedScenario:
            return self._loaded(scenario, self._there(profile), self._there(envoy), combination)

        def options() -> RunOptions:
            from sim.scenario.run import RunOptions

            return RunOptions(
                runs_dir=self._runs_dir if runs_dir is None else self._folder / runs_dir,
                envoy=self._there(envoy),
                profile=self._there(profile),
                fixed=frozenset(fixed),
                warn=lambda doubt: self._test.add_report_section("call", "ecdsim", f"warning: {doubt}"),
                by_hand=True,
                any_fault=faults,
            )

        return OpenRun(load, options, folder=self._folder, steps=steps, ended=self._tell)

    def sync(
        self,
        scenario: Scenario,
        *,
        profile: str | None = None,
        envoy: str | None = None,
        fixed: Iterable[str] = (),
        combination: str | None = None,
        faults: bool = False,
        steps: bool = True,
        runs_dir: str | os.PathLike[str] | None = None,
    ) -> OpenBlockingRun:
        """The same for `with`, in a test that is a plain function."""
        return OpenBlockingRun(
            self(
                scenario,
                profile=profile,
                envoy=envoy,
                fixed=fixed,
                combination=combination,
                faults=faults,
                steps=steps,
                runs_dir=runs_dir,
            )
        )

    def _there(self, named: str | None) -> str | None:
        """A path, from the test's folder; a name as it is."""
        return str(self._folder / named) if named is not None and ("/" in named or named.endswith(".yaml")) else named

    def _loaded(
        self, scenario: Scenario, profile: str | None, envoy: str | None, combination: str | None
    ) -> LoadedScenario:
        from sim.errors import InvalidInput
        from sim.scenario.load import read_scenario, scenarios_of
        from sim.scenario.matrix import choose

        document = self._made(scenario) if isinstance(scenario, Mapping) else read_scenario(self._folder / scenario)
        pinned = {axis for axis, value in (("envoy", envoy), ("profile", profile)) if value is not None}
        spec = document.data.get("spec") if isinstance(document.data, dict) else None
        bare = isinstance(spec, dict) and not spec.get("steps")
        if bare:
            # The test does what is to be done. In a file there is something, though.
            document = replace(document, data={**document.data, "spec": {**(spec or {}), "steps": [{"sleep": "0s"}]}})
        found = scenarios_of(document, frozenset(pinned))
        if bare:
            found = tuple(replace(each, steps=each.steps[:-1]) for each in found)
        if combination is not None:
            return choose(found, combination)[0]
        if len(found) > 1:
            names = [each.combination.name for each in found if each.combination is not None]
            raise InvalidInput(
                f"{document.file} has a matrix of {len(found)} combinations, and a run is of one",
                hint=f"name it: combination={names[0]!r}; there are {', '.join(names)}",
            )
        return found[0]

    def _made(self, scenario: Mapping[str, Any]) -> Document:
        from sim.manifests import Document
        from sim.scenario.schema import API_VERSION, KIND

        data = dict(scenario)
        if not data.keys() & {"spec", "kind", "apiVersion"}:
            name = re.sub(r"[^a-z0-9]+", "-", self._test.name.lower()).strip("-")[:63].strip("-") or "test"
            metadata = {"name": name, "title": {"en": self._test.name}}
            data = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": data}
        # It stands in the test's file, as far as anybody can say.
        return Document(str(self._test.path), data, None)

    def _tell(self, result: Result) -> None:
        """Leave in pytest's report where the run is kept."""
        self._test.user_properties.append(("ecdsim_run", result.directory or ""))
        self._test.add_report_section("call", "ecdsim", f"{result.outcome}: {result.directory}\n")

"""Parts of ours, broken on purpose: the library has to go red each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sim.agent.cache
import sim.agent.convert
import sim.discovery.state
from sim.scenario.load import load_scenario
from sim.scenario.runner import RunOptions, run_scenario
from tests.e2e.conftest import SCENARIOS

pytestmark = pytest.mark.e2e


def forgets_to_bump_the_version(patch: pytest.MonkeyPatch) -> None:
    """Discovery: every push of a run goes out under the first one's version."""
    ordinary = sim.discovery.state.push_version
    epoch = datetime.fromtimestamp(0).astimezone()

    def stuck(number: int, now: datetime) -> str:
        return ordinary(1, epoch)

    patch.setattr(sim.discovery.state, "push_version", stuck)


def skips_the_rewrite(patch: pytest.MonkeyPatch) -> None:
    """The agent: the module is here, and Envoy is still told where it came from."""

    ordinary = sim.agent.convert.Converter._convert

    async def as_it_came(self: Any, resource: Any, *rest: Any) -> Any:
        converted = await ordinary(self, resource, *rest)
        return replace(converted, resource=resource)

    patch.setattr(sim.agent.convert.Converter, "_convert", as_it_came)


def drops_a_match_rule(patch: pytest.MonkeyPatch) -> None:
    """Core: the last rule of a plugin is lost."""
    # The package has a function of the module's name.
    module = import_module("sim.core.convert")
    ordinary = module.convert_message

    def lossy(source: Any, selector: Any) -> Any:
        if source.match_rules:
            del source.match_rules[-1]
        return ordinary(source, selector)

    patch.setattr(module, "convert_message", lossy)


def ignores_always(patch: pytest.MonkeyPatch) -> None:
    """The agent's cache: what a URL gave once will do, whatever the pull policy says."""

    def always_good(url: str, policy: str) -> bool:
        return True

    patch.setattr(sim.agent.cache, "ignores_version", always_good)


@pytest.mark.parametrize(
    ("broken", "scenario"),
    [
        (forgets_to_bump_the_version, "tag-bump"),
        (skips_the_rewrite, "tag-bump"),
        (drops_a_match_rule, "scopes"),
        (ignores_always, "always-same-tag"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_the_library_goes_red(
    broken: Callable[[pytest.MonkeyPatch], None], scenario: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken(monkeypatch)
    result = await run_scenario(load_scenario(SCENARIOS / scenario), RunOptions(runs_dir=tmp_path))
    assert result.outcome == "failed"

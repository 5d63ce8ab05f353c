"""What docs/exports.md shows is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sim.cli import cli
from sim.report.export.plugin_log import LogLine
from sim.report.export.prometheus import PipelineMetrics, TrafficCounts
from sim.trace import Trace

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (ecdsim .+?)(?:  +#.*)?$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_has_the_options_that_it_is_given(command: str) -> None:
    _, name, *words = shlex.split(command)
    options = {option for param in cli.commands[name].params for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_the_metrics_that_the_page_names_are_there() -> None:
    pipeline = PipelineMetrics(Trace())
    there = {family.name for family in (*pipeline.families(), *TrafficCounts().families())}
    told = set(re.findall(r"`((?:pilot|ecdsim)_\w+)", PAGE)) - {"pilot_xds_push_time", "ecdsim_"}
    assert told - there == set()
    assert {name for name in there if name.startswith("pilot_")} - told == set()


def test_the_lines_of_a_log_look_as_the_page_shows_them() -> None:
    said = LogLine(0, 1591.0, "warning", "the credential is nobody's", "plugin", "higress-system/key-auth", 1)
    failed = "Plugin higress-system.request-block failed to load"
    envoys = LogLine(0, 1426.0, "critical", failed, "envoy", "higress-system/request-block")
    assert said.to_text() in PAGE.splitlines() and envoys.to_text() in PAGE.splitlines()

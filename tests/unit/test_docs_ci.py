"""What docs/ci.md shows is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click import Command, Group
from ruamel.yaml import YAML

from sim.cli import cli
from sim.scenario.matrix import Matrix

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:\$|    - run:) (ecdsim .+?)(?:  +#.*)?$", PAGE, re.MULTILINE)
BLOCKS = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_has_the_options_that_it_is_given(command: str) -> None:
    words = shlex.split(command)[1:]
    found: Command = cli
    while isinstance(found, Group):
        found = found.commands[words.pop(0)]
    options = {name for option in found.params for name in option.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_the_workflow_runs_the_suite_with_both_reports() -> None:
    workflow = YAML(typ="safe").load(BLOCKS[0])
    steps = [step.get("run", "") for step in workflow["jobs"]["scenarios"]["steps"]]
    (test,) = [step for step in steps if step.startswith("ecdsim test")]
    assert "--junit-xml" in test
    assert "--github-annotations" in test


def test_the_matrix_of_the_page_is_one() -> None:
    matrix = YAML(typ="safe").load(BLOCKS[1])["spec"]["matrix"]
    assert len(list(Matrix.model_validate(matrix).combinations())) == 48


def test_the_page_names_no_host() -> None:
    assert re.findall(r"https?://", PAGE) == []

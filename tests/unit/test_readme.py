"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli import cli
from sim.scenario.load import load_scenario

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: What these sections show can be done in this folder, as it is.
_SECTIONS = re.compile(r"^## (?:Run it yourself|See it, and touch it)\n(.+?)(?=^## )", re.DOTALL | re.MULTILINE)
HERE = "".join(_SECTIONS.findall(README))
COMMANDS = re.findall(r"^\$ ecdsim ((?:run|validate|schema|up) .+?)(?:\s+#.*|\s+[|>].*)?$", HERE, re.MULTILINE)


def test_the_first_screen_shows_both_commands() -> None:
    head = "\n".join(README.splitlines()[:12])
    assert "make demo" in head and "make test" in head


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z]+)", README))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = command.split()
    if words[0] in ("run", "up"):
        # Running is the end-to-end tests' business; here the scenario and the options have to be right.
        if not words[1].startswith("-"):
            load_scenario(Path(words[1]))
        options = {name for option in cli.commands[words[0]].params for name in option.opts}
        assert {word for word in words[2:] if word.startswith("-")} <= options
    else:
        assert CliRunner().invoke(cli, words).exit_code == 0


def test_the_scenario_of_the_readme_is_valid(tmp_path: Path) -> None:
    (found,) = re.findall(r"```yaml\n(apiVersion: ecdsim.+?)```", README, re.DOTALL)
    (tmp_path / "scenario.yaml").write_text(found, encoding="utf-8")
    manifest = ROOT / "scenarios" / "tag-bump" / "request-block.yaml"
    (tmp_path / "request-block.yaml").write_text(manifest.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_scenario(tmp_path).name == "my-bump"


def test_whoever_reads_on_has_ecdsim_on_the_path() -> None:
    told = README.index("export PATH=$PWD/.venv/bin:$PATH")
    assert re.search(r"^\$ ecdsim ", README, re.MULTILINE) is not None
    assert "$ ecdsim " not in README[:told] and ".venv/bin/ecdsim" not in README
    assert {command.split()[0] for command in COMMANDS} == {"run", "validate", "schema", "up"}


def test_every_file_that_the_section_on_plugins_names_is_there_or_is_built() -> None:
    section = README.partition("## Your own plugins\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"examples/[\w./-]+", section))
    assert {"examples/go-plugin", "examples/go-plugin/config.yaml"} < named
    assert {name for name in named if not (ROOT / name).exists()} <= {"examples/go-plugin/main.wasm"}


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

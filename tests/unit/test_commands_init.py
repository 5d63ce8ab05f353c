"""`ecdsim init`: what it writes, and what it leaves alone. That it runs is tests/e2e/test_init.py's."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from sim.cli import cli
from sim.commands.init import MANIFEST, SCENARIO, SCHEMA
from sim.errors import EnvironmentProblem, InvalidInput
from sim.scenario.load import load_scenario
from sim.scenario.schema import scenario_schema
from sim.wasm import bundled_names
from tests.wasm_modules import plugin


def init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["init", *map(str, arguments)])


def refused(*arguments: str | Path) -> InvalidInput:
    ended = init(*arguments)
    assert isinstance(ended.exception, InvalidInput), ended.output
    return ended.exception


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_plugin_gives_a_valid_scenario_that_names_its_schema(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    ended = init(folder, "--plugin", name)
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [str(folder / file) for file in (SCENARIO, MANIFEST, SCHEMA)]
    assert load_scenario(folder).name == name
    text = (folder / SCENARIO).read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA}"
    schema = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
    assert schema == scenario_schema()
    jsonschema.validate(YAML(typ="safe").load(text), schema)


def test_without_a_folder_it_is_the_one_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert init().exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {SCENARIO, MANIFEST, SCHEMA}
    assert load_scenario(Path()).name == "request-block"


@pytest.mark.parametrize("name", [SCENARIO, MANIFEST, SCHEMA])
def test_a_file_that_is_there_stays_and_nothing_else_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    error = refused(tmp_path)
    assert (error.exit_code, error.message) == (2, f"there already: {tmp_path / name}; nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_a_link_that_leads_nowhere_is_there_too(tmp_path: Path) -> None:
    (tmp_path / SCENARIO).symlink_to(tmp_path / "gone")
    assert SCENARIO in refused(tmp_path).message
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("My Plugin_2.wasm", "my-plugin-2"),
        ("maintenance/main.wasm", "maintenance"),
        ("插件/main.wasm", "my-plugin"),
        ('a "b" #c: {d}.wasm', "a-b-c-d"),
    ],
)
def test_a_module_of_ones_own_is_named_by_its_file_or_else_its_folder(path: str, name: str, tmp_path: Path) -> None:
    module = tmp_path / "modules" / path
    module.parent.mkdir(parents=True)
    module.write_bytes(plugin())
    folder = tmp_path / "scenario"
    assert init(folder, "--plugin", module).exit_code == 0
    loaded = load_scenario(folder)
    assert loaded.name == name
    (image,) = YAML(typ="safe").load((folder / SCENARIO).read_text(encoding="utf-8"))["spec"]["images"]
    assert (folder / image["file"]).resolve() == module
    assert image["as"] == f"registry.local/plugins/{name}:1.0.0"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("request_block", "did you mean request-block"),
        ("nope.wasm", "there is no file nope.wasm"),
        ("./request-block", "there is no file request-block"),
    ],
)
def test_what_is_no_plugin_is_refused_before_anything_is_written(given: str, told: str, tmp_path: Path) -> None:
    assert told in str(refused(tmp_path / "new", "--plugin", given))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\0asm\x01\0\0\0\x01", "malformed"),
        (b"#!/bin/sh", "no Wasm module"),
        (plugin(abis=[]), "no proxy_abi_version_"),
    ],
)
def test_a_module_that_no_gateway_loads_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    module = tmp_path / "broken.wasm"
    module.write_bytes(content)
    assert told in str(refused(tmp_path / "new", "--plugin", module))
    assert not (tmp_path / "new").exists()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    assert "is no folder" in refused(tmp_path / "taken").message


def test_a_folder_that_can_not_be_made_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    ended = init(tmp_path / "taken" / "new")
    assert isinstance(ended.exception, EnvironmentProblem)

"""The scenarios that come with ecdsim are right, tell in two languages what they teach, and stand in the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from sim.scenario.load import SCENARIO_FILE, load_scenarios
from sim.wasm.module import abi_versions
from tests.scenario_table import LIBRARY, README, scenario_files, with_tables

FILES = scenario_files()


def place(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


@pytest.mark.parametrize("path", FILES, ids=place)
def test_a_scenario_of_the_library_can_be_run_and_read_in_both_languages(path: Path) -> None:
    for loaded in load_scenarios(path):
        metadata = loaded.scenario.metadata
        variant = "" if path.name == SCENARIO_FILE else f"-{path.stem}"
        assert metadata.name == path.parent.name + variant
        assert metadata.title.zh
        assert metadata.notes is not None
        assert metadata.notes.zh
        assert loaded.expectations


def test_every_folder_of_the_library_has_a_scenario() -> None:
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir()}
    assert folders == {path.parent.name for path in FILES if path.name == SCENARIO_FILE}


def test_the_tables_list_exactly_the_scenarios_that_there_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_tables(text), "run python -m tests.scenario_table"


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*/*.yaml")), ids=place)
def test_a_file_of_the_library_is_a_scenario_or_named_by_another(path: Path) -> None:
    if path not in FILES:
        others = [each for each in path.parent.glob("*.yaml") if each != path]
        assert any(path.name in each.read_text(encoding="utf-8") for each in others)


def test_the_refused_modules_are_those_that_their_generator_makes() -> None:
    folder = LIBRARY / "bad-wasm"
    spec = importlib.util.spec_from_file_location("bad_wasm_make", folder / "make.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    committed = {path.name: path.read_bytes() for path in folder.glob("*.wasm")}
    assert generator.modules() == committed


def test_the_module_of_abi_mismatch_has_the_abi_of_higress_alone() -> None:
    assert abi_versions((LIBRARY / "abi-mismatch" / "marker.wasm").read_bytes()) == ("proxy_abi_version_0_2_100",)

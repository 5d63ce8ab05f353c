"""The scenarios that come with ecdsim are right, tell in two languages what they teach, and stand in the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.load import load_scenario

LIBRARY = Path(__file__).parents[3] / "scenarios"
FOLDERS = sorted(path.parent for path in LIBRARY.glob("*/scenario.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_scenario_of_the_library_can_be_run_and_read_in_both_languages(folder: Path) -> None:
    loaded = load_scenario(folder)
    metadata = loaded.scenario.metadata
    assert loaded.name == folder.name
    assert metadata.title.zh
    assert metadata.notes is not None
    assert metadata.notes.zh
    assert loaded.expectations


def test_the_table_lists_exactly_the_scenarios_that_there_are() -> None:
    table = (LIBRARY / "README.md").read_text(encoding="utf-8")
    listed = [line.split("](")[1].split("/")[0] for line in table.splitlines() if line.startswith("| [")]
    assert sorted(listed) == [folder.name for folder in FOLDERS]

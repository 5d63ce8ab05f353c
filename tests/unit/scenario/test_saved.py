"""What was done by hand, written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InvalidInput
from sim.scenario.saved import write_saved


def test_it_is_written_into_a_folder_of_its_own(tmp_path: Path) -> None:
    write_saved({"scenario.yaml": "a: 1\n", "plugin.yaml": "b: 2\n"}, tmp_path / "deep" / "mine")
    assert (tmp_path / "deep" / "mine" / "plugin.yaml").read_text(encoding="utf-8") == "b: 2\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is there already"):
        write_saved({"scenario.yaml": "a: 1\n"}, tmp_path)
    assert list(tmp_path.iterdir()) == []

"""The page about faults says what there is, and its example works."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.manifests.document import read_documents
from sim.scenario.faults import KINDS, LINKS, REGISTRY, ClearSpec, FaultSpec
from sim.scenario.faults.board import MOST_HIT_EVENTS
from sim.scenario.faults.network import Toxic

PAGE = (Path(__file__).parents[4] / "docs" / "faults.md").read_text(encoding="utf-8")


def code(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_and_its_attributes_are_listed(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert row is not None
    told = set(re.findall(r"`(\w+)`", row[1])) - {"not_json", "wrong_schema"}
    assert told == set(KINDS[name].model_fields)


def test_nothing_is_listed_that_is_not_there() -> None:
    sections = PAGE.partition("## Faults of bytes")[2].partition("## What the trace tells")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", sections, re.MULTILINE)) == set(KINDS)


def test_every_place_is_listed() -> None:
    section = PAGE.partition("## Faults of bytes")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)[1:] == [*LINKS, REGISTRY]


def test_the_number_of_events_is_the_number() -> None:
    assert f"After {MOST_HIT_EVENTS} events of one fault" in PAGE


def test_the_scenario_at_the_top_is_taken() -> None:
    (document,) = read_documents(code("yaml"), "faults.md")
    assert isinstance(document.data, dict)
    steps = document.data["steps"]
    faults = [FaultSpec.model_validate(step["fault"]) for step in steps if "fault" in step]
    clears = [ClearSpec(name=step["clear"]) for step in steps if "clear" in step]
    assert [fault.fault_name for fault in faults] == ["slow-registry", "status", "drop_ack"]
    assert [clear.name for clear in clears] == ["slow-registry", "all"]


@pytest.fixture
def corrupt() -> Iterator[type[Toxic]]:
    """The class of the example, registered while a test runs."""
    before = dict(KINDS)
    scope = {"__name__": "corrupt"}
    exec(compile(code("python"), "faults.md", "exec"), scope)
    (name,) = KINDS.keys() - before.keys()
    made = KINDS[name]
    assert issubclass(made, Toxic)
    yield made
    KINDS.clear()
    KINDS.update(before)


def test_the_example_registers_itself_and_works(corrupt: type[Toxic]) -> None:
    assert corrupt.kind == "corrupt"
    effect = corrupt.model_validate({"probability": 0.5}).effect(random.Random(1), 0.0)
    passed = [effect.data(bytes(10), float(at)) for at in range(100)]
    assert [piece.due_s for pieces in passed for piece in pieces] == [float(at) for at in range(100)]
    altered = [piece.data for pieces in passed for piece in pieces if piece.data != bytes(10)]
    assert 20 < len(altered) < 80
    assert all(data.count(0xFF) == 1 and len(data) == 10 for data in altered)


def test_a_kind_that_there_is_already_is_refused(corrupt: type[Toxic]) -> None:
    with pytest.raises(TypeError, match="there are two faults corrupt"):
        type("Another", (corrupt,), {"kind": "corrupt", "__module__": __name__})

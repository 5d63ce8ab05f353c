"""Whatever a scenario file holds, it is either loaded or refused in our own words."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.manifests import read_documents
from sim.scenario.load import LoadedScenario, load_scenario
from tests.unit.scenario.test_scenario_load import EMPTY_MODULE, PLUGIN, SCENARIO

(_DOCUMENT,) = read_documents(SCENARIO, "demo.yaml")
VALID: dict[str, Any] = _DOCUMENT.data

Path_ = tuple[str | int, ...]


def paths(data: Any, here: Path_ = ()) -> Iterator[Path_]:
    yield here
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield from paths(value, (*here, key))


def at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data[step]
    return data


PATHS = sorted(paths(VALID), key=str)
PARTS = st.sampled_from(PATHS).map(lambda path: copy.deepcopy(at(VALID, path)))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["5s", "0s", "200/s", "-", "/", "a/b", "..", "higress-system/block", "own.wasm", "text.wasm", "."]),
    st.sampled_from(["1.0.0", "a:1", "x.y/z:1", "rollouts[0]", "((", "traffic.users", "\0", "${a}", "%s", "{x}"]),
)
ANYTHING = st.one_of(
    SCALARS,
    PARTS,
    st.lists(st.one_of(SCALARS, PARTS), max_size=3),
    st.dictionaries(
        st.one_of(
            st.sampled_from(sorted({str(path[-1]) for path in PATHS if path})),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6),
        ),
        st.one_of(SCALARS, PARTS),
        max_size=3,
    ),
)


@st.composite
def mutations(draw: st.DrawFn) -> Any:
    """A valid scenario with up to four parts replaced, removed, renamed or added."""
    data = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(sorted(paths(data), key=str)))
        if not path:
            continue
        owner, key = at(data, path[:-1]), path[-1]
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"])):
            case "replace":
                owner[key] = draw(ANYTHING)
            case "remove":
                del owner[key]
            case "rename" if isinstance(owner, dict):
                owner[draw(st.text("abcdefgps_-", max_size=8))] = owner.pop(key)
            case "add" if isinstance(owner, dict):
                owner[draw(st.sampled_from(["name", "tag", "file", "as", "plugin", "x", "missing"]))] = draw(ANYTHING)
            case "add":
                owner.insert(draw(st.integers(0, len(owner))), draw(ANYTHING))
    return data


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")
        (path / "own.wasm").write_bytes(EMPTY_MODULE)
        (path / "text.wasm").write_text("(module)", encoding="utf-8")
        yield path


def load(text: str, folder: Path) -> LoadedScenario | InvalidInput:
    path = folder / "demo.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return load_scenario(path)
    except InvalidInput as refused:
        return refused


@settings(max_examples=250, deadline=None)
@given(data=mutations())
def test_a_mutated_scenario_is_loaded_or_refused_with_its_place(data: Any, folder: Path) -> None:
    outcome = load(json.dumps(data), folder)
    if isinstance(outcome, InvalidInput):
        problems = getattr(outcome, "problems", [])
        assert problems
        assert all(problem.where is not None and problem.message for problem in problems)
        assert str(outcome)
    else:
        resolved = outcome.resolved_yaml()
        again = load(resolved, folder)
        assert isinstance(again, LoadedScenario), str(again)
        assert again.resolved_yaml() == resolved


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(SCENARIO)), more=st.text("{}[]:,-#&*!|>'\"%@`\n\t ab1", max_size=5))
def test_a_damaged_text_is_loaded_or_refused(cut: int, more: str, folder: Path) -> None:
    outcome = load(SCENARIO[:cut] + more + SCENARIO[cut:], folder)
    assert isinstance(outcome, LoadedScenario) or (outcome.where is not None and outcome.message)

"""The plugins' rule matcher, compiled for this machine, against Higress' own and against ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim.wasm.rule_matcher import PluginNotStarted
from tests.unit.wasm.native_zig import NativeProgram, skip_without_zig
from tests.unit.wasm.rule_cases import RECORDED, answer, generated

skip_without_zig()

# The assertion names the case, and shrinking a list of them would take minutes.
ONE_CASE_IS_NAMED = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def zig(tmp_path_factory: pytest.TempPathFactory, zig_cache: Path) -> NativeProgram:
    folder = tmp_path_factory.mktemp("rule-matcher")
    return NativeProgram(folder, zig_cache, "rule_matcher_cases.zig", "shared/rule_matcher.zig", "shared/scalar.zig")


def test_the_plugins_matcher_applies_what_higress_was_seen_to_apply(zig: NativeProgram) -> None:
    # A missing :authority is the business of the layer above.
    cases = [case for case in RECORDED if case["request"]["authority"] is not None]
    assert len(cases) >= 80
    for case, found in zip(cases, zig.answers(cases), strict=True):
        assert (found["start"], found["matched"]) == (case["start"], case["matched"]), case["name"]
        if case["parser"] == "override" and found["matched"] != "global":
            assert found["saw_global"] == (case["matched_config"]["global_seen"] is not None), case["name"]


@settings(max_examples=60, deadline=None, phases=ONE_CASE_IS_NAMED)
@given(cases=st.lists(generated(), min_size=20, max_size=60))
def test_the_plugins_matcher_and_ours_agree(zig: NativeProgram, cases: list[dict[str, Any]]) -> None:
    for case, found in zip(cases, zig.answers(cases), strict=True):
        try:
            ours: tuple[str, str | None] = ("ok", answer(case).matched)
        except PluginNotStarted:
            ours = ("error", None)
        assert (found["start"], found["matched"]) == ours, case

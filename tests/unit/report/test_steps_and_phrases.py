from __future__ import annotations

import pytest

from sim.model import CDS, ECDS, LDS
from sim.report.phrases import clean, image, image_change, lines_of, milliseconds
from sim.report.steps import STEPS, step_of, step_of_stage
from sim.scenario.result import STAGES
from tests.unit.report.results import event


def test_the_nine_steps_cover_every_stage_once_and_in_order() -> None:
    assert [step.number for step in STEPS] == list(range(1, 10))
    assert tuple(stage for step in STEPS for stage in step.stages) == STAGES
    assert step_of_stage("debounce").number == 2


def test_every_step_is_told_in_both_languages() -> None:
    for step in STEPS:
        for words in (step.title, step.text):
            assert words.said_in("en") != words.said_in("zh")
            assert any("\u4e00" <= character <= "\u9fff" for character in words.zh) or "MCP" in words.zh
        assert len(step.title.en) <= 30


@pytest.mark.parametrize(
    ("name", "type_url", "number"),
    [
        ("discovery.push", LDS, 3),
        ("discovery.push", ECDS, 6),
        ("discovery.push", CDS, None),
        ("agent.fetch", None, 7),
        ("agent.replace", None, 7),
        ("envoy.nack", ECDS, 9),
        ("traffic.failed", None, None),
    ],
)
def test_an_event_belongs_to_the_step_that_its_type_says(name: str, type_url: str | None, number: int | None) -> None:
    step = step_of(event(0, name, type_url=type_url))
    assert (step.number if step else None) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.001, "<0.01 ms"),
        (0.41, "0.41 ms"),
        (9.999, "10.0 ms"),
        (12.34, "12.3 ms"),
        (999.96, "1.00 s"),
        (5421.0, "5.42 s"),
        (3_600_000.0, "3,600 s"),
        (-0.5, "-0.50 ms"),
    ],
)
def test_milliseconds_have_a_sensible_precision(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_an_image_is_shortened_to_what_tells_it_apart() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    assert image(f"oci://hub/a/b@{digest}") == "hub/a/b@sha256:0123456789ab…"
    assert image("https://me:secret@files.local/a.wasm?token=1") == "https://files.local/a.wasm"
    assert image_change("oci://hub:5000/a/b:1", "oci://hub:5000/a/b:2") == "hub:5000/a/b:1 → 2"
    assert image_change("oci://hub/a/b:1", f"oci://hub/a/b@{digest}") == "hub/a/b:1 → sha256:0123456789ab…"
    assert image_change("oci://hub/a/b:1", "oci://hub/c:1") == "hub/a/b:1 → hub/c:1"
    assert image_change(None, "oci://hub/c:1") == image_change("oci://hub/c:1", None) == "hub/c:1"


def test_clean_leaves_ordinary_text_alone_and_lines_apart() -> None:
    assert clean("更新镜像 [x] ✓") == "更新镜像 [x] ✓"
    assert clean("\ud800") == "\\ud800"
    assert lines_of("\na\x1b\n\nb  \n") == ["a\\x1b", "", "b"]

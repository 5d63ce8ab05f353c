"""A baseline reads back as what was written, is the same whoever writes it, and says what is wrong with it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import EnvironmentProblem, InvalidInput
from sim.scenario.baseline import Baseline
from sim.scenario.compare import compare
from sim.scenario.operands import read_operand
from sim.scenario.transcript import Transcript, transcript
from tests.unit.scenario.recorded import Recorded, tag_bump


def told(run: Recorded) -> Transcript:
    return transcript(run.result, run.events, run.read)


def test_a_baseline_reads_back_as_what_was_written(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "deep" / "base")
    baseline.ready()
    run = told(tag_bump())
    assert baseline.write("tag-bump", run, times=True) == "new"
    again = baseline.read("tag-bump")
    assert again is not None
    assert compare(run, again, max_ratio=1.0).same
    assert again.times_ms == run.times_ms
    assert again.payloads == run.payloads


@given(chance=st.randoms(use_true_random=False), port=st.integers(1024, 65535), token=st.text("bcd", min_size=1))
def test_another_run_writes_the_same_file(
    chance: random.Random, port: int, token: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    baseline = Baseline(tmp_path_factory.mktemp("base"))
    baseline.write("tag-bump", told(tag_bump()), times=False)
    assert baseline.write("tag-bump", told(tag_bump(chance, port=port, token=token)), times=False) == "unchanged"


def test_times_lie_beside_and_only_where_they_are_asked_for(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path)
    baseline.write("tag-bump", told(tag_bump()), times=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tag-bump.json"]
    held = baseline.read("tag-bump")
    assert held is not None
    assert held.times_ms == {}
    assert "times_ms" not in (tmp_path / "tag-bump.json").read_text(encoding="utf-8")


def test_a_payload_that_an_earlier_hop_had_is_not_repeated(tmp_path: Path) -> None:
    Baseline(tmp_path).write("tag-bump", told(tag_bump()), times=False)
    payloads = json.loads((tmp_path / "tag-bump.json").read_text(encoding="utf-8"))["payloads"]
    forwarded = payloads["start · agent.forward LDS forwarded · 0.0.0.0_<gateway-port>"]
    assert forwarded == {"same_as": "start · discovery.push LDS sent · 0.0.0.0_<gateway-port>"}


def test_a_change_is_written_and_told(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path)
    baseline.write("tag-bump", told(tag_bump()), times=False)
    assert baseline.write("tag-bump", told(tag_bump(blocked="/admin")), times=False) == "changed"


def test_a_case_without_a_baseline_has_none(tmp_path: Path) -> None:
    assert Baseline(tmp_path).read("tag-bump") is None


def test_files_of_no_case_are_named(tmp_path: Path) -> None:
    for name in ("a.json", "a.times.json", "b.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    assert Baseline(tmp_path).strangers(["a"]) == ["b.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "not JSON"),
        ("[]", "no baseline"),
        ("{}", "no baseline that this ecdsim can read"),
        ('{"baseline": 99}', "no baseline that this ecdsim can read"),
        ('{"baseline": 1}', "damaged"),
    ],
)
def test_what_is_no_baseline_is_refused_with_its_name(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "tag-bump.json").write_text(text)
    with pytest.raises(InvalidInput, match=said) as raised:
        Baseline(tmp_path).read("tag-bump")
    assert "tag-bump.json" in str(raised.value)
    assert "--update-baseline" in str(raised.value)


def test_a_folder_that_can_not_be_made_is_an_environment_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="--baseline"):
        Baseline(tmp_path / "file" / "base").ready()


def run_directory(folder: Path, run: Recorded) -> Path:
    """The run as a run directory."""
    (folder / "payloads").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(run.result), encoding="utf-8")
    for ref, payload in run.payloads.items():
        (folder / "payloads" / f"{ref.removeprefix('sha256:')}.json").write_text(json.dumps(payload), encoding="utf-8")
    lines = []
    for event in run.events:
        refs = event.data.get("payloads")
        line = event.as_dict(refs)
        line["data"] = {key: value for key, value in event.data.items() if key != "payloads"}
        lines.append(json.dumps(line))
    (folder / "trace.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_side_of_a_comparison_is_a_run_its_result_a_folder_of_runs_or_a_baseline(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = run_directory(runs / "tag-bump-1", tag_bump())
    run_directory(runs / "tag-bump-2", tag_bump(random.Random(7), token="b"))
    baseline = Baseline(tmp_path / "base")
    baseline.ready()
    baseline.write("tag-bump", told(tag_bump()), times=True)
    sides = [read_operand(path) for path in (first, first / "result.json", runs, tmp_path / "base" / "tag-bump.json")]
    assert [side.runs for side in sides] == [1, 1, 2, 1]
    assert all(not side.varying for side in sides)
    assert all(compare(sides[0].transcript, side.transcript, max_ratio=1.0).same for side in sides)


def test_runs_that_are_not_alike_are_told_by_their_directory(tmp_path: Path) -> None:
    run_directory(tmp_path / "tag-bump-1", tag_bump())
    run_directory(tmp_path / "tag-bump-2", tag_bump(blocked="/admin"))
    assert list(read_operand(tmp_path).varying) == ["tag-bump-2"]


@pytest.mark.parametrize(
    ("made", "said"),
    [("nothing", "no such file"), ("empty/", "holds none"), ("text.json", "no result"), ("broken.json", "not JSON")],
)
def test_what_is_no_run_is_refused_with_what_would_be_right(made: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / made
    if made.endswith("/"):
        path.mkdir()
    elif made != "nothing":
        path.write_text("{" if made.startswith("broken") else '{"a": 1}')
    with pytest.raises(InvalidInput, match=said):
        read_operand(path)


def test_a_trace_that_breaks_off_in_a_line_is_refused(tmp_path: Path) -> None:
    folder = run_directory(tmp_path / "run", tag_bump())
    trace = folder / "trace.jsonl"
    trace.write_text(trace.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    with pytest.raises(InvalidInput, match="trace can't be read"):
        read_operand(folder)

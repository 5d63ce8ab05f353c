"""`ecdsim report --perfetto|--mermaid|--otlp` and `ecdsim logs`: what goes where, and with which exit status."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim.cli import main
from tests.unit.report.export.rollout_run import bump_events, event, write_run
from tests.unit.report.results import PLUGIN

Main = Callable[..., int]


@pytest.fixture
def ecdsim(monkeypatch: pytest.MonkeyPatch) -> Main:
    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ecdsim", *map(str, words)])
        return main()

    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "tag-bump-20250101T100000Z", events=[*bump_events(), *SAID])


SAID = [
    event(1121, "envoy.log", level="info", worker=0, text="wasm log higress-system.request-block: loaded"),
    event(1127, "envoy.log", level="error", worker=1, text="wasm log higress-system.request-block: blocked"),
]


def test_the_perfetto_trace_goes_to_its_file(
    ecdsim: Main, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t.json"
    assert ecdsim("report", run, "--perfetto", target) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert json.loads(target.read_text())["traceEvents"]
    assert not (run / "report.html").exists()


def test_the_diagram_is_all_that_goes_to_stdout(
    ecdsim: Main, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t.json"
    assert ecdsim("report", run, "--mermaid", "--perfetto", target) == 0
    told = capsys.readouterr()
    assert told.out.startswith("sequenceDiagram\n") and str(target) not in told.out
    assert told.err == f"{target}\n"


def test_the_diagram_may_go_to_a_file(
    ecdsim: Main, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pr.md"
    assert ecdsim("report", run, "--mermaid", "--rollout", 0, "-o", target) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text(encoding="utf-8").startswith("```mermaid\n")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--mermaid", "--rollout", "4"), 2, "there is no rollouts[4]"),
        (("--rollout", "0"), 2, "--rollout goes with --mermaid"),
        (("--perfetto", "t.json", "-o", "x"), 2, "--perfetto names its own file"),
        (("--mermaid", "--against", "."), 2, "--against is for the HTML report"),
        (("--otlp", "127.0.0.1:4318"), 2, "is no URL of an OTLP/HTTP collector"),
        # Nobody ever listens on port 1.
        (
            ("--otlp", "http://127.0.0.1:1"),
            3,
            "no collector answers at http://127.0.0.1:1/v1/traces: Connection refused",
        ),
        (("--perfetto", "nowhere/t.json"), 3, "can't write nowhere/t.json"),
    ],
)
def test_what_can_not_be_done_says_so(
    ecdsim: Main, run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, told: str
) -> None:
    assert ecdsim("report", run, *words) == status
    assert told in capsys.readouterr().err


def test_what_is_no_run_can_not_be_exported(ecdsim: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ecdsim("report", tmp_path, "--mermaid") == 2
    assert "there is no result.json in it" in capsys.readouterr().err


# -- logs ---------------------------------------------------------------------------------------------------------


def test_logs_prints_what_a_plugin_said(ecdsim: Main, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ecdsim("logs", run, "--plugin", "request-block") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"+1.121s info     {PLUGIN} worker 0: loaded",
        f"+1.127s error    {PLUGIN} worker 1: blocked",
    ]


def test_logs_as_json_is_an_object_a_line(ecdsim: Main, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ecdsim("logs", run, "--level", "error", "-o", "json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["text"] == "blocked"


def test_since_counts_from_the_end_of_the_run(ecdsim: Main, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ecdsim("logs", run, "--since", "3ms") == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_without_a_run_it_is_the_newest_one(
    ecdsim: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ecdsim("logs") == 2
    assert "there is no run in runs/" in capsys.readouterr().err
    write_run(tmp_path / "runs" / "a", events=SAID)
    assert ecdsim("logs", "--worker", "1") == 0
    assert "blocked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--plugin", "request-blok"), f"its plugins: {PLUGIN}"),
        (("--plugin", "request-blok", "-f"), f"its plugins: {PLUGIN}"),
        (("--gateway", "x"), "needs no --gateway"),
        (("--since", "5"), "is not a duration"),
        (("--level", "loud"), "is not one of"),
    ],
)
def test_what_can_not_be_meant_ends_with_2(
    ecdsim: Main, run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert ecdsim("logs", run, *words) == 2
    assert told in capsys.readouterr().err


def follow(run: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sim", "logs", str(run), "-f", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def going_on(tmp_path: Path) -> Iterator[Path]:
    """A run whose trace is still being written."""
    run = write_run(tmp_path / "a", events=[bump_events()[4], SAID[0]])
    (run / "result.json").rename(run / "kept")
    with (run / "trace.jsonl").open("a", encoding="utf-8") as trace:
        fcntl.flock(trace, fcntl.LOCK_EX)
        yield run


def test_following_a_run_that_was_killed_ends(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", events=[bump_events()[4], SAID[0]])
    (run / "result.json").unlink()
    with follow(run) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "loaded" in out


def test_following_prints_what_is_added_and_ends_with_the_run(going_on: Path) -> None:
    run = going_on
    with follow(run, "--plugin", "request-block") as process:
        assert process.stdout is not None
        assert "loaded" in process.stdout.readline()
        with (run / "trace.jsonl").open("a", encoding="utf-8") as trace:
            trace.write(json.dumps(SAID[1].as_dict()) + "\n")
        assert "blocked" in process.stdout.readline()
        (run / "kept").rename(run / "result.json")
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_a_plugin_that_never_came_is_told_at_the_end(going_on: Path) -> None:
    run = going_on
    with follow(run, "--plugin", "later") as process:
        (run / "kept").rename(run / "result.json")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "this run has no plugin later" in err


def test_ctrl_c_ends_following_quietly_with_130(going_on: Path) -> None:
    with follow(going_on) as process:
        assert process.stdout is not None
        assert "loaded" in process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")

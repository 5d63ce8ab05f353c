from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from sim.commands.run import _write_report
from sim.report.html.traffic import dots
from sim.scenario.response_columns import response_columns
from sim.trace import Event, Trace
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import Signature
from tests.unit.report.results import result


@pytest.fixture
def load() -> Load:
    """Three responses, one after the other on two connections, and a time-out."""
    made = Load(LoadSpec(name="users", rate_per_s=100, version_header="x-version"), "127.0.0.1", 1, Trace())
    for number, version in enumerate(("1.0.0", "2.0.0")):
        made.samples.define(number, Signature(200, {"x-version": version}))
    for done_ms, signature, connection, error in (
        (5, 0, 1, None),
        (6, 0, 2, None),
        (9, 1, 1, None),
        (12, None, 2, "timeout"),
    ):
        ns = done_ms * 1_000_000
        made.samples.append((0, 0, ns, ns, None if error else 200, signature, connection, error))
    return made


def connection(at_ms: int, what: str, number: int) -> Event:
    return Event(
        t_ns=at_ms * 1_000_000, event=f"traffic.connection_{what}", data={"load": "users", "connection": number}
    )


def test_responses_are_columns_of_what_a_dot_needs(load: Load) -> None:
    columns = response_columns({"users": load})["loads"]["users"]
    assert columns["start_ns"] == 5_000_000
    assert list(accumulate(columns["t_us"])) == [0, 1000, 4000, 7000]
    assert columns["versions"] == ["1.0.0", "2.0.0"]
    assert columns["version"] == [[0, 2], [1, 1], [-1, 1]]
    assert columns["failed"] == [(3, "timeout")]
    assert columns["connection"] == [1, 2, 1, 2]


def test_a_load_without_responses_has_empty_columns() -> None:
    load = Load(LoadSpec(name="users", rate_per_s=1), "127.0.0.1", 1, Trace())
    assert response_columns({"users": load})["loads"]["users"]["t_us"] == []


def test_a_connection_takes_over_the_row_of_one_that_ended(load: Load) -> None:
    events = [
        Event(t_ns=1_000_000, event="run.started"),
        *(connection(2, "opened", 1), connection(3, "opened", 2)),
        *(connection(4, "drained", 1), connection(5, "opened", 3)),
    ]
    shown: dict[str, Any] = dots(
        response_columns({"users": load})["loads"], events, start_ns=min(event.t_ns for event in events)
    )["users"]
    assert shown["rows"] == {"1": 0, "2": 1, "3": 0}
    assert shown["row_count"] == 2
    assert shown["t0"] == 4000


def test_a_report_that_can_not_be_written_is_a_warning_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_report(result(directory=str(tmp_path / "nowhere")))
    assert "no report.html was written" in capsys.readouterr().err

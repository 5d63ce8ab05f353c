"""The open loop: when requests are due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.traffic.probe.schedule import Schedule

SECOND_NS = 1_000_000_000


@given(
    rate=st.floats(0.5, 5000),
    looks=st.lists(st.integers(0, SECOND_NS), min_size=1, max_size=20).map(sorted),
)
def test_however_often_one_looks_request_k_is_due_at_k_over_rate(rate: float, looks: list[int]) -> None:
    schedule = Schedule(rate, 1000)
    taken = [due for look in looks for due in schedule.take(1000 + look)]
    assert taken == [1000 + round(k * 1e9 / rate) for k in range(len(taken))]
    following = schedule.next_due_ns
    assert following is not None
    assert following > 1000 + looks[-1]


def test_a_late_look_takes_all_that_became_due_with_their_own_times() -> None:
    assert Schedule(10, 0).take(SECOND_NS // 4) == [0, 100_000_000, 200_000_000]


def test_nothing_is_due_at_rate_zero() -> None:
    schedule = Schedule(0, 0)
    assert schedule.next_due_ns is None
    assert schedule.take(10 * SECOND_NS) == []


def test_a_higher_rate_starts_one_new_interval_from_now() -> None:
    schedule = Schedule(1, 0)
    schedule.take(0)
    schedule.change_rate(100, 200_000_000)
    assert schedule.take(SECOND_NS // 4) == [210_000_000, 220_000_000, 230_000_000, 240_000_000, 250_000_000]


def test_a_lower_rate_keeps_the_request_that_was_planned_already() -> None:
    schedule = Schedule(10, 0)
    schedule.take(0)
    schedule.change_rate(1, 50_000_000)
    assert schedule.take(2 * SECOND_NS) == [100_000_000, 1_100_000_000]


def test_a_pause_ends_with_the_next_rate() -> None:
    schedule = Schedule(10, 0)
    schedule.take(0)
    schedule.change_rate(0, 50_000_000)
    assert schedule.next_due_ns is None
    schedule.change_rate(10, SECOND_NS)
    assert schedule.next_due_ns == SECOND_NS + 100_000_000

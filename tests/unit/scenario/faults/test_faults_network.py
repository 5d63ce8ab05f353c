"""The arithmetic of the network faults: bytes and times in, bytes and times out. The clock is the test's."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.scenario.faults import ActiveFault
from sim.scenario.faults.network import (
    Bandwidth,
    Effect,
    End,
    Latency,
    LimitData,
    Piece,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)


def effect(toxic: Toxic, now_s: float = 0.0, seed: int = 1) -> Effect:
    return toxic.effect(random.Random(seed), now_s)


def test_latency_is_added_to_the_time_of_arrival() -> None:
    delay = effect(Latency(latency="200ms"))
    assert delay.data(b"a", 10.0) == (Piece(10.2, b"a"),)
    assert delay.data(b"b", 20.0) == (Piece(20.2, b"b"),)


def test_the_end_is_not_delayed_but_never_overtakes() -> None:
    delay = effect(Latency(latency="1s"))
    assert delay.end(End.EOF, 5.0) == (Piece(5.0, end=End.EOF),)
    delay.data(b"a", 5.0)
    assert delay.end(End.EOF, 5.1) == (Piece(6.0, end=End.EOF),)


def test_jitter_stays_within_its_bounds_and_keeps_the_order() -> None:
    delay = effect(Latency(latency="100ms", jitter="50ms"))
    dues_s = [delay.data(b"x", 0.0)[0].due_s for _ in range(200)]
    assert all(0.05 <= due_s <= 0.15 for due_s in dues_s)
    assert dues_s == sorted(dues_s)
    assert len(set(dues_s)) > 1


def test_jitter_never_sends_anything_before_it_came() -> None:
    delay = effect(Latency(latency="0ms", jitter="1s"))
    assert all(delay.data(b"x", 7.0)[0].due_s >= 7.0 for _ in range(50))


def test_the_same_lots_give_the_same_jitter() -> None:
    one, two, other = (effect(Latency(latency="1s", jitter="1s"), seed=seed) for seed in (4, 4, 5))
    drawn = [[each.data(b"x", float(at))[0].due_s for at in range(5)] for each in (one, two, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_bandwidth_sends_parts_of_a_tenth_of_a_second() -> None:
    throttle = effect(Bandwidth(rate=10))
    pieces = throttle.data(bytes(2500), 1.0)
    assert [len(piece.data) for piece in pieces] == [1000, 1000, 500]
    assert [piece.due_s for piece in pieces] == pytest.approx([1.1, 1.2, 1.25])


def test_bandwidth_makes_what_comes_later_wait_for_what_came_before() -> None:
    throttle = effect(Bandwidth(rate=1))
    throttle.data(bytes(100), 0.0)
    assert throttle.data(bytes(100), 0.05)[-1].due_s == pytest.approx(0.2)
    (end,) = throttle.end(End.EOF, 0.06)
    assert end.due_s == pytest.approx(0.2)
    assert throttle.data(bytes(100), 5.0)[-1].due_s == pytest.approx(5.1)


def test_a_slow_close_delays_the_end_alone() -> None:
    linger = effect(SlowClose(delay="3s"))
    assert linger.data(b"x", 1.0) == (Piece(1.0, b"x"),)
    for end in End:
        assert linger.end(end, 1.0) == (Piece(4.0, end=end),)


def test_a_timeout_swallows_and_closes_when_it_is_over() -> None:
    swallow = effect(Timeout(timeout="2s"), now_s=10.0)
    assert swallow.data(b"x", 11.0) == ()
    assert (swallow.closes_at_s, swallow.closes_when_cleared) == (12.0, True)
    assert swallow.end(End.EOF, 11.0) == (Piece(11.0, end=End.EOF),)


def test_a_timeout_of_nothing_never_closes_by_itself() -> None:
    assert effect(Timeout(timeout="0ms")).closes_at_s is None


@pytest.mark.parametrize("by", ["data", "end"])
def test_a_reset_comes_some_time_after_anything_came(by: str) -> None:
    reset = effect(ResetPeer(timeout="1s"))
    pieces = reset.data(b"x", 3.0) if by == "data" else reset.end(End.EOF, 3.0)
    assert pieces == (Piece(4.0, end=End.RESET),)


@pytest.mark.parametrize(("size", "limit_bytes"), [(10, 10), ("1KB", 1000), ("1KiB", 1024), ("10B", 10)])
def test_a_limit_lets_exactly_so_much_pass(size: int | str, limit_bytes: int) -> None:
    limit = effect(LimitData(bytes=size))
    first = limit.data(bytes(limit_bytes - 4), 1.0)
    assert first == [Piece(1.0, bytes(limit_bytes - 4))]
    assert limit.data(b"123456", 2.0) == [Piece(2.0, b"1234"), Piece(2.0, end=End.CLOSE)]


def test_a_limit_is_reached_by_its_last_byte() -> None:
    assert effect(LimitData(bytes=2)).data(b"ab", 1.0) == [Piece(1.0, b"ab"), Piece(1.0, end=End.CLOSE)]
    assert effect(LimitData(bytes=0)).data(b"ab", 1.0) == [Piece(1.0, end=End.CLOSE)]


@given(
    data=st.binary(max_size=3000),
    average=st.integers(1, 500),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 1000),
)
def test_slices_are_all_the_bytes_in_order_and_none_is_too_long(
    data: bytes, average: int, share: float, seed: int
) -> None:
    variation = int(average * share)
    knife = effect(Slicer(average_size=average, size_variation=variation, delay="10ms"), seed=seed)
    pieces = knife.data(data, 1.0)
    assert b"".join(piece.data for piece in pieces) == data
    assert all(len(piece.data) <= average + variation for piece in pieces)
    assert [piece.due_s for piece in pieces] == pytest.approx([1.0 + 0.01 * turn for turn in range(len(pieces))])


def test_slices_wait_for_the_slices_before_them() -> None:
    knife = effect(Slicer(average_size=1, delay="1s"))
    assert [piece.due_s for piece in knife.data(b"ab", 0.0)] == [0.0, 1.0]
    assert [piece.due_s for piece in knife.data(b"c", 0.5)] == [2.0]
    assert knife.end(End.EOF, 0.6)[0].due_s == 3.0


def test_slices_that_vary_by_their_own_length_are_refused() -> None:
    with pytest.raises(ValidationError, match="make size_variation smaller than average_size"):
        Slicer(average_size=10, size_variation=10)


@pytest.mark.parametrize("size", ["64 KiB", "1.5KB", "-1", "many", "64kib", -1, True, 1.5, None])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ValidationError):
        LimitData.model_validate({"bytes": size})


def test_lots_depend_on_the_seed_the_fault_and_the_connection_alone() -> None:
    def drawn(seed: str, name: str, connection: int) -> float:
        return ActiveFault(name, Latency(latency="1s"), "agent-registry", seed=seed).lots(connection).random()

    assert drawn("1", "f", 1) == drawn("1", "f", 1)
    assert len({drawn("1", "f", 1), drawn("2", "f", 1), drawn("1", "g", 1), drawn("1", "f", 2)}) == 4
    # Known for ever: a run can be repeated on another machine and another Python.
    assert drawn("1/1", "slow", 3) == pytest.approx(0.3990110550183723)

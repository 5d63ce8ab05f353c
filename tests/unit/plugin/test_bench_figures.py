"""What a bench makes of its numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sim.plugin.bench_figures import Estimate, Pair, Spread, added_median, added_percentile, level, percentile


def rounds(lots: random.Random, count: int, added: float, drift: float = 0.0, requests: int = 25) -> list[Pair]:
    """Pairs whose latencies lie around 300, later ones higher by `drift` each."""
    return [
        Pair(
            plain=[lots.gauss(300 + drift * number, 20) for _ in range(requests)],
            plugin=[lots.gauss(300 + drift * number + added, 20) for _ in range(requests)],
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0.1, 1.0), (10, 1.0), (11, 2.0), (50, 5.0), (90, 9.0), (91, 10.0), (99, 10.0), (100, 10.0)],
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in (3, 1, 2, 10, 9, 8, 4, 5, 7, 6)], percent) == expected


def test_what_was_added_is_found_and_lies_in_its_interval() -> None:
    added = added_median([rounds(random.Random(seed), 40, added=12.0) for seed in range(3)])
    assert added.discernible
    assert added.low < 12.0 < added.high
    assert added.high - added.low < 6.0


def test_nothing_added_is_nothing_that_could_be_told() -> None:
    runs = [rounds(random.Random(seed), 40, added=0.0) for seed in range(3)]
    for added in (added_median(runs), added_percentile(runs, 99)):
        assert not added.discernible
        assert added.limit >= abs(added.value)


def test_a_machine_that_grows_slower_all_the_time_changes_no_difference() -> None:
    steady, slower = ([rounds(random.Random(1), 40, added=12.0, drift=drift)] for drift in (0.0, 50.0))
    assert added_median(slower).value == pytest.approx(added_median(steady).value)


def test_a_stall_in_a_few_rounds_moves_the_difference_hardly_and_the_interval_stays() -> None:
    run = rounds(random.Random(2), 40, added=12.0)
    run[3] = Pair(run[3].plain, [value + 90_000 for value in run[3].plugin])
    run[20] = Pair([value + 250_000 for value in run[20].plain], run[20].plugin)
    added = added_median([run])
    assert added.low < 12.0 < added.high < 25.0


def test_envoys_that_do_not_agree_leave_more_open_than_one() -> None:
    apart = [rounds(random.Random(seed), 40, added=added) for seed, added in enumerate((0.0, 12.0, 24.0))]
    alike = [rounds(random.Random(seed), 40, added=12.0) for seed in range(3)]

    def width(runs: Sequence[Sequence[Pair]]) -> float:
        found = added_median(runs)
        return found.high - found.low

    assert width(apart) > 3 * width(alike)


def test_the_same_samples_give_the_same_figures() -> None:
    runs = [rounds(random.Random(5), 10, added=3.0)]
    assert added_median(runs) == added_median(runs)
    assert level([[pair.plain for pair in runs[0]]], 50) == level([[pair.plain for pair in runs[0]]], 50)


def test_a_value_is_never_outside_of_its_interval() -> None:
    (one,) = ([[Pair([1.0], [5.0])]],)
    assert added_median(one) == Estimate(4.0, 4.0, 4.0)
    assert added_percentile(one, 99) == Estimate(4.0, 4.0, 4.0)


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 10.0]).as_dict() == {"median": 3.0, "low": 1.0, "high": 10.0, "count": 3}

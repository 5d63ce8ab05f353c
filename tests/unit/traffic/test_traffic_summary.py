"""What samples amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.traffic.rollout import Rollout, Versions
from sim.traffic.samples import Connections, Sample, Samples, Signature, by_header
from sim.traffic.summary import Latencies, rollout_view, summarise

MS = 1_000_000
VERSIONS: list[str | None] = [None, "1.0.0", "2.0.0", "3.0.0"]


@dataclass
class Recorded:
    """A load that is over."""

    samples: Samples
    connections: Connections = field(default_factory=Connections)


def recorded(samples: Iterable[Sample]) -> Samples:
    made = Samples(by_header("X-Version"))
    for number, version in enumerate(VERSIONS):
        made.define(number, Signature(200, {} if version is None else {"x-version": version}))
    for sample in samples:
        made.append(row(sample))
    return made


def response(done_ms: int, version: str | None, connection: int = 0, status: int = 200, due_ms: int = 0) -> Sample:
    return Sample(
        due_ns=due_ms * MS,
        sent_ns=due_ms * MS,
        first_byte_ns=done_ms * MS,
        done_ns=done_ms * MS,
        status=status,
        signature=VERSIONS.index(version),
        connection=connection,
        error="status" if status >= 500 else None,
        version=version,
    )


def failure(done_ms: int, error: str = "timeout") -> Sample:
    return Sample(0, None, None, done_ms * MS, None, None, None, error)


def row(sample: Sample) -> list[object]:
    """The sample as the probe writes it: every field but the version."""
    return list(astuple(sample)[:-1])


samples = st.lists(
    st.one_of(
        st.builds(
            response,
            st.integers(1, 10_000),
            st.sampled_from(VERSIONS),
            st.integers(0, 3),
            st.sampled_from([200, 403, 503]),
        ),
        st.builds(failure, st.integers(1, 10_000), st.sampled_from(["timeout", "broken", "refused"])),
    ),
    max_size=60,
).map(lambda made: sorted(made, key=lambda sample: sample.done_ns))


@given(samples)
def test_samples_come_back_as_they_went_in(made: list[Sample]) -> None:
    assert list(recorded(made)) == made
    assert recorded(made)[:] == made


@given(samples)
def test_every_request_is_counted_once(made: list[Sample]) -> None:
    result = summarise(Recorded(recorded(made)))
    assert result["requests"] == len(made)
    assert result["failed"] == sum(sample.error is not None for sample in made)
    answered = [sample for sample in made if sample.status is not None]
    assert sum(result["by_version"].values()) == sum(result["by_status"].values()) == len(answered)
    for version in VERSIONS:
        times = [sample.done_ns for sample in answered if sample.version == version]
        told = result["versions"].get(version or "none")
        assert told == ({"first_t_ns": min(times), "last_t_ns": max(times), "count": len(times)} if times else None)
        assert result["by_version"].get(version or "none", 0) == len(times)


@given(samples)
def test_only_requests_that_succeeded_have_a_latency(made: list[Sample]) -> None:
    latency = summarise(Recorded(recorded(made)))["latency_ms"]
    succeeded = [(sample.done_ns - sample.due_ns) / MS for sample in made if sample.error is None]
    if not succeeded:
        assert latency == {"p50": None, "p99": None, "max": None}
    else:
        assert latency["max"] == max(succeeded)
        assert min(succeeded) <= latency["p50"] <= latency["p99"] <= latency["max"]


@given(st.lists(st.integers(1000, 5_000_000_000), min_size=1, max_size=300))
def test_percentiles_are_exact_to_three_digits(latencies_ns: list[int]) -> None:
    latencies = Latencies()
    for latency_ns in latencies_ns:
        latencies.take(latency_ns)
    told = latencies.told()
    ordered = sorted(latencies_ns)
    for name, percent in (("p50", 50), ("p99", 99)):
        rank = max(-(-len(ordered) * percent // 100), 1)
        assert told[name] == pytest.approx(ordered[rank - 1] / 1e6, rel=1e-3, abs=0.001)


@given(samples, st.integers(0, 20))
def test_what_was_summarised_before_is_not_forgotten(made: list[Sample], cut: int) -> None:
    grown = recorded(made[:cut])
    summarise(Recorded(grown))
    for sample in made[cut:]:
        grown.append(astuple(sample)[:-1])
    assert summarise(Recorded(grown)) == summarise(Recorded(recorded(made)))


def test_a_load_of_nothing_is_null_not_zero() -> None:
    assert summarise(Recorded(Samples())) == {
        "requests": 0,
        "failed": 0,
        "by_version": {},
        "by_status": {},
        "versions": {},
        "connections_opened": 0,
        "connections_broken": 0,
        "connections_drained": 0,
        "latency_ms": {"p50": None, "p99": None, "max": None},
        "longest_gap_ms": None,
    }


def test_connections_are_told_as_counted() -> None:
    result = summarise(Recorded(Samples(), Connections(opened=9, broken=2, drained=3, closed=1)))
    assert (result["connections_opened"], result["connections_broken"], result["connections_drained"]) == (9, 2, 3)


def test_latency_counts_from_when_a_request_was_due() -> None:
    late = Sample(0, 90 * MS, 95 * MS, 100 * MS, 200, 0, 0)
    assert summarise(Recorded(recorded([late])))["latency_ms"]["max"] == 100


def test_a_gap_is_between_successes_so_failures_lie_within_it() -> None:
    made = [response(10, None), response(20, None), failure(30), response(40, None, status=503), response(70, None)]
    assert summarise(Recorded(recorded(made)))["longest_gap_ms"] == 50
    assert summarise(Recorded(recorded(made[:1])))["longest_gap_ms"] is None


def test_a_rollout_begins_with_the_first_new_and_ends_with_the_last_old_response() -> None:
    made = recorded(
        [
            response(10, "1.0.0"),
            response(20, "2.0.0", 1),
            response(30, "1.0.0"),
            response(40, "2.0.0", 1),
            response(50, "2.0.0"),
        ]
    )
    assert rollout_view(made, "2.0.0", 5 * MS) == (20 * MS, 30 * MS)


def test_a_rollout_that_nobody_else_answered_in_between_settles_with_its_first_response() -> None:
    made = recorded([response(10, "1.0.0"), response(30, "2.0.0"), response(40, "2.0.0")])
    assert rollout_view(made, "2.0.0", 5 * MS) == (30 * MS, 30 * MS)
    assert rollout_view(made, "2.0.0", 20 * MS) == (30 * MS, 30 * MS)


def test_a_rollout_whose_predecessor_has_the_last_word_is_not_settled() -> None:
    made = recorded([response(10, "2.0.0"), response(20, "1.0.0")])
    assert rollout_view(made, "2.0.0", 0) == (10 * MS, None)


def test_a_rollout_without_a_response_has_neither_time() -> None:
    assert rollout_view(recorded([response(10, "1.0.0"), failure(20)]), "2.0.0", 0) == (None, None)


def test_the_next_rollout_does_not_unsettle_the_one_before() -> None:
    made = recorded([response(10, "1.0.0"), response(20, "2.0.0"), response(40, "3.0.0")])
    assert rollout_view(made, "2.0.0", 0) == (20 * MS, None)
    assert rollout_view(made, "2.0.0", 0, until_ns=40 * MS) == (20 * MS, 20 * MS)


def test_the_removal_of_a_plugin_is_a_rollout_of_no_version() -> None:
    made = recorded([response(10, "1.0.0"), response(20, None), response(30, "1.0.0"), response(40, None)])
    assert rollout_view(made, None, 0) == (20 * MS, 30 * MS)


def test_failures_say_nothing_about_versions_unless_a_plugin_marked_them() -> None:
    made = [response(10, "2.0.0"), failure(20), response(30, None, status=503), response(40, "2.0.0")]
    assert rollout_view(recorded(made), "2.0.0", 0) == (10 * MS, 10 * MS)
    made.insert(3, response(35, "1.0.0", status=503))
    assert rollout_view(recorded(made), "2.0.0", 0) == (10 * MS, 35 * MS)


def test_another_plugins_versions_are_read_by_its_own_rule() -> None:
    made = recorded([response(10, "1.0.0"), response(20, "2.0.0"), response(30, "1.0.0")])

    def major(signature: Signature) -> str | None:
        return "new" if signature.headers["x-version"] == "2.0.0" else "old"

    assert rollout_view(made, "new", 0, until_ns=25 * MS, attribute=major) == (20 * MS, 20 * MS)
    assert rollout_view(made, "old", 15 * MS, attribute=major) == (30 * MS, 30 * MS)


@given(samples, st.integers(0, 9_000), st.sampled_from(VERSIONS))
def test_a_rollout_followed_as_it_comes_is_the_rollout_seen_afterwards(
    made: list[Sample], since_ms: int, version: str | None
) -> None:
    growing = recorded([])
    rollout = Rollout(growing, version, since_ms * MS)
    for sample in recorded(made):
        if sample.done_ns >= since_ms * MS:
            growing.append(row(sample))
            rollout.advance()
    first_ns, settled_ns = rollout_view(recorded(made), version, since_ms * MS)
    assert first_ns == (rollout.first.done_ns if rollout.first else None)
    assert (settled_ns is not None) == (rollout.streak > 0)


def test_a_version_holds_when_it_answered_last_on_every_open_connection() -> None:
    made = recorded([response(10, "1.0.0", 0), response(20, "2.0.0", 1), response(30, "2.0.0", 2)])
    rollout = Rollout(made, "2.0.0", 0)
    rollout.advance()
    assert rollout.holds({1, 2})
    assert not rollout.holds({0, 1})
    assert not rollout.holds({1, 3})
    assert not rollout.holds(set())
    made.append([0, 0, 0, 40 * MS, 200, VERSIONS.index("2.0.0"), 0, None])
    rollout.advance()
    assert rollout.holds({0, 1, 2})


def test_a_version_is_new_again_once_it_was_on_no_connection() -> None:
    versions = Versions()
    assert versions.is_new(response(1, "1.0.0", 0))
    assert not versions.is_new(response(2, "1.0.0", 1))
    assert versions.is_new(response(3, "2.0.0", 0))
    assert not versions.is_new(response(4, "1.0.0", 0))
    assert not versions.is_new(response(5, "1.0.0", 0))
    assert versions.is_new(response(6, "2.0.0", 0))
    versions.forget(0)
    assert versions.is_new(response(7, "2.0.0", 2))
    assert not versions.is_new(failure(8))

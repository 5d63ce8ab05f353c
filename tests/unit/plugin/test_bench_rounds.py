"""How samples are shared out to rounds."""

from __future__ import annotations

from sim.plugin.bench_rounds import Round, Tally, cut
from sim.traffic.samples import Sample

MS = 1_000_000
ROUNDS = [
    Round("none", 0, 100 * MS),
    Round("with", 120 * MS, 200 * MS),
    Round("with", 220 * MS, 300 * MS),
    Round("none", 320 * MS, 400 * MS),
]


def sample(
    due_ms: float,
    version: str | None,
    took_us: int = 300,
    *,
    late_us: int = 0,
    connection: int = 0,
    status: int | None = 200,
    error: str | None = None,
) -> Sample:
    sent_ns = round(due_ms * MS) + late_us * 1000
    answered = status is not None
    return Sample(
        due_ns=round(due_ms * MS),
        sent_ns=sent_ns,
        first_byte_ns=sent_ns + took_us * 1000 if answered else None,
        # What the probe needs to read it counts for nobody.
        done_ns=sent_ns + took_us * 1000 + 90_000,
        status=status,
        signature=None,
        connection=connection,
        error=error,
        version=version,
    )


def test_two_rounds_in_a_row_are_a_pair_whichever_way_comes_first() -> None:
    samples = [sample(10, "none", 300), sample(150, "with", 350), sample(230, "with", 360), sample(390, "none", 310)]
    found = cut(samples, ROUNDS)
    assert [(list(pair.plain), list(pair.plugin)) for pair in found.pairs] == [([300.0], [350.0]), ([310.0], [360.0])]
    assert (found.plain.requests, found.plugin.requests) == (2, 2)


def test_what_was_due_between_two_rounds_counts_for_neither() -> None:
    samples = [sample(10, "none"), sample(110, "none"), sample(119, "with"), sample(150, "with"), sample(410, "none")]
    found = cut(samples, ROUNDS[:2])
    assert (found.plain.requests, found.plugin.requests) == (1, 1)


def test_a_worker_that_does_not_know_of_the_round_yet_spoils_nothing() -> None:
    found = cut([sample(10, "none"), sample(121, "none", 9), sample(150, "with")], ROUNDS[:2])
    assert found.plugin.requests == 1
    assert list(found.pairs[0].plugin) == [300.0]


def test_what_the_probe_was_late_by_is_nobodys_latency() -> None:
    found = cut([sample(10, "none", late_us=4000), sample(150, "with")], ROUNDS[:2])
    assert list(found.pairs[0].plain) == [300.0]


def test_who_had_to_wait_for_a_connection_waited_since_it_was_due() -> None:
    # The first one takes 5 ms; the second is due after 2 of them and sent when they are over.
    samples = [sample(10, "none", 5000), sample(12, "none", 300, late_us=3090), sample(150, "with")]
    found = cut(samples, ROUNDS[:2])
    assert list(found.pairs[0].plain) == [5000.0, 3390.0]
    assert found.plain.overtaken == 0


def test_who_waited_for_a_request_the_other_way_is_counted() -> None:
    slow = sample(299, "with", 40_000)
    samples = [sample(230, "with"), slow, sample(325, "none", late_us=14_090), sample(330, "none", connection=1)]
    found = cut(samples, ROUNDS[2:])
    assert (found.plain.requests, found.plain.overtaken) == (2, 1)


def test_requests_without_an_answer_have_failed_and_no_latency() -> None:
    samples = [
        sample(10, "none"),
        sample(150, "with", status=403),
        sample(160, None, status=None, error="timeout"),
        sample(230, None, status=None, error="timeout"),
        sample(330, "none"),
    ]
    found = cut(samples, ROUNDS)
    assert (found.plugin.requests, found.plugin.failed, dict(found.plugin.by_status)) == (3, 2, {403: 1})
    # The second pair has a round without any response.
    assert len(found.pairs) == 1


def test_samples_may_come_in_any_order_and_tallies_add_up() -> None:
    samples = [sample(150, "with"), sample(390, "none"), sample(10, "none"), sample(230, "with", status=503)]
    found = cut(samples, ROUNDS)
    whole = Tally.sum([found.plain, found.plugin])
    assert whole.as_dict() == {"requests": 4, "failed": 0, "overtaken": 0, "by_status": {"200": 3, "503": 1}}

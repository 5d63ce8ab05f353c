"""Responses told apart, and the bound on how many."""

from __future__ import annotations

from sim.traffic.probe.signatures import BODY_PREFIX_BYTES, Answer, SignatureTable


def answer(status: int = 200, body: bytes = b"ok", **headers: str) -> Answer:
    made = Answer.of(status, [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()])
    made.add(body)
    return made


def test_equal_answers_share_a_number_that_is_announced_once() -> None:
    table = SignatureTable()
    number, new = table.number(answer(x_version="1"))
    assert (number, new) == (0, answer(x_version="1"))
    assert table.number(answer(x_version="1")) == (0, None)


def test_status_headers_and_body_tell_answers_apart() -> None:
    table = SignatureTable()
    different = [answer(), answer(403), answer(x_version="1"), answer(x_version="2"), answer(body=b"no")]
    assert [table.number(one)[0] for one in different] == [0, 1, 2, 3, 4]


def test_headers_that_always_change_do_not() -> None:
    table = SignatureTable()
    table.number(answer(date="one", x_request_id="1", x_envoy_upstream_service_time="1"))
    assert table.number(answer(date="two", x_request_id="2", x_envoy_upstream_service_time="2")) == (0, None)


def test_a_body_counts_beyond_its_prefix_and_in_any_pieces() -> None:
    table = SignatureTable()
    long = b"x" * BODY_PREFIX_BYTES
    whole, pieces, other = answer(body=long + b"tail"), answer(body=long[:100]), answer(body=long + b"toil")
    pieces.add(long[100:] + b"ta")
    pieces.add(b"il")
    assert table.number(whole)[0] == table.number(pieces)[0] == 0
    assert table.number(other)[0] == 1
    assert whole.body == pieces.body == long


def test_too_many_bodies_leave_the_headers() -> None:
    table = SignatureTable(b"x-version", limit=2)
    for body in (b"1", b"2"):
        table.number(answer(body=body, x_version="1"))
    number, reduced = table.number(answer(body=b"3", x_version="1"))
    assert (number, reduced) == (2, answer(body=b"", x_version="1"))
    assert table.number(answer(body=b"4", x_version="1")) == (2, None)
    assert table.number(answer(body=b"1", x_version="1")) == (0, None)


def test_too_many_headers_leave_the_version_and_then_the_status() -> None:
    table = SignatureTable(b"x-version", limit=1)
    for count in range(2):
        table.number(answer(body=str(count).encode(), x_version="1", x_count=str(count)))
    assert table.number(answer(x_version="1", x_count="8"))[1] == answer(body=b"", x_version="1")
    assert table.number(answer(x_version="1", x_count="9")) == (2, None)
    assert table.number(answer(x_version="2", x_count="9")) == (3, answer(body=b""))
    assert table.number(answer(x_version="3", x_count="9")) == (3, None)
    assert table.number(answer(404, x_version="3"))[1] == answer(404, body=b"")

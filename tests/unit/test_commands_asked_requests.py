"""Requests as they are written on a command line."""

from __future__ import annotations

import pytest

from sim.commands.asked_requests import asked_header, asked_request
from sim.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "method", "host", "target"),
    [
        ("GET /a?b=c", "GET", None, "/a?b=c"),
        ("/a", "GET", None, "/a"),
        ("POST http://www.example.com/x", "POST", "www.example.com", "/x"),
        ("http://www.example.com:8080", "GET", "www.example.com:8080", "/"),
    ],
)
def test_a_request_is_a_method_and_a_path_or_a_url(text: str, method: str, host: str | None, target: str) -> None:
    asked = asked_request(text, (("a", "1"),), "body")
    assert (asked.method, asked.host, asked.target) == (method, host, target)
    assert (asked.headers, asked.body) == ((("a", "1"),), b"body")


@pytest.mark.parametrize("text", ["", "get /", "GET a", "GET / HTTP/1.1", "GET /ä", "https://a.example/"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no request"):
        asked_request(text, (), None)


def test_a_header_is_a_name_and_a_value() -> None:
    assert asked_header("X-A:  b: c ") == ("X-A", "b: c")


@pytest.mark.parametrize("text", ["a", ": b", "a b: c", "a: b\r\nc: d"])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no header"):
        asked_header(text)

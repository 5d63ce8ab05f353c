"""The probe's configuration line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sim.traffic.load import LoadSpec
from sim.traffic.probe.settings import Settings, failing_codes


def read(**given: Any) -> Settings:
    return Settings.from_line(json.dumps({"host": "127.0.0.1", "port": 1, "rate_per_s": 5, **given}).encode())


def test_the_line_that_a_load_writes_is_understood() -> None:
    spec = LoadSpec(
        name="users",
        rate_per_s=12.5,
        connections=3,
        method="POST",
        path="/a",
        headers={"X-User": "alice"},
        authority="shop.example.com",
        body="é",
        timeout_ms=250,
        fail_status=("4xx", 503),
        version_header="X-Plugin-Version",
    )
    settings = Settings.from_line(json.dumps(spec.configuration("127.0.0.1", 80)).encode())
    assert (settings.host, settings.port, settings.rate_per_s, settings.connections) == ("127.0.0.1", 80, 12.5, 3)
    assert (settings.request.method, settings.request.target) == (b"POST", b"/a")
    assert list(settings.request.headers) == [
        (b"host", b"shop.example.com"),
        (b"x-user", b"alice"),
        (b"content-length", b"2"),
    ]
    assert settings.timeout_ns == 250_000_000
    assert settings.failing == {*range(400, 500), 503}
    assert settings.version_header == b"x-plugin-version"


def test_the_authority_is_the_address_unless_given() -> None:
    assert list(read().request.headers) == [(b"host", b"127.0.0.1:1")]


def test_a_5xx_fails_and_a_403_does_not_by_default() -> None:
    assert {500, 503, 599} <= read().failing
    assert not {200, 403, 429} & read().failing


@pytest.mark.parametrize(
    "given",
    [
        {"rate_per_s": -1},
        {"connections": 0},
        {"port": None},
        {"path": "/a b"},
        {"headers": ["x"]},
        {"headers": {"x": "a\r\nb"}},
        {"fail_status": ["5x"]},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read(**given)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="port"):
        Settings.from_line(b'{"host": "127.0.0.1"}')


def test_codes_and_classes_can_be_mixed() -> None:
    assert failing_codes(["5XX", 429, "418"]) == {418, 429, *range(500, 600)}

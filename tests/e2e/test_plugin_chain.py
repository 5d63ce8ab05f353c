"""The course's chain of bundled plugins, one behind the other in a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Listener, Route, running

pytestmark = pytest.mark.e2e

CHAIN = (
    Filter(
        "custom-response",
        {
            "enable_on_status": [401],
            "status_code": 302,
            "headers": ["location=https://login.com/"],
            "_rules_": [{"_match_domain_": ["mock.com"], "body": "mocked"}],
        },
    ),
    Filter(
        "transformer",
        {
            "reqRules": [{"operate": "rename", "headers": [{"oldKey": "token", "newKey": "x-api-key"}]}],
            "respRules": [{"operate": "add", "headers": [{"key": "x-transformed", "value": "yes"}]}],
        },
    ),
    Filter(
        "key-auth",
        {
            "consumers": [{"name": "consumer1", "credential": "secret"}],
            "keys": ["x-api-key"],
            "in_header": True,
            "global_auth": True,
        },
    ),
    Filter("easy-logger", {"request": True}),
)
VERSION_HEADERS = {f"x-{each.plugin}-version" for each in CHAIN}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("chain"), Listener("chain", CHAIN, [Route(name="r")])) as started:
        yield started


def test_a_request_passes_through_all_of_them_in_order(gateway: Gateway) -> None:
    response = gateway.request("chain", headers={"token": "secret"}, method="POST", body="hello")
    assert response.status == 200
    # The transformer came before key-auth, which found the key under its new name.
    assert response.echo["headers"]["x-mse-consumer"] == "consumer1"
    assert "token" not in response.echo["headers"]
    assert response.echo["body"] == "hello"
    assert {name: value for name, value in response.headers if name in VERSION_HEADERS} == dict.fromkeys(
        VERSION_HEADERS, VERSION
    )
    assert response.get("x-transformed") == "yes"
    logged = gateway.message("chain/easy-logger", "request headers")
    assert {"x-mse-consumer:consumer1", "x-api-key:secret"} <= set(logged)


def test_the_first_one_replaces_the_refusal_of_a_later_one(gateway: Gateway) -> None:
    response = gateway.request("chain")
    assert (response.status, response.get("location")) == (302, "https://login.com/")
    # It takes the response's place with all that was in it, the other plugins' versions too.
    assert [name for name, _ in response.headers if name in VERSION_HEADERS] == ["x-custom-response-version"]


def test_the_refusal_of_a_later_one_passes_where_it_is_not_named(gateway: Gateway) -> None:
    response = gateway.request("chain", headers={"token": "wrong"})
    assert (response.status, response.get("www-authenticate")) == (403, "Key realm=MSE Gateway")
    # Whoever saw the request sees the response; easy-logger, behind key-auth, saw neither.
    seen = {name for name, _ in response.headers if name in VERSION_HEADERS}
    assert seen == VERSION_HEADERS - {"x-easy-logger-version"}


def test_an_answer_of_the_first_one_reaches_no_other(gateway: Gateway) -> None:
    response = gateway.request("chain", host="mock.com")
    assert (response.status, response.body) == (200, "mocked")
    assert [name for name, _ in response.headers if name in VERSION_HEADERS] == ["x-custom-response-version"]
    assert response.get("x-transformed") is None

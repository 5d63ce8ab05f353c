"""The bundled key-auth in a real Envoy, as its README has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Headers, Listener, Response, Route, running

pytestmark = pytest.mark.e2e

HEADER = "x-key-auth-version"
CONSUMERS = [{"name": "consumer1", "credential": "first"}, {"name": "consumer2", "credential": "second key"}]
GLOBAL: dict[str, Any] = {"consumers": CONSUMERS, "keys": ["x-api-key", "apikey"], "in_header": True}
RULES = {
    "_rules_": [
        {"_match_route_": ["team/one"], "allow": ["consumer1"]},
        {"_match_domain_": ["two.com"], "allow": ["consumer2", "stranger"]},
    ]
}

CONFIGURATIONS: dict[str, Any] = {
    "header": GLOBAL,
    "query": {**GLOBAL, "in_header": False, "in_query": True},
    "both": {**GLOBAL, "in_query": True},
    "neither": {**GLOBAL, "in_header": False},
    "rules": GLOBAL | RULES,
    "rules-global": GLOBAL | RULES | {"global_auth": True},
    "off": {**GLOBAL, "global_auth": False},
    "no-global": RULES,
    "bad-global": {**GLOBAL, "consumers": []} | RULES,
    "warnings": {**GLOBAL, "allow": ["consumer1"], "realm": "x"}
    | {"_rules_": [{"_match_domain_": ["a"], "allow": ["b"], "keys": ["c"]}]},
}

REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "consumers is required"),
    "no-keys": ({"consumers": CONSUMERS, "in_header": True}, "keys is required"),
    "empty-keys": ({**GLOBAL, "keys": []}, "keys names nothing"),
    "text-keys": ({**GLOBAL, "keys": "x-api-key"}, "keys has to be a list of strings, not a string"),
    "nobody": ({**GLOBAL, "consumers": []}, "consumers names nobody"),
    "object-consumers": ({**GLOBAL, "consumers": {}}, "consumers has to be a list of objects, not an object"),
    "text-consumer": ({**GLOBAL, "consumers": ["a"]}, "consumers[0] has to be an object, not a string"),
    "number-credential": (
        {**GLOBAL, "consumers": [{"name": "a", "credential": 1}]},
        "consumers[0].credential has to be a string, not a number",
    ),
    "no-name": ({**GLOBAL, "consumers": [{"credential": "1"}]}, "consumers[0].name is required"),
    "empty-credential": (
        {**GLOBAL, "consumers": [{"name": "a", "credential": ""}]},
        "consumers[0].credential is empty",
    ),
    "shared-credential": (
        {**GLOBAL, "consumers": [*CONSUMERS, {"name": "third", "credential": "first"}]},
        "consumers[2].credential is that of consumer1 already",
    ),
    "nowhere": ({"consumers": CONSUMERS, "keys": ["a"]}, "in_header or in_query is required"),
    "text-truth": ({**GLOBAL, "global_auth": "true"}, "global_auth has to be a boolean, not a string"),
    "no-allow": (GLOBAL | {"_rules_": [{"_match_domain_": ["a"]}]}, "allow is required"),
    "empty-allow": (GLOBAL | {"_rules_": [{"_match_domain_": ["a"], "allow": []}]}, "allow names nobody"),
    "text-allow": (
        GLOBAL | {"_rules_": [{"_match_domain_": ["a"], "allow": "b"}]},
        "allow has to be a list of strings, not a string",
    ),
}

FIRST = {"x-api-key": "first"}
SECOND = {"apikey": "second key"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    routes = (Route(name="team/one", prefix="/one"), Route(name="team/other"))
    listeners = [
        Listener(name, [Filter("key-auth", each)], routes, own_vm=True)
        for name, each in [*CONFIGURATIONS.items(), *((name, each) for name, (each, _) in REFUSED.items())]
    ]
    with running(tmp_path_factory.mktemp("key-auth"), *listeners) as started:
        yield started


def assert_passes_as(response: Response, consumer: str | None) -> None:
    assert response.status == 200, response
    assert response.echo["headers"].get("x-mse-consumer") == consumer
    assert response.get(HEADER) == VERSION


def assert_refused(response: Response, status: int) -> None:
    assert response.status == status, response
    assert response.get("www-authenticate") == "Key realm=MSE Gateway"
    assert response.get(HEADER) == VERSION


@pytest.mark.parametrize(("headers", "consumer"), [(FIRST, "consumer1"), (SECOND, "consumer2")])
def test_a_request_with_a_key_passes_and_the_upstream_learns_whose_it_is(
    gateway: Gateway, headers: Mapping[str, str], consumer: str
) -> None:
    assert_passes_as(gateway.request("header", headers=headers), consumer)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", [], 401),
        ("/", [("x-api-key", "")], 401),
        ("/?apikey=first", [], 401),
        ("/", [("x-api-key", "first"), ("apikey", "first")], 401),
        ("/", [("x-api-key", "stranger's")], 403),
        ("/", [("x-api-key", "First")], 403),
    ],
)
def test_no_key_and_several_are_401_and_a_wrong_one_is_403(
    gateway: Gateway, path: str, headers: Headers, status: int
) -> None:
    assert_refused(gateway.request("header", path, headers), status)


def test_a_key_may_be_in_the_query(gateway: Gateway) -> None:
    assert_passes_as(gateway.request("query", "/?a=b&apikey=first"), "consumer1")
    assert_passes_as(gateway.request("query", "/?apikey=second+%6bey"), "consumer2")
    assert_refused(gateway.request("query", "/?apikey=first&x-api-key=first"), 401)
    assert_refused(gateway.request("query", "/?apikey=first&apikey=first"), 401)
    assert_refused(gateway.request("query", "/?apikey="), 403)
    assert_refused(gateway.request("query", headers=FIRST), 401)


def test_where_headers_are_looked_at_the_query_is_not(gateway: Gateway) -> None:
    assert_refused(gateway.request("both", "/?apikey=first"), 401)
    assert_passes_as(gateway.request("both", "/?apikey=second", FIRST), "consumer1")


def test_where_nothing_is_looked_at_nobody_has_a_key(gateway: Gateway) -> None:
    assert_refused(gateway.request("neither", "/?apikey=first", FIRST), 401)


@pytest.mark.parametrize("listener", ["rules", "rules-global"])
def test_a_rule_lets_only_those_through_whom_it_allows(gateway: Gateway, listener: str) -> None:
    assert_passes_as(gateway.request(listener, "/one", FIRST), "consumer1")
    assert_refused(gateway.request(listener, "/one", SECOND), 403)
    assert_passes_as(gateway.request(listener, "/", SECOND, host="two.com"), "consumer2")
    assert_refused(gateway.request(listener, "/", FIRST, host="two.com"), 403)
    assert_refused(gateway.request(listener, "/one"), 401)


def test_beside_rules_the_global_configuration_asks_nobody_unless_told_to(gateway: Gateway) -> None:
    assert_passes_as(gateway.request("rules", headers={"x-api-key": "stranger's"}), None)
    assert_refused(gateway.request("rules-global"), 401)
    assert_passes_as(gateway.request("rules-global", headers=SECOND), "consumer2")
    assert_passes_as(gateway.request("off"), None)


@pytest.mark.parametrize("listener", ["no-global", "bad-global"])
def test_without_a_usable_global_configuration_rules_refuse_everybody(gateway: Gateway, listener: str) -> None:
    assert_refused(gateway.request(listener, "/one", FIRST), 401)
    assert_passes_as(gateway.request(listener, "/"), None)


def test_a_consumer_that_the_request_brings_stays_beside_the_true_one(gateway: Gateway) -> None:
    response = gateway.request("header", headers={**FIRST, "X-Mse-Consumer": "root"})
    assert response.echo["headers"]["x-mse-consumer"].replace(" ", "") == "root,consumer1"


def test_a_key_of_the_wrong_level_and_an_unknown_one_are_warnings_in_envoys_log(gateway: Gateway) -> None:
    assert gateway.request("warnings").status == 200
    assert gateway.logged("warnings", "allow counts only in a rule and is ignored")
    assert gateway.logged("warnings", "keys counts only in the global configuration and is ignored")
    assert gateway.logged("warnings", "realm is an unknown key and is ignored")


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_can_not_be_meant_is_refused(gateway: Gateway, name: str) -> None:
    assert name not in gateway.ports
    assert gateway.logged(name, REFUSED[name][1])

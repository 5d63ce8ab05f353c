"""The bundled request-block in a real Envoy, as its README has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Listener, Route, running

pytestmark = pytest.mark.e2e

HEADER = "x-request-block-version"

CONFIGURATIONS: dict[str, Any] = {
    "words": {"block_urls": ["swagger.html"]},
    "case-sensitive": {"block_urls": ["swagger.html"], "case_sensitive": True},
    "everything": {
        "block_urls": ["Swagger", "foo=BAR"],
        "block_exact_urls": ["/Exactly?a=1"],
        "block_headers": ["Bad-Robot"],
        "case_sensitive": False,
        "blocked_code": 451,
        "blocked_message": "不行",
    },
    "rules": {
        "block_urls": ["global"],
        "_rules_": [
            {"_match_domain_": ["*.example.com"], "block_urls": ["domain"]},
            {"_match_route_": ["direct"], "_match_service_": ["a.dns"], "block_urls": ["both"]},
            {"_match_service_": ["a.dns:80"], "block_urls": ["service"]},
            {"_match_domain_": ["by-route"], "block_urls": ["unused"]},
            {"_match_route_prefix_": ["dir"], "block_headers": ["x-prefix"]},
        ],
    },
    "warnings": {"block_urls": ["x"], "block_uris": ["y"], "block_bodies": ["z"], "blocked_code": 42},
    "bad-global": {"block_urls": 1, "_rules_": [{"_match_domain_": ["a.com"], "block_urls": ["rule"]}]},
}
ROUTES = (
    Route(cluster="outbound|80||a.dns", name="to-service", prefix="/service"),
    Route(cluster=None, name="direct", status=200),
)

REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": ("", "there is no block rule"),
    "empty": ({}, "there is no block rule"),
    "empty-word": ({"block_urls": [""]}, "there is no block rule"),
    "exact-alone": ({"block_exact_urls": ["/a"]}, "there is no block rule"),
    "text-for-list": ({"block_urls": "swagger"}, "block_urls has to be a list of strings, not a string"),
    "number-in-list": ({"block_urls": [1]}, "block_urls has to be a list of strings, not a number"),
    "object-for-list": ({"block_headers": {"a": "b"}}, "block_headers has to be a list of strings, not an object"),
    "text-for-truth": (
        {"block_urls": ["a"], "case_sensitive": "yes"},
        "case_sensitive has to be a boolean, not a string",
    ),
    "text-for-number": (
        {"block_urls": ["a"], "blocked_code": "403"},
        "blocked_code has to be a whole number, not a string",
    ),
    "fraction": ({"block_urls": ["a"], "blocked_code": 403.5}, "blocked_code has to be a whole number, not 403.5"),
    "number-for-text": (
        {"block_urls": ["a"], "blocked_message": 1},
        "blocked_message has to be a string, not a number",
    ),
    "list": ("[]", "the configuration has to be an object, not a list"),
    "not-json": ('{"block_urls": [', "it is not valid JSON"),
    "no-condition": ({"block_urls": ["a"], "_rules_": [{"block_urls": ["b"]}]}, "a rule needs at least one of"),
    "bad-rule": (
        {"block_urls": ["a"], "_rules_": [{"_match_domain_": ["a"], "block_urls": 1}]},
        "block_urls has to be a list of strings, not a number",
    ),
}


def filters(*configurations: Any) -> list[Filter]:
    return [Filter("request-block", each) for each in configurations]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    listeners = [
        *(Listener(name, filters(each), ROUTES, own_vm=True) for name, each in CONFIGURATIONS.items()),
        *(Listener(name, filters(each), own_vm=True) for name, (each, _) in REFUSED.items()),
        Listener(
            "two",
            filters(
                {"block_urls": ["first"], "blocked_code": 401},
                {"block_urls": ["second"], "blocked_code": 402},
            ),
            ROUTES,
        ),
    ]
    with running(tmp_path_factory.mktemp("request-block"), *listeners) as started:
        yield started


def test_a_blocked_url_is_refused_and_every_response_names_the_stamped_version(gateway: Gateway) -> None:
    for path, status in {
        "/api/user/swagger.html": 403,
        "/api/user/swagger.html?x=1": 403,
        # Higress' code, unlike its documentation, ignores letter case unless told otherwise.
        "/api/user/Swagger.html": 403,
        "/api/user": 200,
    }.items():
        response = gateway.request("words", path)
        assert (response.status, response.get(HEADER), response.body) == (status, VERSION, ""), path


def test_letter_case_counts_where_the_configuration_says_so(gateway: Gateway) -> None:
    assert gateway.request("case-sensitive", "/api/user/swagger.html").status == 403
    assert gateway.request("case-sensitive", "/api/user/Swagger.html").status == 200


def test_the_refusal_has_the_configured_code_and_message_and_letter_case_can_be_ignored(gateway: Gateway) -> None:
    refusal = gateway.request("everything", "/SWAGGER")
    assert (refusal.status, refusal.get(HEADER), refusal.body) == (451, VERSION, "不行")
    assert gateway.request("everything", "/?foo=bar").status == 451
    assert gateway.request("everything", "/exactly?A=1").status == 451
    assert gateway.request("everything", "/exactly?A=12").status == 200
    assert gateway.request("everything", headers={"agent": "a BAD-robot here"}).status == 451
    assert gateway.request("everything", headers={"bad-robot": "1"}).status == 451
    assert gateway.request("everything", headers={"agent": "a good robot"}).status == 200


@pytest.mark.parametrize(
    ("host", "path", "headers", "status"),
    [
        ("www.example.com:8080", "/domain", {}, 403),
        ("www.example.com", "/global", {}, 200),
        ("a.com", "/service", {}, 403),
        ("by-route", "/global", {}, 200),
        ("by-route", "/unused", {}, 403),
        ("a.com", "/anything", {"x-prefix": "1"}, 403),
        ("a.com", "/both", {}, 200),
        ("a.com", "/global", {}, 200),
    ],
)
def test_the_first_rule_that_matches_the_request_decides(
    gateway: Gateway, host: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert gateway.request("rules", path, headers, host=host).status == status


def test_a_bad_global_configuration_is_told_of_and_the_rules_apply(gateway: Gateway) -> None:
    assert gateway.request("bad-global", "/rule", host="a.com").status == 403
    assert gateway.request("bad-global", "/rule", host="b.com").status == 200
    assert gateway.logged("bad-global", "block_urls has to be a list of strings, not a number")


def test_two_plugins_with_one_module_keep_their_own_configurations(gateway: Gateway) -> None:
    for path, status in {"/first": 401, "/second": 402, "/third": 200}.items():
        response = gateway.request("two", path)
        assert (response.status, response.get(HEADER)) == (status, VERSION)


def test_an_unknown_key_is_a_warning_in_envoys_log(gateway: Gateway) -> None:
    assert gateway.request("warnings", "/x").status == 403
    assert gateway.logged("warnings", "block_uris is an unknown key and is ignored")
    assert gateway.logged("warnings", "block_bodies is not supported")
    assert gateway.logged("warnings", "blocked_code 42 is no HTTP status; 403 is used")


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_can_not_be_meant_is_refused(gateway: Gateway, name: str) -> None:
    assert name not in gateway.ports
    assert gateway.logged(name, REFUSED[name][1])

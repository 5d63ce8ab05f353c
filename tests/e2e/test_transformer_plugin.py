"""The bundled transformer in a real Envoy, as its README has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Headers, Listener, Response, Route, running

pytestmark = pytest.mark.e2e


def rules(operate: str, *items: dict[str, Any], on: str = "headers", **more: Any) -> list[dict[str, Any]]:
    return [{"operate": operate, on: list(items), **more}]


#: By listener: what the request brings, and what of it arrives (None: nothing of that name).
HEADERS: dict[str, tuple[list[dict[str, Any]], Headers, dict[str, str | None]]] = {
    "remove": (rules("remove", {"key": "X-A"}, {"key": "x-not-there"}), [("x-a", "1"), ("x-a", "2")], {"x-a": None}),
    "rename": (rules("rename", {"oldKey": "X-A", "newKey": "X-B"}), [("x-a", "1")], {"x-a": None, "x-b": "1"}),
    "rename-onto": (
        rules("rename", {"oldKey": "x-a", "newKey": "x-b"}),
        [("x-a", "1"), ("x-b", "0"), ("x-a", "2")],
        {"x-a": None, "x-b": "0, 1, 2"},
    ),
    "rename-absent": (rules("rename", {"oldKey": "x-a", "newKey": "x-b"}), [("x-b", "0")], {"x-a": None, "x-b": "0"}),
    "replace": (
        rules("replace", {"key": "X-A", "newValue": "new"}),
        [("x-a", "1"), ("x-a", "2")],
        {"x-a": "new"},
    ),
    "replace-absent": (rules("replace", {"key": "x-a", "newValue": 5}), [], {"x-a": "5"}),
    "add": (
        rules("add", {"key": "x-a", "value": "no"}, {"key": "x-b", "value": True}),
        [("x-a", "1")],
        {"x-a": "1", "x-b": "true"},
    ),
    "append": (
        rules("append", {"key": "x-a", "appendValue": "more"}, {"key": "x-b", "appendValue": "first"}),
        [("x-a", "1")],
        {"x-a": "1, more", "x-b": "first"},
    ),
    "map": (
        rules("map", {"fromKey": "X-A", "toKey": "X-B"}, {"fromKey": "x-none", "toKey": "x-c"}),
        [("x-a", "1"), ("x-a", "2"), ("x-b", "0"), ("x-c", "stays")],
        {"x-a": "1, 2", "x-b": "1, 2", "x-c": "stays"},
    ),
    "map-from-query": (
        rules("map", {"fromKey": "User", "toKey": "x-user"}, mapSource="querys"),
        [],
        {"x-user": "a b, c"},
    ),
    "dedupe": (
        rules(
            "dedupe",
            {"key": "X-First", "strategy": "RETAIN_FIRST"},
            {"key": "x-default"},
            {"key": "x-last", "strategy": "retain_last"},
            {"key": "x-unique", "strategy": "RETAIN_UNIQUE"},
            {"key": "x-split-first", "strategy": "SPLIT_AND_RETAIN_FIRST"},
            {"key": "x-split-last", "strategy": "SPLIT_AND_RETAIN_LAST"},
        ),
        [
            *((name, value) for name in ("x-first", "x-default", "x-last", "x-unique") for value in "1232"),
            ("x-split-first", "a,b,c"),
            ("x-split-last", "a,b,c"),
        ],
        {
            "x-first": "1",
            "x-default": "1",
            "x-last": "2",
            "x-unique": "1, 2, 3",
            "x-split-first": "a",
            "x-split-last": "c",
        },
    ),
    "patterns": (
        [
            *rules("add", {"key": "x-a", "value": "host-$1", "host_pattern": r"^(.*)\.com$"}),
            *rules("append", {"key": "x-a", "appendValue": "path-$1", "path_pattern": r"^.*?\/(\w+)[\?]{0,1}.*$"}),
            *rules("replace", {"key": "x-b", "newValue": "$1 stays", "host_pattern": r"^nowhere\.(org)$"}),
            *rules("add", {"key": "x-c", "value": "${top}!$$", "host_pattern": r"^.*\.(?P<top>[a-z]+)$"}),
            *rules("add", {"key": "x-d", "value": "-", "host_pattern": "[ao]+", "path_pattern": "unused("}),
        ],
        [],
        {"x-a": "host-foo.bar, path-get", "x-b": "$1 stays", "x-c": "com!$", "x-d": "f-.b-r.c-m"},
    ),
    "order": (
        [
            *rules("dedupe", {"key": "x-a"}),
            *rules("append", {"key": "x-a", "appendValue": "3"}),
            *rules("rename", {"oldKey": "x-a", "newKey": "x-b"}),
            *rules("add", {"key": "x-a", "value": "4"}),
        ],
        [("x-a", "1"), ("x-a", "2")],
        {"x-a": "4", "x-b": "1, 3"},
    ),
    "host": (rules("replace", {"key": ":authority", "newValue": "b.com"}), [], {"host": "b.com"}),
}

#: By listener: the path that comes and the path that arrives.
QUERIES: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "query-all": (
        [
            *rules("remove", {"key": "k1"}, on="querys"),
            *rules("rename", {"oldKey": "k2", "newKey": "k2-new"}, on="querys"),
            *rules("replace", {"key": "k2-new", "newValue": "v2-new"}, on="querys"),
            *rules("add", {"key": "k3", "value": "v31-$1", "path_pattern": r"^.*?\/(\w+)[\?]{0,1}.*$"}, on="querys"),
            *rules("append", {"key": "k3", "appendValue": "v32"}, on="querys"),
            *rules("map", {"fromKey": "k3", "toKey": "k4"}, on="querys"),
            *rules("dedupe", {"key": "k4"}, on="querys"),
        ],
        "/get?k1=v11&k1=v12&k2=v2",
        "/get?k2-new=v2-new&k3=v31-get&k3=v32&k4=v31-get",
    ),
    "query-case": (rules("remove", {"key": "A"}, on="querys"), "/?a=1&A=2&b=3&b=2", "/?a=1&b=3&b=2"),
    "query-gone": (rules("remove", {"key": "a"}, on="querys"), "/x?a=1", "/x"),
    "query-escapes": (
        rules("add", {"key": "ä &", "value": "=+~"}, on="querys"),
        "/?z=%2f+%e4%bd%a0&y=1;2&broken=%zz&empty&=nameless",
        "/?=nameless&empty=&z=%2F+%E4%BD%A0&%C3%A4+%26=%3D%2B~",
    ),
    "query-from-header": (
        rules("map", {"fromKey": "X-Request-Id", "toKey": "id"}, on="querys", mapSource="headers"),
        "/?id=old&a=1",
        "/?a=1&id=fixed",
    ),
}

RESPONSES: dict[str, Any] = {
    "response": {
        "respRules": [
            *rules("remove", {"key": "Content-Type"}),
            *rules("add", {"key": "X-Host", "value": "$1", "host_pattern": r"^(\w+).*$"}),
            *rules("add", {"key": "x-path", "value": "$0", "path_pattern": "[0-9]+"}),
            *rules("map", {"fromKey": ":status", "toKey": "x-status"}),
        ]
    },
    "nothing": {"reqRules": []},
    "both-sides": {
        "reqRules": rules("replace", {"key": ":authority", "newValue": "changed.org"}),
        "respRules": rules("add", {"key": "x-host", "value": "$0", "host_pattern": ".*"}),
    },
    "rules": {
        "reqRules": rules("add", {"key": "x-which", "value": "global"}),
        "_rules_": [
            {"_match_domain_": ["*.b.com"], "reqRules": rules("add", {"key": "x-which", "value": "rule"})},
        ],
    },
    "warnings": {
        "reroute": False,
        "reqRules": [
            *rules("map", {"fromKey": "a.b", "toKey": "x-a"}, mapSource="body"),
            *rules("add", {"key": "x-b", "value": "1", "value_type": "string"}, body=[{"key": "c", "value": "d"}]),
        ],
        "respRules": [*rules("add", {"key": "a", "value": "b"}, on="querys"), {"operate": "remove", "header": []}],
    },
}

REFUSED: dict[str, tuple[Any, str]] = {
    "no-rule": ({}, "reqRules or respRules is required"),
    "object-rules": ({"reqRules": {}}, "reqRules has to be a list of objects, not an object"),
    "no-operation": ({"reqRules": [{"headers": []}]}, "reqRules[0].operate is required"),
    "unknown-operation": (
        {"reqRules": rules("remove"), "respRules": rules("delete")},
        "respRules[0].operate has to be one of remove, rename, replace, add, append, map, dedupe, not delete",
    ),
    "number-operation": ({"reqRules": [{"operate": 1}]}, "reqRules[0].operate has to be one of"),
    "unknown-source": ({"reqRules": rules("map", mapSource="cookie")}, "mapSource has to be one of headers, querys"),
    "text-headers": (
        {"reqRules": [{"operate": "remove", "headers": "x-a"}]},
        "reqRules[0].headers has to be a list of objects, not a string",
    ),
    "text-item": (
        {"reqRules": [{"operate": "remove", "headers": ["x-a"]}]},
        "reqRules[0].headers[0] has to be an object, not a string",
    ),
    "list-value": (
        {"respRules": rules("add", {"key": "a", "value": ["b"]})},
        "respRules[0].headers[0].value has to be a string or a number, not a list",
    ),
    "no-key": ({"reqRules": rules("remove", {}, on="querys")}, "reqRules[0].querys[0].key is required"),
    "no-new-key": ({"reqRules": rules("rename", {"oldKey": "a"})}, "reqRules[0].headers[0].newKey is required"),
    "no-value": ({"reqRules": rules("append", {"key": "a"})}, "reqRules[0].headers[0].appendValue is required"),
    "no-strategy": (
        {"reqRules": rules("dedupe", {"key": "a", "strategy": "RETAIN"})},
        "reqRules[0].headers[0].strategy has to be one of RETAIN_FIRST",
    ),
    "no-pattern": (
        {"reqRules": rules("add", {"key": "a", "value": "b", "host_pattern": "(a"})},
        "reqRules[0].headers[0].host_pattern is no usable pattern: a closing parenthesis is missing",
    ),
}

HOST = "foo.bar.com"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    configurations = {name: {"reqRules": made} for name, (made, *_) in [*HEADERS.items(), *QUERIES.items()]}
    configurations |= RESPONSES
    configurations |= {name: each for name, (each, _) in REFUSED.items()}
    routes = (Route(name="by-name", prefix="/"),)
    own = RESPONSES.keys() | REFUSED.keys()
    listeners = [
        Listener(name, [Filter("transformer", each)], routes, own_vm=name in own)
        for name, each in configurations.items()
    ]
    with running(tmp_path_factory.mktemp("transformer"), *listeners) as started:
        yield started


def arrived(response: Response, name: str) -> str | None:
    """Repeated headers are joined by a comma and a space, whoever joined them."""
    value = response.echo["headers"].get(name)
    return None if value is None else ", ".join(piece.strip() for piece in value.split(","))


@pytest.mark.parametrize("listener", HEADERS)
def test_what_is_done_to_the_headers_of_a_request(gateway: Gateway, listener: str) -> None:
    _, headers, expected = HEADERS[listener]
    response = gateway.request(listener, "/get?User=a+b&user=x&User=c", headers, host=HOST)
    assert {name: arrived(response, name) for name in expected} == expected
    assert response.get("x-transformer-version") == VERSION


@pytest.mark.parametrize("listener", QUERIES)
def test_what_is_done_to_the_query_of_a_request(gateway: Gateway, listener: str) -> None:
    _, path, expected = QUERIES[listener]
    response = gateway.request(listener, path, {"x-request-id": "fixed"}, host=HOST)
    assert response.echo["path"] == expected


def test_headers_that_no_rule_names_stay_as_they_are(gateway: Gateway) -> None:
    sent = [("x-b", "1"), ("x-a", "2"), ("x-c", "3, 4")]
    through, changed = (gateway.request(name, "/?b=1&a=2", sent) for name in ("nothing", "remove"))
    assert through.echo["path"] == changed.echo["path"] == "/?b=1&a=2"
    assert {name: through.echo["headers"].get(name) for name, _ in sent} == dict(sent)
    assert {name: changed.echo["headers"].get(name) for name, _ in sent} == {**dict(sent), "x-a": None}


def test_what_is_done_to_the_headers_of_a_response(gateway: Gateway) -> None:
    response = gateway.request("response", "/items/42", host=HOST)
    assert response.echo["path"] == "/items/42"
    assert response.get("content-type") is None
    assert (response.get("x-host"), response.get("x-path")) == ("foo", "/items/42")
    assert (response.status, response.get("x-status")) == (200, "200")
    assert response.get("x-transformer-version") == VERSION


def test_patterns_see_the_request_as_it_came(gateway: Gateway) -> None:
    response = gateway.request("both-sides", host=HOST)
    assert response.echo["headers"]["host"] == "changed.org"
    assert response.get("x-host") == HOST


def test_a_rule_by_domain_takes_the_place_of_the_global_configuration(gateway: Gateway) -> None:
    assert arrived(gateway.request("rules", host="a.com"), "x-which") == "global"
    assert arrived(gateway.request("rules", host="a.b.com"), "x-which") == "rule"


def test_what_is_not_in_the_subset_is_a_warning_in_envoys_log(gateway: Gateway) -> None:
    response = gateway.request("warnings", method="POST", body='{"a":{"b":1}}')
    assert (arrived(response, "x-a"), arrived(response, "x-b")) == (None, "1")
    assert response.echo["body"] == '{"a":{"b":1}}'
    for warning in (
        "reroute false has no effect",
        "reqRules[0].mapSource body is not supported by this build; the rule is ignored",
        "reqRules[1].body is not supported by this build and is ignored",
        "reqRules[1].headers[0].value_type counts only for bodies",
        "respRules[0].querys has no effect",
        "respRules[1].header is an unknown key and is ignored",
    ):
        assert gateway.logged("warnings", warning), warning


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_can_not_be_meant_is_refused(gateway: Gateway, name: str) -> None:
    assert name not in gateway.ports
    assert gateway.logged(name, REFUSED[name][1])

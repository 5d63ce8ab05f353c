"""The bundled custom-response in a real Envoy, as its README has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Listener, Route, running

pytestmark = pytest.mark.e2e

HEADER = "x-custom-response-version"
ROUTES = tuple(
    Route(cluster=None, prefix=f"/{status}", status=status) for status in (201, 204, 401, 404, 429, 500, 503)
)

CONFIGURATIONS: dict[str, Any] = {
    "direct": {
        "status_code": 451,
        "headers": ["key1=value1", " key2 = a=b ", "Content-Type=text/html", "Content-Length=999"],
        "body": "<p>不行</p>",
    },
    "json": {"body": '{"hello":"foo"}'},
    "text": {"body": '{"hello":"foo"'},
    "empty": {},
    "text-status": {"status_code": "418"},
    "by-status": {"enable_on_status": [429], "status_code": 302, "headers": ["location=https://b.com/"], "body": "-"},
    "several": {
        "rules": [
            {"body": "any of four hundred", "enable_on_status": ["4XX"]},
            {"body": "never: another one names statuses"},
            {"body": "not found", "status_code": 200, "enable_on_status": ["404", 401]},
            {"body": "ends in three", "enable_on_status": ["xx3"]},
        ]
    },
    "several-direct": {"rules": [{"body": "first", "status_code": 202}, {"body": "second"}]},
    "course": {
        "headers": ["key1=value1"],
        "body": '{"hello":"foo"}',
        "_rules_": [
            {"_match_domain_": ["foo.com"], "headers": ["key2=value2"], "body": '{"hello":"foo"}'},
            {"_match_route_": ["higress-course/ingress-bar"], "headers": ["key3=value3"], "body": '{"hello":"bar"}'},
            {
                "_match_service_": ["echo-server.higress-course.svc.cluster.local"],
                "headers": ["key4=value4"],
                "body": '{"hello":"echo server"}',
            },
        ],
    },
    "warnings": {"body": "x", "bodi": "y"},
}
COURSE_ROUTES = (
    Route(cluster="outbound|80||echo-server.higress-course.svc.cluster.local", prefix="/echo"),
    Route(name="higress-course/ingress-bar", prefix="/bar"),
    Route(),
)

REFUSED: dict[str, tuple[Any, str]] = {
    "number-body": ({"body": 5}, "body has to be a string, not a number"),
    "text-headers": ({"headers": "a=b"}, "headers has to be a list of strings, not a string"),
    "pairless": ({"headers": ["a"]}, "headers has to be a list of key=value, not a"),
    "list-status": ({"status_code": [200]}, "status_code has to be a string or a number, not a list"),
    "word-status": ({"status_code": "ok"}, "status_code has to be a whole number from 200 to 599, not ok"),
    "informational": ({"status_code": 100}, "status_code has to be a whole number from 200 to 599, not 100"),
    "number-statuses": (
        {"enable_on_status": 404},
        "enable_on_status has to be a list of strings or numbers, not a number",
    ),
    "long-pattern": ({"enable_on_status": ["4xxx"]}, "enable_on_status has to be a list of statuses such as"),
    "no-digit": ({"enable_on_status": ["xxx"]}, "not xxx"),
    "twice": ({"rules": [{"enable_on_status": [404]}, {"enable_on_status": ["404"]}]}, "names 404 twice"),
    "no-rules": ({"rules": []}, "rules has no response in it"),
    "object-rules": ({"rules": {}}, "rules has to be a list of objects, not an object"),
    "inner-body": ({"rules": [{}, {"body": True}]}, "rules[1].body has to be a string, not a boolean"),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    listeners = [
        Listener(
            name, [Filter("custom-response", each)], COURSE_ROUTES if name == "course" else (*ROUTES, Route()), True
        )
        for name, each in [*CONFIGURATIONS.items(), *((name, each) for name, (each, _) in REFUSED.items())]
    ]
    with running(tmp_path_factory.mktemp("custom-response"), *listeners) as started:
        yield started


def test_a_request_is_answered_with_status_headers_and_body_and_the_version(gateway: Gateway) -> None:
    response = gateway.request("direct")
    assert (response.status, response.body) == (451, "<p>不行</p>")
    assert response.get("key1") == "value1"
    assert response.get("key2") == "a=b"
    assert response.get("content-type") == "text/html"
    assert response.get("content-length") == str(len("<p>不行</p>".encode()))
    assert response.get(HEADER) == VERSION


@pytest.mark.parametrize(
    ("listener", "status", "body", "content_type"),
    [
        ("json", 200, '{"hello":"foo"}', "application/json; charset=utf-8"),
        ("text", 200, '{"hello":"foo"', "text/plain; charset=utf-8"),
        ("empty", 200, "", None),
        ("text-status", 418, "", None),
        ("several-direct", 202, "first", "text/plain; charset=utf-8"),
    ],
)
def test_what_is_left_out_has_its_default(
    gateway: Gateway, listener: str, status: int, body: str, content_type: str | None
) -> None:
    response = gateway.request(listener)
    assert (response.status, response.body, response.get("content-type")) == (status, body, content_type)


def test_a_response_with_a_named_status_is_replaced_and_no_other(gateway: Gateway) -> None:
    replaced = gateway.request("by-status", "/429")
    assert (replaced.status, replaced.body) == (302, "-")
    assert replaced.get("location") == "https://b.com/"
    assert replaced.get(HEADER) == VERSION
    for path, status in {"/404": 404, "/500": 500, "/": 200}.items():
        response = gateway.request("by-status", path)
        assert (response.status, response.get("location"), response.get(HEADER)) == (status, None, VERSION)
    assert gateway.request("by-status").echo["path"] == "/"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/404", 200, "not found"),
        ("/401", 200, "not found"),
        ("/429", 200, "any of four hundred"),
        ("/503", 200, "ends in three"),
        ("/500", 500, ""),
        ("/201", 201, ""),
    ],
)
def test_an_exact_status_comes_before_a_pattern(gateway: Gateway, path: str, status: int, body: str) -> None:
    response = gateway.request("several", path)
    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize(
    ("host", "path", "key", "body"),
    [
        ("other.com", "/", "key1", '{"hello":"foo"}'),
        ("foo.com", "/", "key2", '{"hello":"foo"}'),
        ("foo.com:8080", "/bar", "key2", '{"hello":"foo"}'),
        ("other.com", "/bar", "key3", '{"hello":"bar"}'),
        ("other.com", "/echo", "key4", '{"hello":"echo server"}'),
    ],
)
def test_the_courses_rules_choose_the_answer(gateway: Gateway, host: str, path: str, key: str, body: str) -> None:
    response = gateway.request("course", path, host=host)
    assert [name for name, _ in response.headers if name.startswith("key")] == [key]
    assert response.body == body


def test_an_unknown_key_is_a_warning_in_envoys_log(gateway: Gateway) -> None:
    assert gateway.request("warnings").body == "x"
    assert gateway.logged("warnings", "bodi is an unknown key and is ignored")


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_can_not_be_meant_is_refused(gateway: Gateway, name: str) -> None:
    assert name not in gateway.ports
    assert gateway.logged(name, REFUSED[name][1])

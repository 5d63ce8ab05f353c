"""The bundled easy-logger in a real Envoy, as its README has it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Listener, Response, running

pytestmark = pytest.mark.e2e

KEPT_BYTES = 64 * 1024

CONFIGURATIONS: dict[str, Any] = {
    "both": {"request": True, "response": True},
    "fence": {"request": True},
    "hostile": {"request": True},
    "large": {"request": True},
    "chunks": {"request": True},
    "request-only": {"request": True},
    "response-only": {"response": True},
    "silent": {},
    "statuses": {"response": True, "responseStatusCodes": "500,503"},
    "named-status": {"response": True, "responseStatusCodes": "200,503"},
    "course": {
        "_rules_": [
            {
                "_match_domain_": ["foo.com"],
                "request": True,
                "response": True,
                "responseStatusCodes": "200,500,502,503",
            }
        ]
    },
    "warnings": {"requests": True},
}

REFUSED: dict[str, tuple[Any, str]] = {
    "text-request": ({"request": "true"}, "request has to be a boolean, not a string"),
    "number-response": ({"response": 1}, "response has to be a boolean, not a number"),
    "list-statuses": ({"responseStatusCodes": [200]}, "responseStatusCodes has to be a string, not a list"),
    "number-statuses": ({"responseStatusCodes": 200}, "responseStatusCodes has to be a string, not a number"),
}

FENCES = itertools.count()
TITLES = ("request headers", "request body", "response headers", "response body")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    listeners = [
        Listener(name, [Filter("easy-logger", each)], own_vm=True)
        for name, each in [*CONFIGURATIONS.items(), *((name, each) for name, (each, _) in REFUSED.items())]
    ]
    with running(tmp_path_factory.mktemp("easy-logger"), *listeners) as started:
        yield started


def post(gateway: Gateway, listener: str, path: str = "/hello", **more: Any) -> Response:
    return gateway.request(listener, path, method="POST", **{"host": "foo.com", "body": "", **more})


def entries(gateway: Gateway, listener: str) -> dict[str, list[str]]:
    """What that listener's plugin has logged, by title."""
    # One worker: what the plugins say of one request is in the log before what they say of the next.
    fence = f"{next(FENCES)}"
    post(gateway, "fence", headers={"x-fence": fence})
    gateway.wait_until_logged(f"x-fence:{fence}")
    return {title: gateway.message(listener, title) for title in TITLES if gateway.logged(listener, f"] {title}")}


def test_all_of_a_request_and_its_response_is_logged_under_one_id(gateway: Gateway) -> None:
    response = post(gateway, "both", "/hello?a=b", headers={"x-custom": "1"}, body='{"username":["不行"]}')
    messages = entries(gateway, "both")
    assert messages.keys() == set(TITLES)
    assert all("[info][wasm]" in lines[0] and "[easy-logger]" in lines[0] for lines in messages.values())
    request_id = response.echo["headers"]["x-request-id"]
    assert {lines[1] for lines in messages.values()} == {f"requestId:{request_id}"}
    assert {":authority:foo.com", ":path:/hello?a=b", ":method:POST", "x-custom:1"} <= {
        *messages["request headers"][2:]
    }
    assert messages["request body"][2:] == ['body:{"username":["不行"]}']
    assert {":status:200", "content-type:application/json", f"x-easy-logger:{VERSION}"} <= {
        *messages["response headers"][2:]
    }
    assert messages["response body"][2] == f"body:{response.body}"


def test_every_response_names_the_version_and_one_that_the_configuration_applies_to_twice(gateway: Gateway) -> None:
    matched, other = post(gateway, "course"), post(gateway, "course", host="bar.com")
    assert (matched.get("x-easy-logger-version"), matched.get("x-easy-logger")) == (VERSION, VERSION)
    assert (other.get("x-easy-logger-version"), other.get("x-easy-logger")) == (VERSION, None)


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ("request-only", {"request headers", "request body"}),
        ("response-only", {"response headers", "response body"}),
        ("silent", set()),
        ("statuses", {"response headers"}),
        ("course", set(TITLES)),
    ],
)
def test_what_is_switched_off_is_not_logged(gateway: Gateway, listener: str, expected: set[str]) -> None:
    post(gateway, listener, body="something")
    assert entries(gateway, listener).keys() == expected


def test_the_response_body_is_logged_for_the_named_statuses(gateway: Gateway) -> None:
    post(gateway, "named-status")
    assert entries(gateway, "named-status").keys() == {"response headers", "response body"}


def test_a_body_in_pieces_is_one_entry_and_arrives_untouched(gateway: Gateway) -> None:
    response = post(gateway, "chunks", body=["one ", "two ", "three"])
    assert response.echo["body"] == "one two three"
    assert entries(gateway, "chunks")["request body"][2:] == ["body:one two three"]


def test_a_body_cannot_pass_for_lines_of_envoys_own(gateway: Gateway) -> None:
    forged = "a\r\n[2026-01-01][1][info][wasm] wasm log hostile: forged\t\x1b\x7f"
    assert post(gateway, "hostile", body=forged).echo["body"] == forged
    assert entries(gateway, "hostile")["request body"][2:] == [
        r"body:a\r\n[2026-01-01][1][info][wasm] wasm log hostile: forged\t\x1b\x7f"
    ]


def test_of_a_large_body_the_beginning_is_logged_and_all_of_it_arrives(gateway: Gateway) -> None:
    body = "0123456789abcdef" * (KEPT_BYTES // 8)
    assert post(gateway, "large", body=body).echo["body"] == body
    (entry,) = entries(gateway, "large")["request body"][2:]
    assert entry == f"body:{body[:KEPT_BYTES]} … ({len(body)} bytes)"


def test_an_unknown_key_is_a_warning_in_envoys_log(gateway: Gateway) -> None:
    assert post(gateway, "warnings").status == 200
    assert gateway.logged("warnings", "requests is an unknown key and is ignored")


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_can_not_be_meant_is_refused(gateway: Gateway, name: str) -> None:
    assert name not in gateway.ports
    assert gateway.logged(name, REFUSED[name][1])

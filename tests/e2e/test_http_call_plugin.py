"""The bundled http-call in a real Envoy, as its README has it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.plugin_gateway import VERSION, Filter, Gateway, Listener, Route, running

pytestmark = pytest.mark.e2e

CONFIGURATIONS: dict[str, Any] = {
    "asked": {"cluster": "echo", "path": "/allowed?who=me", "authority": "asked.example.com"},
    "nobody": {"cluster": "no-such-cluster"},
    "nobody-is-fine": {"cluster": "no-such-cluster", "failure_mode_allow": True},
    "ruled": {"_rules_": [{"_match_domain_": ["foo.com"], "cluster": "no-such-cluster"}]},
}

REFUSED: dict[str, tuple[Any, str]] = {
    "no-cluster": ({}, "cluster is required"),
    "number-cluster": ({"cluster": 1}, "cluster has to be a string, not a number"),
    "bad-path": ({"cluster": "echo", "path": "allowed"}, "path has to begin with /"),
    "no-time": ({"cluster": "echo", "timeout": 0}, "timeout has to be a number of milliseconds above 0"),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    configured = [*CONFIGURATIONS.items(), *((name, each) for name, (each, _) in REFUSED.items())]
    listeners = [Listener(name, [Filter("http-call", each)], own_vm=True) for name, each in configured]
    # Behind this one nobody is asked: Envoy itself answers what the plugin lets through.
    listeners.append(
        Listener("teapot", [Filter("http-call", CONFIGURATIONS["asked"])], [Route(None, status=418)], own_vm=True)
    )
    with running(tmp_path_factory.mktemp("http-call"), *listeners) as started:
        yield started


def test_a_request_goes_on_when_the_service_says_so_and_tells_its_answer(gateway: Gateway) -> None:
    response = gateway.request("asked", "/orders")
    assert response.status == 200
    assert response.echo["path"] == "/orders"
    assert response.echo["headers"]["x-http-call-status"] == "200"
    assert (response.get("x-http-call-status"), response.get("x-http-call-version")) == ("200", VERSION)


def test_requests_that_wait_at_the_same_time_each_get_their_own_answer(gateway: Gateway) -> None:
    paths = [f"/{number}" for number in range(20)]
    with ThreadPoolExecutor(len(paths)) as threads:
        answers = list(threads.map(lambda path: gateway.request("asked", path), paths))
    assert [answer.echo["path"] for answer in answers] == paths


def test_what_the_request_itself_is_answered_has_nothing_to_do_with_it(gateway: Gateway) -> None:
    response = gateway.request("teapot", "/")
    assert (response.status, response.get("x-http-call-status")) == (418, "200")


def test_where_there_is_nobody_to_ask_the_configuration_decides(gateway: Gateway) -> None:
    refused, let_through = gateway.request("nobody", "/"), gateway.request("nobody-is-fine", "/")
    assert (refused.status, refused.get("x-http-call-status")) == (503, "none")
    assert (let_through.status, let_through.get("x-http-call-status")) == (200, "none")
    assert gateway.logged("nobody", "no call could be made to the cluster no-such-cluster")


def test_rules_decide_who_is_asked_for(gateway: Gateway) -> None:
    assert gateway.request("ruled", "/", host="foo.com").status == 503
    assert gateway.request("ruled", "/", host="bar.com").status == 200


@pytest.mark.parametrize("listener", REFUSED)
def test_a_wrong_configuration_is_refused_with_its_key(gateway: Gateway, listener: str) -> None:
    assert gateway.logged(listener, REFUSED[listener][1])

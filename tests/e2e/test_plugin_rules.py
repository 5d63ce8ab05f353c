"""What Higress' own rule matcher was seen to choose, chosen by a bundled plugin in a real Envoy.

Every configuration of golden/rule-matcher.json becomes one of custom-response, which answers with the name of what
applies, on a listener of its own; route and cluster have the recorded names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.plugin_gateway import Filter, Gateway, Listener, Route, running
from tests.golden_files import golden

pytestmark = pytest.mark.e2e

RULES = "_rules_"
CONTROL_KEYS = {RULES, "_plugin_id_", "_match_route_", "_match_domain_", "_match_service_", "_match_route_prefix_"}
NOTHING_APPLIES = 204


def expressible(case: dict[str, Any]) -> bool:
    """Envoy lets no request without an authority pass, and custom-response has no parser for rules of its own."""
    return case["request"]["authority"] is not None and case["parser"] == "one" and not is_bare_text(case)


def is_bare_text(case: dict[str, Any]) -> bool:
    """A configuration that is nothing but a string, which the recorded plugin took and custom-response refuses."""
    try:
        return isinstance(json.loads(case.get("config_text", "null")), str)
    except ValueError:
        return False


CASES = [case for case in golden("rule-matcher.json")["cases"] if expressible(case)]


def answering(configuration: Any, name: str) -> Any:
    """The configuration with an answer that tells `name`, or, for the recorded plugin's `fail`, one that is refused."""
    if not isinstance(configuration, dict) or not configuration.keys() - CONTROL_KEYS:
        return configuration
    answer: dict[str, Any] = {"body": 1} if "fail" in configuration else {"headers": [f"applies={name}"]}
    return {key: value for key, value in configuration.items() if key in CONTROL_KEYS} | answer


def configured(case: dict[str, Any]) -> Any:
    if "config_text" in case:
        return case["config_text"]
    found = answering(case["config"], "global")
    rules = found.get(RULES)
    if isinstance(rules, list):
        rules = [answering(rule, f"rule:{index}") for index, rule in enumerate(rules)]
    elif rules is not None:
        rules = answering(rules, "rule:0")
    return {**found, RULES: rules} if RULES in found else found


def listener(case: dict[str, Any]) -> Listener:
    request = case["request"]
    route = Route(cluster=request["cluster_name"], name=request["route_name"] or "", status=NOTHING_APPLIES)
    return Listener(case["name"], [Filter("custom-response", configured(case))], [route])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("rules"), *map(listener, CASES)) as started:
        yield started


def test_most_of_the_recorded_cases_can_be_tried() -> None:
    assert len(CASES) >= 75


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_plugin_chooses_as_higress_does(gateway: Gateway, case: dict[str, Any]) -> None:
    if case["start"] == "error":
        assert case["name"] not in gateway.ports
        return
    response = gateway.request(case["name"], host=case["request"]["authority"])
    # A configuration without keys of its own can't name itself; it answers all the same, with an empty 200.
    unnamed = "global" if response.status == 200 and not response.body else None
    assert (response.get("applies") or unnamed) == case["matched"], response
    assert response.get("x-custom-response-version")

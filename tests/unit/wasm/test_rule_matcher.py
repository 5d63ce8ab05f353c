"""Our rule matcher against what Higress' own was seen to do, and the reasons that it gives."""

from __future__ import annotations

from typing import Any

import pytest

from sim.wasm.rule_conditions import Request
from sim.wasm.rule_matcher import PluginNotStarted, RuleMatcher, read_configuration
from tests.unit.wasm.rule_cases import RECORDED, answer


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_what_applies_is_what_higress_was_seen_to_apply(case: dict[str, Any]) -> None:
    if case["start"] == "error":
        with pytest.raises(PluginNotStarted) as refused:
            answer(case)
        assert refused.value.reason == case["error"]
        return
    match = answer(case)
    assert match.error == case.get("match_error")
    assert match.matched == case["matched"]
    assert match.config == case["matched_config"]
    if match.matched and match.matched != "global":
        assert next(verdict.rule.name for verdict in match.verdicts if verdict.fits) == match.matched


def test_of_a_repeated_key_the_first_counts() -> None:
    text = '{"_rules_": [{"_match_domain_": "a.com", "_match_domain_": "b.com"}], "_rules_": []}'
    matcher = RuleMatcher.parse(read_configuration(text))
    assert matcher.match(Request("a.com")).matched == "rule:0"


def test_no_text_at_all_is_a_configuration_for_everything() -> None:
    assert RuleMatcher.parse(read_configuration("")).match(Request("a.com")).matched == "global"


@pytest.mark.parametrize("text", ["{", "NaN", "{'a': 1}", "[1,]"])
def test_what_is_no_json_does_not_start(text: str) -> None:
    with pytest.raises(PluginNotStarted, match="not a valid json"):
        read_configuration(text)


class TestTheReason:
    """Why a rule matches, or does not."""

    @pytest.mark.parametrize(
        ("rule", "request_", "why"),
        [
            ({"_match_domain_": ["a.com", "*.b.com"]}, Request("x.b.com:80"), "matches domain *.b.com"),
            ({"_match_domain_": ["a.com", "*.b.com"]}, Request("c.com:80"), "c.com is not a.com, *.b.com"),
            ({"_match_domain_": ["a.com"]}, Request("A.com"), "letter case counts"),
            ({"_match_domain_": ["a.com:80"]}, Request("a.com:80"), "a domain with a port never matches"),
            ({"_match_domain_": [""]}, Request("a.com"), "a.com is not (empty)"),
            ({"_match_route_": ["t/a", "t/b"]}, Request("a.com", "t/b"), "matches route t/b"),
            ({"_match_route_": ["t/a"]}, Request("a.com", "a"), "route a is not t/a"),
            ({"_match_route_": ["t/a"]}, Request("a.com"), "the request's route has no name, route t/a is wanted"),
            ({"_match_route_prefix_": ["t/"]}, Request("a.com", "t/b"), "matches route prefix t/"),
            ({"_match_route_prefix_": ["t/"]}, Request("a.com", "u"), "route u does not begin with t/"),
            ({"_match_service_": ["s:80"]}, Request("a", "", "outbound|80||s"), "matches service s:80"),
            (
                {"_match_service_": ["s:80"]},
                Request("a", "", "outbound|81||s"),
                "outbound|81||s is not of service s:80",
            ),
            ({"_match_service_": ["s"]}, Request("a"), "the request goes to no cluster, service s is wanted"),
            ({"_match_service_": ["s"]}, Request("a", "", "s"), "is not of the form direction|port|subset|host"),
            (
                {"_match_route_": ["r"], "_match_service_": ["s"]},
                Request("a", "r", "outbound|80||s"),
                "matches route r and service s",
            ),
            (
                {"_match_route_": ["r"], "_match_service_": ["s"]},
                Request("a", "r", "outbound|80||t"),
                "cluster outbound|80||t is not of service s",
            ),
        ],
    )
    def test_names_what_was_compared(self, rule: dict[str, Any], request_: Request, why: str) -> None:
        (verdict,) = RuleMatcher.parse({"_rules_": [rule]}).match(request_).verdicts
        assert why in verdict.why
        assert verdict.fits == why.startswith("matches")

    def test_says_that_an_earlier_rule_comes_first(self) -> None:
        rules = [{"_match_domain_": ["*"]}, {"_match_domain_": ["a.com"]}, {"_match_route_": ["r"]}]
        _, second, third = RuleMatcher.parse({"_rules_": rules}).match(Request("a.com")).verdicts
        assert second.why == "rule:0 comes first; else this one would: matches domain a.com"
        assert third.why == "rule:0 comes first; the request's route has no name, route r is wanted"

    def test_conditions_outside_the_category_are_named_as_ignored(self) -> None:
        rule = {"_match_domain_": ["a"], "_match_service_": ["s"], "_match_route_prefix_": ["r"]}
        (verdict,) = RuleMatcher.parse({"_rules_": rule}).match(Request("a")).verdicts
        assert verdict.rule.conditions.ignored == ("_match_service_", "_match_route_prefix_")
        assert verdict.rule.conditions.counting() == {"_match_domain_": ("a",)}

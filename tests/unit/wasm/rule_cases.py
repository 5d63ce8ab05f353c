"""Cases of the rule matcher: those that were recorded, and generated ones of the same form."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sim.wasm.rule_conditions import Request
from sim.wasm.rule_matcher import ConfigurationRefused, Match, RuleMatcher, read_configuration, without_control_keys
from tests.golden_files import golden

RECORDED: list[dict[str, Any]] = golden("rule-matcher.json")["cases"]


def parse(given: Any) -> Any:
    """As the recorded test plugin: a configuration with a top-level `fail` is refused."""
    if isinstance(given, dict) and "fail" in given:
        reason = given["fail"]
        raise ConfigurationRefused(f"plugin parse error: {reason}")
    return without_control_keys(given)


def parse_rule(given: Any, global_config: Any) -> Any:
    return {"global_seen": global_config, "rule": without_control_keys(given)}


def answer(case: dict[str, Any]) -> Match:
    """What our matcher makes of a case. Raises PluginNotStarted."""
    configuration = read_configuration(case["config_text"]) if "config_text" in case else case["config"]
    matcher = RuleMatcher.parse(configuration, parse, parse_rule if case["parser"] == "override" else None)
    request = case["request"]
    return matcher.match(Request(request["authority"], request["route_name"] or "", request["cluster_name"] or ""))


_hosts = st.sampled_from(["a.com", "b.com", "x.a.com", "A.com", "a.com:80", "a", "", "[::1]", "[::1]:80", "a*", "1"])
_domains = _hosts | st.sampled_from(["*", "*.a.com", "*a.com", "a.*", "*.com*", "a.com:*"])
_routes = st.sampled_from(["", "r", "r1", "team/r", "team/r1", "1", "1.5", "true"])
_clusters = st.sampled_from(
    ["", "outbound|80||a.dns", "outbound|443|v1|a.dns", "inbound|80||", "a.dns", "|80||a.dns", "a|b|c|d|e", "|||:"]
)
_services = st.sampled_from(["", "a.dns", "a.dns:80", "a.dns:443", ":", ":80", "80", "a.dns:", "b:80:80"])
_odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, 1.5, 2.50, 100.0, 1e-3, [], {}, "", [None], [[]], {"a": 1}]
)


def _lists(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.lists(names, max_size=3) | names | st.lists(names | _odd, max_size=2) | _odd


_rules = st.fixed_dictionaries(
    {},
    optional={
        "_match_domain_": _lists(_domains),
        "_match_route_": _lists(_routes),
        "_match_service_": _lists(_services),
        "_match_route_prefix_": _lists(_routes),
        "n": st.integers(0, 9),
        "fail": st.just("bad rule"),
    },
)
_sure_rules = st.one_of(
    st.fixed_dictionaries({"_match_domain_": st.lists(_domains, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"_match_route_": st.lists(_routes, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"_match_service_": st.lists(_services, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"_match_route_prefix_": st.lists(_routes, min_size=1, max_size=3)}),
)
_configurations = (
    st.fixed_dictionaries(
        {},
        optional={
            "_rules_": st.lists(_sure_rules, max_size=4) | st.lists(_sure_rules | _rules, max_size=4) | _rules | _odd,
            "n": st.integers(0, 9),
            "fail": st.just("bad global"),
            "_plugin_id_": st.sampled_from([None, "", "p", 1, False, {}]),
        },
    )
    | _odd
)


def generated() -> st.SearchStrategy[dict[str, Any]]:
    """One case; what is right for it is not said."""
    return st.fixed_dictionaries(
        {
            "config": _configurations,
            "parser": st.sampled_from(["one", "override"]),
            "request": st.fixed_dictionaries({"authority": _hosts, "route_name": _routes, "cluster_name": _clusters}),
        }
    )

"""Rules that a plugin never applies on stock Envoy, because its SDK asks for a request's route and cluster elsewhere.

Higress' Envoy tells a plugin both as the properties `route_name` and `cluster_name`, and `RuleMatcher` of
higress-group/wasm-go asks for these alone. Stock Envoy leaves them empty and has `xds.route_name` and
`xds.cluster_name`, for which the bundled plugins ask too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sim.wasm.module import Module
from sim.wasm.origin import WASM_GO_SDKS, origin
from sim.wasm.rule_conditions import ROUTE_KEY, ROUTE_PREFIX_KEY, SERVICE_KEY

RULES_KEY = "_rules_"
#: The conditions that look at what stock Envoy leaves empty.
DOUBTFUL_KEYS = (ROUTE_KEY, SERVICE_KEY, ROUTE_PREFIX_KEY)

WHY = "made with wasm-go, it asks for the properties route_name and cluster_name, which stock Envoy leaves empty"
HINT = "rules by domain work; for rules by ingress or service take Higress' own gateway, or give the rule a domain"


def asks_higress_alone(module: Module) -> bool:
    """Whether the module is made with wasm-go, as far as it tells."""
    return any(sdk.startswith(WASM_GO_SDKS) for sdk in origin(module).sdks)


def rule_doubts(module: Module, config: Any) -> str | None:
    """A sentence, without a full stop, on the rules of `config` that never match on stock Envoy; None without any.

    `config` is the plugin's configuration as JSON data, with `_rules_`.
    """
    found = list(_doubtful(config))
    if not found or not asks_higress_alone(module):
        return None
    listed = ", ".join(f"rule:{index} ({' and '.join(keys)})" for index, keys in found)
    return f"{listed} will never match on stock Envoy: {WHY}"


def _doubtful(config: Any) -> Iterator[tuple[int, list[str]]]:
    rules = config.get(RULES_KEY) if isinstance(config, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else [rules]):
        keys = [key for key in DOUBTFUL_KEYS if isinstance(rule, dict) and rule.get(key)]
        # Without a route, it is the domain that counts, and the others are ignored.
        if keys and (ROUTE_KEY in keys or not rule.get("_match_domain_")):
            yield index, keys

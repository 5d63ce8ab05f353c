"""Which of a plugin's configurations applies to a request, and why the others do not.

Imitates `RuleMatcher` of higress-group/wasm-go (pkg/matcher/rule_matcher.go) and what its wrapper does before
(pkg/wrapper/plugin_wrapper.go), commit d153aa4, errors in its words; its recorded behaviour is
golden/rule-matcher.json. The bundled plugins have the same in `plugins/shared/rule_matcher.zig`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sim.errors import SimError
from sim.wasm.rule_conditions import CONDITION_KEYS, Conditions, Request

RULES = "_rules_"
PLUGIN_ID = "_plugin_id_"

NO_CONDITION = (
    "there is at least one of  '_match_route_', '_match_domain_', '_match_service_' and "
    "'_match_route_prefix_' can present in configuration."
)
NO_AUTHORITY = "error status returned by host: not found"

#: Makes of JSON what a plugin keeps of it. Raises ConfigurationRefused.
Parse = Callable[[Any], Any]
#: The same of a rule; it is also given what the plugin keeps of the global configuration, None where there is none.
ParseRule = Callable[[Any, Any], Any]


class ConfigurationRefused(Exception):
    """A plugin's parse function takes a configuration for unusable."""


class PluginNotStarted(SimError):
    """A configuration that the plugin does not start with: the host answers with a NACK. `reason` is in its words."""

    exit_code = 1

    def __init__(self, reason: str) -> None:
        super().__init__(reason, hint="correct the plugin's configuration; with this one it does not start")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rule:
    """`given` is the whole rule as it is in the configuration, `config` what the plugin keeps of it."""

    index: int
    conditions: Conditions
    given: Any
    config: Any

    @property
    def name(self) -> str:
        return f"rule:{self.index}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one rule for a request. `why` is a sentence without a full stop."""

    rule: Rule
    fits: bool
    why: str


@dataclass(frozen=True, slots=True)
class Match:
    """`matched`: `rule:N`, `global`, or None: the plugin does nothing for the request. `given` is the JSON that
    applies, `config` what the plugin keeps of it. `error`: why the matcher could not even look."""

    matched: str | None
    given: Any = None
    config: Any = None
    verdicts: tuple[Verdict, ...] = ()
    error: str | None = None


def without_control_keys(given: Any) -> Any:
    """A configuration without the matcher's own keys: what is the plugin's own."""
    if not isinstance(given, Mapping):
        return given
    return {key: value for key, value in given.items() if key != RULES and key not in CONDITION_KEYS}


def read_configuration(text: str) -> Any:
    """A configuration as the host hands it over; None for no text at all. Raises PluginNotStarted."""
    if not text:
        return None
    try:
        return json.loads(text, object_pairs_hook=_first_wins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PluginNotStarted(f"the plugin configuration is not a valid json: {text}") from error


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs)) if len({key for key, _ in pairs}) < len(pairs) else dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@dataclass(slots=True)
class RuleMatcher:
    """A plugin's configuration, read: rules in their order, and what applies where none does."""

    rules: list[Rule] = field(default_factory=list)
    has_global: bool = False
    global_given: Any = None
    global_config: Any = None

    @classmethod
    def parse(cls, configuration: Any, parse: Parse = lambda given: given, parse_rule: ParseRule | None = None) -> Self:
        """The matcher for a configuration, JSON or None. A bad global one beside good rules only loses itself.

        Raises PluginNotStarted.
        """
        matcher = cls()
        given = _without_plugin_id(configuration)
        try:
            matcher._read(given, parse, parse_rule)
        except ConfigurationRefused as error:
            raise PluginNotStarted(str(error)) from error
        return matcher

    def _read(self, given: Any, parse: Parse, parse_rule: ParseRule | None) -> None:
        if not isinstance(given, dict) or not given:
            self._set_global(given, parse(given))
            return
        global_error = "<nil>"
        if given.keys() != {RULES}:
            try:
                self._set_global(given, parse(given))
            except ConfigurationRefused as error:
                global_error = str(error)
        listed = _listed(given.get(RULES))
        if not listed and not self.has_global:
            raise PluginNotStarted(f"parse config failed, no valid rules; global config parse error:{global_error}")
        for index, rule in enumerate(listed):
            conditions = Conditions.read(rule)
            if conditions is None:
                raise PluginNotStarted(NO_CONDITION)
            config = parse(rule) if parse_rule is None else parse_rule(rule, self.global_config)
            self.rules.append(Rule(index, conditions, rule, config))

    def _set_global(self, given: Any, config: Any) -> None:
        self.has_global, self.global_given, self.global_config = True, given, config

    def match(self, request: Request) -> Match:
        """The first listed rule that fits, else the global configuration, else nothing."""
        if request.authority is None:
            return Match(None, error=NO_AUTHORITY)
        chosen: Rule | None = None
        verdicts = []
        for rule in self.rules:
            mismatch = rule.conditions.mismatch(request)
            why = mismatch or rule.conditions.reason(request)
            if chosen is not None:
                why = f"{chosen.name} comes first; " + (why if mismatch else f"else this one would: {why}")
            verdicts.append(Verdict(rule, mismatch is None, why))
            if chosen is None and mismatch is None:
                chosen = rule
        if chosen is not None:
            return Match(chosen.name, chosen.given, chosen.config, tuple(verdicts))
        if self.has_global:
            return Match("global", self.global_given, self.global_config, tuple(verdicts))
        return Match(None, verdicts=tuple(verdicts))


def _without_plugin_id(configuration: Any) -> Any:
    """`_plugin_id_` is no configuration; where it has a value it is taken out before anything is counted."""
    if not isinstance(configuration, dict) or configuration.get(PLUGIN_ID) in (None, ""):
        return configuration
    return {key: value for key, value in configuration.items() if key != PLUGIN_ID}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

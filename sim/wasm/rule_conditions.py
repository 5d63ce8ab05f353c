"""The conditions of one rule: read from JSON, held against a request, and explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

ROUTE_KEY = "_match_route_"
DOMAIN_KEY = "_match_domain_"
SERVICE_KEY = "_match_service_"
ROUTE_PREFIX_KEY = "_match_route_prefix_"
CONDITION_KEYS = (ROUTE_KEY, DOMAIN_KEY, SERVICE_KEY, ROUTE_PREFIX_KEY)

_CLUSTER_PARTS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What rules look at. `authority` None: the request has none; the other two are empty where there is none."""

    authority: str | None
    route_name: str = ""
    cluster_name: str = ""


class Category(StrEnum):
    """By what a rule matches: the first of these whose conditions it has. The others that it has count for nothing."""

    ROUTE_AND_SERVICE = "route and service"
    ROUTE = "route"
    DOMAIN = "domain"
    SERVICE = "service"
    ROUTE_PREFIX = "route prefix"

    @property
    def keys(self) -> tuple[str, ...]:
        """The conditions that count."""
        return _KEYS[self]


_KEYS = {
    Category.ROUTE: (ROUTE_KEY,),
    Category.ROUTE_AND_SERVICE: (ROUTE_KEY, SERVICE_KEY),
    Category.DOMAIN: (DOMAIN_KEY,),
    Category.SERVICE: (SERVICE_KEY,),
    Category.ROUTE_PREFIX: (ROUTE_PREFIX_KEY,),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """`names` has the names of every condition that the rule has, by key, those that are ignored too."""

    category: Category
    names: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, rule: Any) -> Conditions | None:
        """None for a rule without any condition. Only among domains an empty name counts as one."""
        names = {key: found for key in CONDITION_KEYS if (found := _names(rule, key))}
        for category in Category:
            if all(key in names for key in category.keys):
                return cls(category, names)
        return None

    @property
    def ignored(self) -> tuple[str, ...]:
        """The keys of conditions that the rule has and that count for nothing."""
        return tuple(key for key in self.names if key not in self.category.keys)

    def counting(self) -> dict[str, tuple[str, ...]]:
        """The names of the conditions that count, by key."""
        return {key: self.names[key] for key in self.category.keys}

    def mismatch(self, request: Request) -> str | None:
        """Why the rule does not match; None where it does."""
        for key in self.category.keys:
            if self._found(key, request) is None:
                return _explain(key, self.names[key], request)
        return None

    def reason(self, request: Request) -> str:
        """By what the rule matches, where it does."""
        found = (f"{_NOUNS[key]} {self._found(key, request)}" for key in self.category.keys)
        return f"matches {' and '.join(found)}"

    def _found(self, key: str, request: Request) -> str | None:
        """The first name of a condition that the request fulfils."""
        return next((name for name in self.names[key] if _fulfils(key, name, request)), None)


_NOUNS = {ROUTE_KEY: "route", DOMAIN_KEY: "domain", SERVICE_KEY: "service", ROUTE_PREFIX_KEY: "route prefix"}


def _names(rule: Any, key: str) -> tuple[str, ...]:
    if not isinstance(rule, dict):
        return ()
    value = rule.get(key)
    listed = [] if value is None else value if isinstance(value, list) else [value]
    texts = map(_text, listed)
    return tuple(text for text in texts if text or key == DOMAIN_KEY)


def _text(value: Any) -> str:
    """A value as text, as gjson has it."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool() | int():
            return json.dumps(value)
        case float():
            text = format(Decimal(repr(value)), "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case _:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _fulfils(key: str, name: str, request: Request) -> bool:
    if key == ROUTE_KEY:
        return name == request.route_name
    if key == ROUTE_PREFIX_KEY:
        return request.route_name.startswith(name)
    if key == SERVICE_KEY:
        return _is_service(name, request.cluster_name)
    return _is_domain(name, without_port(request.authority or ""))


def _is_domain(domain: str, host: str) -> bool:
    """`*suffix`, `prefix*` or exact, case-sensitive; a leading `*` wins over a trailing one."""
    if domain.startswith("*"):
        return host.endswith(domain[1:])
    if domain.endswith("*"):
        return host.startswith(domain[:-1])
    return host == domain


def _is_service(service: str, cluster_name: str) -> bool:
    """`cluster_name` is Istio's `direction|port|subset|host`; a service is `host` or `host:port`."""
    parts = cluster_name.split("|")
    if len(parts) != _CLUSTER_PARTS:
        return False
    _, port, _, host = parts
    name, colon, wanted_port = service.rpartition(":")
    return service == host or (bool(colon) and name == host and wanted_port == port)


def without_port(authority: str) -> str:
    """A colon inside the brackets of an IPv6 address starts no port."""
    colon = authority.rfind(":")
    return authority[:colon] if colon > authority.rfind("]") else authority


def _explain(key: str, names: tuple[str, ...], request: Request) -> str:
    listed = ", ".join(name or "(empty)" for name in names)
    if key == DOMAIN_KEY:
        host = without_port(request.authority or "")
        return f"{host or '(empty)'} is not {listed}{_domain_hint(names, host)}"
    if key == SERVICE_KEY:
        cluster = request.cluster_name
        if not cluster:
            return f"the request goes to no cluster, service {listed} is wanted"
        if cluster.count("|") != _CLUSTER_PARTS - 1:
            return f"cluster {cluster} is not of the form direction|port|subset|host, so it is no service"
        return f"cluster {cluster} is not of service {listed}"
    if not request.route_name:
        return f"the request's route has no name, {_NOUNS[key]} {listed} is wanted"
    if key == ROUTE_PREFIX_KEY:
        return f"route {request.route_name} does not begin with {listed}"
    return f"route {request.route_name} is not {listed}"


def _domain_hint(names: tuple[str, ...], host: str) -> str:
    if any(_is_domain(name.lower(), host.lower()) for name in names):
        return "; letter case counts"
    if any(_is_domain(without_port(name), host) for name in names if not name.startswith("*")):
        return "; the request's port is cut off, a rule's never, so a domain with a port never matches"
    return ""

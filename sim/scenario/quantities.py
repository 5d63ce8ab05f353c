"""Quantities and names as a scenario writes them: `5s`, `200/s`, `namespace/name`. Text stays as it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from sim.model import parse_duration_s

#: RFC 1123 label, as Kubernetes wants it of a name.
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_PLUGIN_KEY = re.compile(rf"{LABEL}/{_SUBDOMAIN}")
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)/(?P<unit>s|m)")
_PER_SECOND = {"s": 1.0, "m": 1 / 60}

_DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h))+$"
_RATE_PATTERN = r"^\d+(\.\d+)?/(s|m)$"

#: A load is a field of `traffic`, so its name must be a CEL identifier, and none of CEL's own words.
TRAFFIC_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED_NAMES = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let"),
        *("loop", "namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)


@dataclass(frozen=True, slots=True)
class QuantityHint:
    """Stands beside a quantity's type and says what to write instead of a bare number."""

    what: str
    forms: tuple[str, ...]

    def for_number(self, number: float) -> str:
        return f"{self.what} carries its unit: {' or '.join(form.format(f'{number:g}') for form in self.forms)}"


def parse_rate_per_s(text: str) -> float:
    """Requests a second from `200/s` or `30/m`.

    Raises ValueError for anything else, a bare number included: a rate carries its unit.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write a number and its unit, such as 200/s or 30/m")
    return float(match["number"]) * _PER_SECOND[match["unit"]]


def _check_duration(text: str) -> str:
    parse_duration_s(text)
    return text


def _check_positive_duration(text: str) -> str:
    if parse_duration_s(text) <= 0:
        raise ValueError(f"{text!r} is no time at all; write for instance 5s")
    return text


def _check_rate(text: str) -> str:
    if parse_rate_per_s(text) <= 0:
        raise ValueError(f"{text!r} is no traffic at all; write for instance 200/s")
    return text


PARTS = ("registry", "core", "discovery", "agent", "envoy")


def _check_part_name(text: str) -> str:
    part, slash, gateway = text.partition("/")
    if part not in PARTS or (slash and (part not in ("agent", "envoy") or re.fullmatch(LABEL, gateway) is None)):
        raise ValueError(
            f"{text!r} is no part; write {', '.join(PARTS)},"
            " or with several gateways agent/<gateway> and envoy/<gateway>"
        )
    return text


def _check_plugin_key(text: str) -> str:
    if _PLUGIN_KEY.fullmatch(text) is None:
        hint = (
            f", such as higress-system/{text}" if "/" not in text and text else ", such as higress-system/request-block"
        )
        raise ValueError(f"{text!r} does not name a plugin; write namespace/name{hint}")
    return text


Duration = Annotated[
    str,
    AfterValidator(_check_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["100ms", "5s", "1m30s"]}),
    QuantityHint("a duration", ("{}s", "{}ms")),
]
PositiveDuration = Annotated[
    str,
    AfterValidator(_check_positive_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["100ms", "5s", "1m30s"]}),
    QuantityHint("a duration", ("{}s", "{}ms")),
]
Rate = Annotated[
    str,
    AfterValidator(_check_rate),
    WithJsonSchema({"type": "string", "pattern": _RATE_PATTERN, "examples": ["200/s", "30/m"]}),
    QuantityHint("a rate", ("{}/s", "{}/m")),
]
PluginKey = Annotated[
    str,
    AfterValidator(_check_plugin_key),
    WithJsonSchema({"type": "string", "pattern": rf"^{LABEL}/{_SUBDOMAIN}$", "examples": ["higress-system/demo"]}),
]
PartName = Annotated[
    str,
    AfterValidator(_check_part_name),
    WithJsonSchema({"type": "string", "pattern": rf"^(registry|core|discovery|(agent|envoy)(/{LABEL})?)$"}),
]
Text = Annotated[str, StringConstraints(min_length=1)]
UrlPath = Annotated[str, Field(pattern=r"^/\S*$", examples=["/", "/swagger.html"])]
Method = Annotated[str, Field(pattern=r"^[A-Z]+$", examples=["GET", "POST"])]

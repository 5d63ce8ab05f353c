"""Quantities and names as a scenario writes them: `5s`, `200/s`, `namespace/name`. Text stays as it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from sim.model import parse_duration_s

#: RFC 1123 label, as Kubernetes wants it of a name.
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_PLUGIN_KEY = re.compile(rf"{LABEL}/{_SUBDOMAIN}")
_RATE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)/(?P<unit>s|m)")
_PER_SECOND = {"s": 1.0, "m": 1 / 60}

#: Longer than any run; what is beyond is a slip of the pen, and no clock or timer takes it.
MAX_DURATION_S: Final = 30 * 24 * 3600
#: More than one process can send.
MAX_RATE_PER_S: Final = 100_000

#: A header's name is a token (RFC 9110, 5.6.2); its value has no control character but the tab (5.5).
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PSEUDO_HEADERS = {":authority": "host", ":method": "method", ":path": "path"}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Of a host and of a request's target: what ASCII shows, without the blank.
_VISIBLE = re.compile(r"[!-~]+")

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
    if not text.isascii():
        raise ValueError(f"{text!r} is not a duration; write it with the digits 0 to 9, such as 100ms or 5s")
    if parse_duration_s(text) > MAX_DURATION_S:
        raise ValueError(f"{text!r} is too long; at most {MAX_DURATION_S // 3600}h, which are 30 days")
    return text


def _check_positive_duration(text: str) -> str:
    if parse_duration_s(_check_duration(text)) <= 0:
        raise ValueError(f"{text!r} is no time at all; write for instance 5s")
    return text


def _check_rate(text: str) -> str:
    rate_per_s = parse_rate_per_s(text)
    if rate_per_s <= 0:
        raise ValueError(f"{text!r} is no traffic at all; write for instance 200/s")
    if rate_per_s > MAX_RATE_PER_S:
        raise ValueError(f"{text!r} is more than can be sent; at most {MAX_RATE_PER_S}/s")
    return text


def _check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is no path; write it like / or /swagger.html")
    if _VISIBLE.fullmatch(text) is None:
        encoded = quote(text, safe="!#$%&'()*+,/:;=?@[]~")
        raise ValueError(f"{text!r} has characters that no request line can hold; write {encoded}")
    return text


def _check_host(text: str) -> str:
    if _VISIBLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} can't be a Host; no blanks or line breaks, and of a Unicode name its xn-- form")
    return text


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        key = _PSEUDO_HEADERS.get(name.lower())
        if key is not None:
            why = f"{name} is no header here; write {key}: instead"
        elif _HEADER_NAME.fullmatch(name) is None:
            why = f"{name!r} can't be the name of a header; use letters, digits and '-'"
        elif _CONTROL.search(value) is not None or value != value.strip():
            why = f"{value!r} can't be the value of a header; no line breaks, and no blanks around it"
        else:
            continue
        raise PydanticCustomError("header", "{why}", {"why": why, "path": (name,)})
    return headers


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
UrlPath = Annotated[
    str,
    AfterValidator(_check_path),
    WithJsonSchema({"type": "string", "pattern": "^/[!-~]*$", "examples": ["/", "/swagger.html"]}),
]
Host = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_check_host),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": "^[!-~]+$", "examples": ["example.com"]}),
]
Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]
Method = Annotated[str, Field(pattern=r"^[A-Z]+$", examples=["GET", "POST"])]

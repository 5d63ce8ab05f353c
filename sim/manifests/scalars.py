"""Plain YAML scalars as kubectl reads them.

kubectl parses with sigs.k8s.io/yaml, whose parser is a copy of go-yaml v2: YAML 1.1 booleans (`on`, `yes`, `y`,
`n`, `off` … in three spellings, unquoted), octal as `017` and `0o17`, `_` between digits, dates left as text,
base 60 not known. Its numbers then pass through JSON, where a whole number is an integer again (`1.0` is 1).
Checked against `kubectl label --local -o json`.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT64 = range(-(2**63), 2**63)
_UINT64_END = 2**64
#: Go's JSON encoder writes a larger float with an exponent, and what has an exponent stays a float.
_PLAIN_FLOAT_END = 1e21


def resolve(text: str) -> Scalar:
    """The value of an unquoted, untagged scalar. Raises ValueError for infinity and NaN, which JSON lacks."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_JSON.fullmatch(text):
        raise ValueError(f"{text} can't be written in JSON, which Kubernetes stores")
    if text[0] == "." and _FLOAT.fullmatch(text):
        return as_json_number(float(text))
    if text[0] in "+-0123456789":
        plain = text.replace("_", "")
        if match := _INTEGER.fullmatch(plain):
            number = _integer(match)
            if number in _INT64:
                return number
            if 0 <= number < _UINT64_END and match[1] == "":
                return float(number)
        if _FLOAT.fullmatch(plain):
            number_ = float(plain)
            return text if number_ in (float("inf"), float("-inf")) else as_json_number(number_)
    return text


def as_json_number(number: float) -> int | float:
    """A float as it comes out of Kubernetes' JSON: an integer where it is whole and fits 64 bits."""
    if number.is_integer() and abs(number) < _PLAIN_FLOAT_END and int(number) in _INT64:
        return int(number)
    return number


def _integer(match: re.Match[str]) -> int:
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if hexadecimal is not None:
        value = int(hexadecimal, 16)
    elif binary is not None:
        value = int(binary, 2)
    elif octal is not None:
        value = int(octal, 8)
    else:
        value = int(decimal)
    return -value if sign == "-" else value

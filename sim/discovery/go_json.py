"""A protobuf Struct as the JSON text that istiod makes of it.

Imitates github.com/golang/protobuf/jsonpb, which leaves numbers and strings to Go's encoding/json: keys sorted, no
white space, `<`, `>` and `&` escaped, numbers in full between 1e-6 and 1e21.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal

from google.protobuf.struct_pb2 import Struct, Value

_HTML = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
_SMALLEST_IN_FULL, _LARGEST_IN_FULL = 1e-6, 1e21


def struct_text(struct: Struct) -> str:
    """The JSON object. Raises ValueError for a value that is not even null, as jsonpb refuses it."""
    fields = (f"{_string(key)}:{_value(struct.fields[key])}" for key in sorted(struct.fields))
    return "{" + ",".join(fields) + "}"


def _value(value: Value) -> str:
    match value.WhichOneof("kind"):
        case "null_value":
            return "null"
        case "number_value":
            return _number(value.number_value)
        case "string_value":
            return _string(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "struct_value":
            return struct_text(value.struct_value)
        case "list_value":
            return "[" + ",".join(_value(item) for item in value.list_value.values) + "]"
        case _:
            raise ValueError("nil Value")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_HTML)


def _number(number: float) -> str:
    if math.isnan(number):
        return '"NaN"'
    if math.isinf(number):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    if _SMALLEST_IN_FULL <= abs(number) < _LARGEST_IN_FULL:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    # Python writes two digits of exponent at least; Go does so for large numbers only.
    return repr(number).replace("e-0", "e-")

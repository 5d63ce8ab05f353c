"""How Go programs write messages and complain about JSON, where Core's own texts hold such words.

Imitates google.golang.org/protobuf/encoding/prototext (one line, single spaces), strconv.FormatFloat(…, 'g', -1)
and the syntax errors of encoding/json.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import Message

#: A FieldDescriptor of whichever implementation protobuf runs on; its types differ.
AnyField = Any

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_QUOTES = {
    "'": "\\'",
    "\\": "\\\\",
    **dict(zip("\a\b\f\n\r\t\v", ("\\a", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v"), strict=True)),
}
_LAST_ASCII = 0x7F
_LAST_ESCAPED = 0x9F


def go_message(message: Message) -> str:
    """The message's text form: `config:{} route_type:GRPC`. Map entries are sorted by key."""
    parts: list[str] = []
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in sorted(value):
                inner = value[key]
                text = f"{{{go_message(inner)}}}" if isinstance(inner, Message) else _quoted(inner)
                parts.append(f"{field.name}:{{key:{_quoted(key)} value:{text}}}")
        elif field.is_repeated:
            parts.extend(f"{field.name}:{_one(field, item)}" for item in value)
        elif message.HasField(field.name) if field.has_presence else value:
            parts.append(f"{field.name}:{_one(field, value)}")
    return " ".join(parts)


def go_number(number: float) -> str:
    """The shortest form that reads back the same; an exponent from 1e+06 up and below 1e-04."""
    if isinstance(number, int):
        return str(number)
    digits, _, exponent_text = f"{number:.16e}".partition("e")
    for precision in range(17):
        candidate = f"{number:.{precision}e}"
        if float(candidate) == number:
            digits, _, exponent_text = candidate.partition("e")
            break
    exponent = int(exponent_text)
    if exponent < -4 or exponent >= 6:
        return f"{digits}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    fraction = max(len(digits.lstrip("-").replace(".", "")) - 1 - exponent, 0)
    return f"{number:.{fraction}f}"


def json_problem(text: str, error: json.JSONDecodeError) -> str:
    """What encoding/json says of `text`, which Python refused with `error`."""
    position = error.pos
    if error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    if error.msg.startswith("Invalid \\u"):
        while position < len(text) and (text[position] in "\\u" or text[position] in "0123456789abcdefABCDEF"):
            position += 1
        return _invalid(text, position, r"in \u hexadecimal character escape")
    if error.msg.startswith("Invalid \\escape"):
        return _invalid(text, position + 1, "in string escape code")
    if error.msg.startswith("Invalid control character"):
        return _invalid(text, position, "in string literal")
    if error.msg.startswith("Extra data"):
        return _invalid(text, position, "after top-level value")
    if error.msg.startswith("Expecting ':'"):
        return _invalid(text, position, "after object key")
    if error.msg.startswith("Expecting property name"):
        return _invalid(text, position, "looking for beginning of object key string")
    if error.msg.startswith("Expecting ','"):
        inside = "array element" if _innermost(text[:position]) == "[" else "object key:value pair"
        return _invalid(text, position, f"after {inside}")
    return _beginning_of_value(text, position)


def _beginning_of_value(text: str, position: int) -> str:
    for literal in ("true", "false", "null"):
        if text.startswith(literal[0], position):
            length = next(n for n in range(1, 6) if text[position : position + n] != literal[:n])
            return _invalid(text, position + length - 1, f"in literal {literal} (expecting '{literal[length - 1]}')")
    return _invalid(text, position, "looking for beginning of value")


def _invalid(text: str, position: int, context: str) -> str:
    if position >= len(text):
        return "unexpected end of JSON input"
    # Go looks at bytes: of a character beyond ASCII it shows the first one, as if it were Latin-1.
    byte = text[position].encode()[0]
    character = chr(byte)
    if character in _QUOTES:
        shown = _QUOTES[character]
    elif byte < ord(" ") or byte == _LAST_ASCII:
        shown = f"\\x{byte:02x}"
    else:
        shown = character
    return f"invalid character '{shown}' {context}"


def _innermost(text: str) -> str:
    opened: list[str] = []
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            opened.append(character)
        elif character in "]}" and opened:
            opened.pop()
    return opened[-1] if opened else ""


def _one(field: AnyField, value: Any) -> str:
    if field.message_type is not None:
        return f"{{{go_message(value)}}}"
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    return go_number(value)


def _quoted(text: str) -> str:
    out = ""
    for character in text:
        code = ord(character)
        if character in _ESCAPES:
            out += _ESCAPES[character]
        elif code < ord(" ") or code == _LAST_ASCII:
            out += f"\\x{code:02x}"
        elif _LAST_ASCII < code <= _LAST_ESCAPED:
            out += f"\\u{code:04x}"
        else:
            out += character
    return f'"{out}"'

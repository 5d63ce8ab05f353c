"""JSON data into a protobuf message, as Higress' generated types take it.

Imitates jsonpb of github.com/golang/protobuf 1.5.4 with AllowUnknownFields: unknown keys are dropped, both
spellings of a name are known, null is "not set", enums by name or number, numbers also in quotes.
"""

from __future__ import annotations

import json
from typing import Any, cast

from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sim.core.errors import DecodeError
from sim.core.go_text import json_problem

#: A FieldDescriptor of whichever implementation protobuf runs on; its types differ.
AnyField = Any

_WRAPPERS = ("google.protobuf.BoolValue", "google.protobuf.Int32Value")
_INT32 = range(-(2**31), 2**31)
_ENUM_NUMBER = "protoreflect.EnumNumber"
_NUMERIC = ("int32", "uint32", _ENUM_NUMBER)
_OBJECT = "map[string]json.RawMessage"


def decode_into(message: Message, data: Any) -> None:
    """Fill `message`. Raises DecodeError with the decoder's own words; the message is then of no use."""
    if data is None:
        return
    if not isinstance(data, dict):
        raise _mismatch(data, _OBJECT)
    for field in message.DESCRIPTOR.fields:
        value = data.get(field.json_name, data.get(field.name))
        if value is None:
            continue
        if field.is_repeated:
            _decode_items(message, field, value)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _decode_message(inner, value)
        else:
            setattr(message, field.name, _scalar(field, value))


def set_struct(struct: struct_pb2.Struct, data: dict[str, Any]) -> None:
    """Replace the fields of `struct`, which becomes present even when `data` is empty."""
    struct.Clear()
    struct.SetInParent()
    for key, value in data.items():
        _set_value(struct.fields[key], value)


def _decode_message(message: Message, value: Any) -> None:
    full_name = message.DESCRIPTOR.full_name
    if full_name in _WRAPPERS:
        field = message.DESCRIPTOR.fields_by_name["value"]
        setattr(message, "value", _scalar(field, value))  # noqa: B010  (both wrappers have it, Message has not)
    elif full_name == "google.protobuf.Struct":
        if not isinstance(value, dict):
            raise DecodeError(f"bad StructValue: {_mismatch(value, _OBJECT).reason}")
        set_struct(cast(struct_pb2.Struct, message), value)
    else:
        decode_into(message, value)


def _decode_items(message: Message, field: AnyField, value: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _decode_map(message, field, value)
        return
    if not isinstance(value, list):
        raise _mismatch(value, "[]json.RawMessage")
    target = getattr(message, field.name)
    for item in value:
        if field.message_type is not None:
            _decode_message(target.add(), item)
        else:
            target.append("" if item is None else _scalar(field, item))


def _decode_map(message: Message, field: AnyField, value: Any) -> None:
    if not isinstance(value, dict):
        raise _mismatch(value, _OBJECT)
    entry = field.message_type
    assert entry is not None
    target = getattr(message, field.name)
    for key, item in value.items():
        target[key] = "" if item is None else _scalar(entry.fields_by_name["value"], item)


def _scalar(field: AnyField, value: Any) -> Any:
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    if field.type == FieldDescriptor.TYPE_STRING:
        if not isinstance(value, str):
            raise _mismatch(value, "string")
        return value
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise _mismatch(value, "bool")
        return value
    go_type = "uint32" if field.type == FieldDescriptor.TYPE_UINT32 else "int32"
    if isinstance(value, str):
        value = _unquoted(value)
    allowed = range(2**32) if go_type == "uint32" else _INT32
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise _mismatch(value, go_type)
    return value


def _enum(enum: Any, value: Any) -> int:
    if isinstance(value, str):
        if value not in enum.values_by_name:
            raise DecodeError(
                f"unknown value {_go_quoted(json.dumps(value, ensure_ascii=False))} for enum {enum.full_name}",
                hint=f"known: {', '.join(enum.values_by_name)}",
            )
        return int(enum.values_by_name[value].number)
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT32:
        raise _mismatch(value, _ENUM_NUMBER)
    return value


def _go_quoted(text: str) -> str:
    """Go's %q, for text without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DecodeError(json_problem(text, error)) from error


def _mismatch(value: Any, go_type: str) -> DecodeError:
    if isinstance(value, bool):
        actual = "bool"
    elif isinstance(value, int | float):
        # encoding/json shows a number only where another one would have done.
        actual = f"number {json.dumps(value)}" if go_type in _NUMERIC else "number"
    else:
        actual = "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
    return DecodeError(f"json: cannot unmarshal {actual} into Go value of type {go_type}")


def _set_value(target: struct_pb2.Value, value: Any) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _set_value(target.list_value.values.add(), item)
    else:
        set_struct(target.struct_value, value)

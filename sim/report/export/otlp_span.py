"""Spans in OTLP's JSON encoding (opentelemetry.proto.trace.v1): ids in hexadecimal, enums and 64-bit numbers as such.

Written by hand: the messages are few, every OTLP/HTTP receiver takes JSON, and the published Python packages of these
messages put the same files into `opentelemetry/proto` as the ones that read our xDS in the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

Value = str | bool | int | float | Sequence[str]

_STATUS_ERROR = 2


class SpanKind(IntEnum):
    """SPAN_KIND_… of trace.proto."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(slots=True)
class Moment:
    """An event of a span. Times here and below are the trace's."""

    name: str
    t_ns: int
    attributes: Mapping[str, Value | None] = field(default_factory=dict)


@dataclass(slots=True)
class Span:
    """`service` names the part it is of, `instance` the gateway; attributes that are None are left out."""

    service: str
    name: str
    start_ns: int
    end_ns: int
    parent: Span | None = None
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Mapping[str, Value | None] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    error: str | None = None
    instance: str = ""


def trace_id(*seeds: object) -> str:
    """The same for the same seeds, so that a run that is sent twice is one trace."""
    return hashlib.sha256("\0".join(map(str, seeds)).encode()).hexdigest()[:32]


def span_id(trace: str, position: int) -> str:
    return hashlib.sha256(f"{trace}\0{position}".encode()).hexdigest()[:16]


def encoded(span: Span, trace: str, ids: Mapping[int, str], offset_ns: int) -> dict[str, Any]:
    """`ids` are the span ids by `id()` of the span; `offset_ns` leads to the wall clock."""
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": ids[id(span)],
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.start_ns + offset_ns),
        "endTimeUnixNano": str(max(span.start_ns, span.end_ns) + offset_ns),
        "attributes": key_values(span.attributes),
    }
    if span.parent is not None:
        made["parentSpanId"] = ids[id(span.parent)]
    if span.moments:
        made["events"] = [
            {
                "timeUnixNano": str(moment.t_ns + offset_ns),
                "name": moment.name,
                "attributes": key_values(moment.attributes),
            }
            for moment in span.moments
        ]
    if span.error is not None:
        made["status"] = {"code": _STATUS_ERROR, "message": span.error}
    return made


def key_values(attributes: Mapping[str, Value | None]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items() if value is not None]


def _any_value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_any_value(each) for each in value]}}

"""The trace: the product. Everything that is shown, asserted or exported is read from it."""

from sim.trace.events import Event, Payload, SpanState
from sim.trace.files import TraceWriter, read_payload, read_trace, written
from sim.trace.trace import Predicate, Span, Trace

__all__ = [
    "Event",
    "Payload",
    "Predicate",
    "Span",
    "SpanState",
    "Trace",
    "TraceWriter",
    "read_payload",
    "read_trace",
    "written",
]

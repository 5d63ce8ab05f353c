"""`disconnect`: the stream breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import grpc
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, Item, StreamFields, XdsFault, XdsType, names
from sim.scenario.faults.xds.message import Break, Response

Code = Literal[
    "ABORTED",
    "ALREADY_EXISTS",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
]


class Disconnect(XdsFault):
    """End the stream with a gRPC status; the client may come again at once.

    Without `after` every stream that is open ends now, and later ones are left alone. With it, every stream, later ones
    too, ends behind so many more responses; `count` says how many streams. The server sees its client go.
    """

    kind = "disconnect"

    after: int | None = Field(default=None, ge=1, description="So many more responses pass; if not set, it ends now")
    type: XdsType | None = Field(default=None, description="With after: only responses of this type count")
    code: Code = Field(default="UNAVAILABLE", description="The status that the client gets")

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.type is not None and self.after is None:
            raise PydanticCustomError(
                "after", "without after nothing is counted, of no type; add after: 1, or leave the type out"
            )
        return self

    @property
    def named_type(self) -> str | None:
        return self.type

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[Disconnect]:
        return _Cut(fault, stream)


class _Cut(Effect[Disconnect]):
    def __init__(self, fault: ActiveFault[Disconnect], stream: StreamFields) -> None:
        super().__init__(fault, stream)
        self._passed = 0

    def added(self, *, to_open_stream: bool) -> Sequence[Item]:
        if self.kind.after is None and to_open_stream and self.take():
            return (self._end(),)
        return ()

    def response(self, response: Response) -> Sequence[Item]:
        if self.kind.after is None or not (self.kind.type is None or names(self.kind.type, response.type_url)):
            return (response,)
        self._passed += 1
        if self._passed >= self.kind.after and self.take(response):
            return (response, self._end())
        return (response,)

    def _end(self) -> Break:
        return Break(grpc.StatusCode[self.kind.code], f"ended by the fault {self.fault.name}")

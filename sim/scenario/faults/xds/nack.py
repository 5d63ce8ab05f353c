"""`nack`: the server hears that its response was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, StreamFields, TypedFault
from sim.scenario.faults.xds.message import Request
from sim.scenario.quantities import Text


class Nack(TypedFault):
    """Turn the client's ACKs of a type into NACKs: the server hears a refusal, though the client took the response.

    The NACK has the ACK's nonce and names, `error_detail` with code 13 and the message, and (SotW) the version that
    was accepted before.
    """

    kind = "nack"

    message: Text = Field(default="refused by a fault of the scenario", description="Why, as error_detail tells it")

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[Nack]:
        return _Refuse(fault, stream)


class _Refuse(Effect[Nack]):
    def request(self, request: Request) -> Sequence[Request]:
        if request.is_ack and self.kind.means(request) and self.take(request):
            return (request.refused(self.kind.message),)
        return (request,)

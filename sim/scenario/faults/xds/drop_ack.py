"""`drop_ack`: the server never hears that its response was taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, StreamFields, TypedFault
from sim.scenario.faults.xds.message import Request


class DropAck(TypedFault):
    """Swallow the client's ACKs of a type: the server does not hear that its response was taken.

    A request that accepts a response and asks for other resources in the same breath is no mere ACK and passes. The
    nonce of the response stays the newest one, so whatever the client asks for later is understood.
    """

    kind = "drop_ack"

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[DropAck]:
        return _Swallow(fault, stream)


class _Swallow(Effect[DropAck]):
    def request(self, request: Request) -> Sequence[Request]:
        if request.is_ack and self.kind.means(request) and self.take(request):
            return ()
        return (request,)

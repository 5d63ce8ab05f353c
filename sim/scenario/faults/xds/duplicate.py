"""`duplicate`: a response comes twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, Item, StreamFields, TypedFault
from sim.scenario.faults.xds.message import Response


class Duplicate(TypedFault):
    """Send a response of a type twice, byte for byte. The server sees two ACKs with one nonce, and needs the first."""

    kind = "duplicate"

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[Duplicate]:
        return _Twice(fault, stream)


class _Twice(Effect[Duplicate]):
    def response(self, response: Response) -> Sequence[Item]:
        if self.kind.means(response) and self.take(response):
            return (response, response)
        return (response,)

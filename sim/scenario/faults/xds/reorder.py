"""`reorder`: a response is overtaken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, Item, StreamFields, TypedFault, XdsType, names
from sim.scenario.faults.xds.message import Response


class Reorder(TypedFault):
    """Hold a response of a type back, and send it right after the next one.

    Each keeps its nonce and version. Overtaken by one of its own type, the older state is the last that the client
    sees, and its ACK of it is stale to the server, which ignores it. What is still held when the fault is cleared is
    sent then; with the stream it is lost.
    """

    kind = "reorder"

    behind: XdsType | None = Field(
        default=None, description="The type of the response that overtakes it; any, unless told otherwise"
    )

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[Reorder]:
        return _HoldBack(fault, stream)


class _HoldBack(Effect[Reorder]):
    def __init__(self, fault: ActiveFault[Reorder], stream: StreamFields) -> None:
        super().__init__(fault, stream)
        self._held: list[Response] = []

    def response(self, response: Response) -> Sequence[Item]:
        behind = self.kind.behind
        if self._held:
            if behind is None or names(behind, response.type_url):
                return (response, *self._release())
            if self.kind.means(response):
                # Among themselves they keep their order.
                self._held.append(response)
                return ()
            return (response,)
        if self.kind.means(response) and self.take(response):
            self._held.append(response)
            return ()
        return (response,)

    def cleared(self) -> Sequence[Item]:
        return self._release()

    def _release(self) -> list[Response]:
        held, self._held = self._held, []
        return held

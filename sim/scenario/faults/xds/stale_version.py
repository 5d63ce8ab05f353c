"""`stale_version`: the client gets yesterday's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.xds.effect import Effect, Item, StreamFields, TypedFault
from sim.scenario.faults.xds.message import Response


class StaleVersion(TypedFault):
    """Send the client's last response of a type again, version and all, in place of the new one.

    It goes out under the new response's nonce: the server takes the client's ACK for one of the new response, believes
    the client up to date, and understands what it asks for later. A first response has nothing to be replaced
    by and passes.
    """

    kind = "stale_version"

    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[StaleVersion]:
        return _Replay(fault, stream)


class _Replay(Effect[StaleVersion]):
    def response(self, response: Response) -> Sequence[Item]:
        previous = response.previous
        if previous is None or not self.kind.means(response):
            return (response,)
        if not self.take(response, sent_version=previous.version_info):
            return (response,)
        return (previous.with_nonce(response.nonce),)

"""`reset_peer`: the connection is reset."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.model import parse_duration_s
from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.quantities import Duration


class ResetPeer(Toxic):
    """Reset the connection (TCP RST) when data comes, `timeout` after it; that data is lost.

    A Unix socket knows no RST: there both ends are closed without sending what was under way.
    """

    kind = "reset_peer"

    timeout: Duration = Field(default="0ms", description="How long after the first data")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Reset(parse_duration_s(self.timeout))


class _Reset(Effect):
    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        return (Piece(at_s + self._timeout_s, end=End.RESET),)

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(at_s + self._timeout_s, end=End.RESET),)

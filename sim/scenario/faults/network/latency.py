"""`latency`: everything comes later."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.model import parse_duration_s
from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.quantities import Duration


class Latency(Toxic):
    """Delay all data by `latency`, give or take `jitter`. The end of the data is not delayed."""

    kind = "latency"

    latency: Duration = Field(description="How much later the data comes")
    jitter: Duration = Field(default="0ms", description="Up to so much less or more, evenly")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Delay(parse_duration_s(self.latency), parse_duration_s(self.jitter), lots)


class _Delay(Effect):
    def __init__(self, latency_s: float, jitter_s: float, lots: random.Random) -> None:
        self._latency_s = latency_s
        self._jitter_s = jitter_s
        self._lots = lots
        self._last_due_s = 0.0

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        delay_s = self._latency_s + self._lots.uniform(-self._jitter_s, self._jitter_s)
        # Jitter never changes the order.
        self._last_due_s = max(self._last_due_s, at_s + max(delay_s, 0.0))
        return (Piece(self._last_due_s, data),)

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(max(self._last_due_s, at_s), end=end),)

"""`slow_close`: the end comes later."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.model import parse_duration_s
from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.quantities import Duration


class SlowClose(Toxic):
    """Pass the end of the connection on only after `delay`."""

    kind = "slow_close"

    delay: Duration = Field(description="How much later it closes")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Linger(parse_duration_s(self.delay))


class _Linger(Effect):
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(at_s + self._delay_s, end=end),)

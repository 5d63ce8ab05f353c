"""`timeout`: nothing comes through."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.model import parse_duration_s
from sim.scenario.faults.network.effect import Effect, Piece, Toxic
from sim.scenario.quantities import Duration


class Timeout(Toxic):
    """Swallow all data, and close the connection `timeout` after the fault began on it.

    Bytes are missing afterwards, so a connection that is still open when the fault is cleared is closed then.
    """

    kind = "timeout"

    timeout: Duration = Field(description="When it closes; 0ms: not before the fault is cleared")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        timeout_s = parse_duration_s(self.timeout)
        return _Swallow(now_s + timeout_s if timeout_s else None)


class _Swallow(Effect):
    closes_when_cleared = True

    def __init__(self, closes_at_s: float | None) -> None:
        self.closes_at_s = closes_at_s

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        return ()

"""`bandwidth`: only so many bytes a second."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.faults.sizes import RateKbPerS

#: What takes longer than this is sent in parts.
_PART_S = 0.1


class Bandwidth(Toxic):
    """Limit each connection to `rate` kilobytes a second."""

    kind = "bandwidth"

    rate: RateKbPerS = Field(description="KB/s, a kilobyte being 1,000 bytes")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Throttle(self.rate * 1000)


class _Throttle(Effect):
    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._part_bytes = max(1, round(bytes_per_s * _PART_S))
        self._free_at_s = 0.0

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        start_s = max(at_s, self._free_at_s)
        pieces = []
        for begin in range(0, len(data), self._part_bytes):
            part = data[begin : begin + self._part_bytes]
            pieces.append(Piece(start_s + (begin + len(part)) / self._bytes_per_s, part))
        self._free_at_s = start_s + len(data) / self._bytes_per_s
        return pieces

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(max(self._free_at_s, at_s), end=end),)

"""`limit_data`: the connection closes after so many bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.faults.sizes import Size, parse_size_bytes


class LimitData(Toxic):
    """Close the connection when so many bytes have passed since the fault began on it."""

    kind = "limit_data"

    bytes: Size = Field(description="How many bytes still pass: a number, or a size such as 64KiB")

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Limit(parse_size_bytes(self.bytes))


class _Limit(Effect):
    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        passed = data[: self._left_bytes]
        self._left_bytes -= len(passed)
        pieces = [Piece(at_s, passed)] if passed else []
        if not self._left_bytes:
            pieces.append(Piece(at_s, end=End.CLOSE))
        return pieces

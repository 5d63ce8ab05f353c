"""`slicer`: data comes in small slices."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.model import parse_duration_s
from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic
from sim.scenario.quantities import Duration


class Slicer(Toxic):
    """Cut data into slices of about `average_size` bytes, with a pause after each."""

    kind = "slicer"

    average_size: int = Field(ge=1, description="Bytes of a slice, on average")
    size_variation: int = Field(default=0, ge=0, description="Bytes less or more; smaller than average_size")
    delay: Duration = Field(default="0ms", description="The pause after each slice", examples=["0.5ms", "10ms"])

    @model_validator(mode="after")
    def _varies_less(self) -> Self:
        if self.size_variation >= self.average_size:
            raise PydanticCustomError(
                "variation",
                "slices vary by as much as they are long; make size_variation smaller than average_size ({size})",
                {"size": self.average_size},
            )
        return self

    def effect(self, lots: random.Random, now_s: float) -> Effect:
        return _Knife(self.average_size, self.size_variation, parse_duration_s(self.delay), lots)


class _Knife(Effect):
    def __init__(self, average_bytes: int, variation_bytes: int, delay_s: float, lots: random.Random) -> None:
        self._average_bytes = average_bytes
        self._variation_bytes = variation_bytes
        self._delay_s = delay_s
        self._lots = lots
        self._free_at_s = 0.0

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        pieces = []
        due_s = max(at_s, self._free_at_s)
        for begin, end in self._cuts(0, len(data)):
            pieces.append(Piece(due_s, data[begin:end]))
            due_s += self._delay_s
        self._free_at_s = due_s
        return pieces

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(max(self._free_at_s, at_s), end=end),)

    def _cuts(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Halve, a little off the middle, until the halves are short: no slice is much smaller than the others."""
        if end - begin <= self._average_bytes + self._variation_bytes:
            yield begin, end
            return
        middle = (begin + end) // 2
        if self._variation_bytes:
            middle += self._lots.randrange(-self._variation_bytes, self._variation_bytes)
        # Both halves keep a byte, however the lots fell.
        middle = min(max(middle, begin + 1), end - 1)
        yield from self._cuts(begin, middle)
        yield from self._cuts(middle, end)

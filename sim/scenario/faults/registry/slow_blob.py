"""`slow_blob`: blobs take their time."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Self

from aiohttp import web
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.model import parse_duration_s
from sim.oci.registry.faults import Pull, PullStep
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault, blob_headers
from sim.scenario.faults.sizes import RateKbPerS
from sim.scenario.quantities import PositiveDuration

_PART_S = 0.05


class SlowBlob(RegistryFault):
    """Let a blob begin late, or come slowly. Clearing it sends what is left at once."""

    kind = "slow_blob"
    steps: ClassVar[tuple[PullStep, ...]] = ("blob",)

    rate: RateKbPerS | None = Field(default=None, description="KB/s, a kilobyte being 1,000 bytes")
    delay: PositiveDuration | None = Field(default=None, description="The answer begins so much later")

    @model_validator(mode="after")
    def _slow(self) -> Self:
        if self.rate is None and self.delay is None:
            raise PydanticCustomError("one_of", "nothing makes the blob slow; write rate or delay, or both")
        return self

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[SlowBlob]:
        return _Dawdle(fault, match)


class _Dawdle(Effect[SlowBlob]):
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        content = pull.blob() if self.match.covers(pull) else None
        if content is None or not self.take(pull):
            return None
        if self.kind.delay is not None:
            await self.fault.pause(parse_duration_s(self.kind.delay))
        if self.kind.rate is None:
            return None
        return await self._trickle(pull, content, self.kind.rate * 1000)

    async def _trickle(self, pull: Pull, content: bytes, bytes_per_s: int) -> web.StreamResponse:
        response = web.StreamResponse(headers=blob_headers(pull.reference, len(content)))
        await response.prepare(pull.request)
        clock = asyncio.get_running_loop().time
        begun_s, sent_bytes = clock(), 0
        while sent_bytes < len(content):
            part_bytes = max(1, round(bytes_per_s * _PART_S))
            if self.fault.ended.is_set():
                part_bytes = len(content)
            else:
                due_s = begun_s + min(sent_bytes + part_bytes, len(content)) / bytes_per_s
                await self.fault.pause(due_s - clock())
            await response.write(content[sent_bytes : sent_bytes + part_bytes])
            sent_bytes += part_bytes
        return response

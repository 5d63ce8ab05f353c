"""`truncated_blob`: the connection closes in the middle of a blob."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from aiohttp import web
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.oci.registry.faults import Pull, PullStep, close_connection
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault, blob_headers
from sim.scenario.faults.sizes import Size, parse_size_bytes


class TruncatedBlob(RegistryFault):
    """Announce the whole blob, send its beginning, and close the connection."""

    kind = "truncated_blob"
    steps: ClassVar[tuple[PullStep, ...]] = ("blob",)

    bytes: Size | None = Field(default=None, description="So much is sent: a number of bytes, or a size such as 64KiB")
    at: float | None = Field(default=None, ge=0, lt=1, description="This share is sent; half, unless told otherwise")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.bytes is not None and self.at is not None:
            raise PydanticCustomError("one_of", "the blob ends in one place; write bytes or at")
        return self

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[TruncatedBlob]:
        return _Cut(fault, match)


class _Cut(Effect[TruncatedBlob]):
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        content = pull.blob() if self.match.covers(pull) else None
        if content is None:
            return None
        at = 0.5 if self.kind.at is None else self.kind.at
        sent_bytes = int(len(content) * at) if self.kind.bytes is None else parse_size_bytes(self.kind.bytes)
        if sent_bytes >= len(content) or not self.take(pull, sent_bytes=sent_bytes):
            return None
        response = web.StreamResponse(headers=blob_headers(pull.reference, len(content)))
        await response.prepare(pull.request)
        await response.write(content[:sent_bytes])
        close_connection(pull.request)
        return response

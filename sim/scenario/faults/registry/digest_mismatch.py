"""`digest_mismatch`: a blob is not what its digest says."""

from __future__ import annotations

from typing import Any, ClassVar

from aiohttp import web

from sim.oci.registry.faults import Pull, PullStep
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault, blob_headers


class DigestMismatch(RegistryFault):
    """Send a blob of the right length with one wrong byte in the middle."""

    kind = "digest_mismatch"
    steps: ClassVar[tuple[PullStep, ...]] = ("blob",)

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[DigestMismatch]:
        return _Alter(fault, match)


class _Alter(Effect[DigestMismatch]):
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        content = pull.blob() if self.match.covers(pull) else None
        if not content or not self.take(pull):
            return None
        altered = bytearray(content)
        altered[len(altered) // 2] ^= 0xFF
        return web.Response(body=bytes(altered), headers=blob_headers(pull.reference, len(altered)))

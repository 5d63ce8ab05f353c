"""`status`: the registry answers with an error."""

from __future__ import annotations

import http
import math
from typing import Any

from aiohttp import web
from pydantic import Field

from sim.model import parse_duration_s
from sim.oci.registry.errors import ErrorCode, error_response
from sim.oci.registry.faults import Pull
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault
from sim.scenario.quantities import Duration

_CODES = {401: ErrorCode.UNAUTHORIZED, 403: ErrorCode.DENIED, 429: ErrorCode.TOOMANYREQUESTS}
_UNKNOWN = {"manifest": ErrorCode.MANIFEST_UNKNOWN, "blob": ErrorCode.BLOB_UNKNOWN}


class Status(RegistryFault):
    """Answer with an error status, and the body that the specification has for it."""

    kind = "status"

    code: int = Field(ge=400, le=599, description="The status", examples=[401, 404, 429, 500, 503])
    retry_after: Duration | None = Field(default=None, description="The header Retry-After, in whole seconds")

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[Status]:
        return _Refuse(fault, match)


class _Refuse(Effect[Status]):
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        status = self.kind.code
        if not self.match.covers(pull) or not self.take(pull, status=status):
            return None
        headers = {}
        if self.kind.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(parse_duration_s(self.kind.retry_after)))
        if status == http.HTTPStatus.UNAUTHORIZED:
            # RFC 9110, 15.5.2: there must be one. No credentials are right for this realm.
            headers["WWW-Authenticate"] = 'Basic realm="ecdsim fault"'
        error = _CODES.get(status) or (_UNKNOWN.get(pull.step) if status == http.HTTPStatus.NOT_FOUND else None)
        if error is not None:
            return error_response(error, status=status, headers=headers)
        return web.Response(status=status, headers=headers)

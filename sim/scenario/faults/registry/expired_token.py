"""`expired_token`: a token that was good is good no longer."""

from __future__ import annotations

import json
import secrets
from typing import Any, ClassVar

from aiohttp import web

from sim.oci.registry.auth import SERVICE, TOKEN_LIFETIME_S, TOKEN_PATH, TokenAuth
from sim.oci.registry.errors import ErrorCode, error_response
from sim.oci.registry.faults import Pull, PullStep
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.registry.effect import Effect, Match, RegistryFault


class ExpiredToken(RegistryFault):
    """Answer 401 with the bearer challenge to a request whose token was accepted so far.

    A registry that asks for no token asks for one, and gives it to anybody, as long as the fault is in force.
    """

    kind = "expired_token"
    steps: ClassVar[tuple[PullStep, ...]] = ("manifest", "blob")

    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[ExpiredToken]:
        return _Expire(fault, match)


class _Expire(Effect[ExpiredToken]):
    def __init__(self, fault: ActiveFault[ExpiredToken], match: Match) -> None:
        super().__init__(fault, match)
        #: Of the realm that stands in for one where the registry has none.
        self._given: set[str] = set()

    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        match pull.auth:
            case None:
                return self._of_open_registry(pull)
            case TokenAuth():
                if not self._hits(pull) or not pull.permitted or not self.take(pull):
                    return None
                pull.auth.revoke()
                return _challenge(pull, expired=True)
        return None

    def _of_open_registry(self, pull: Pull) -> web.StreamResponse | None:
        if pull.step == "token":
            return self._give()
        scheme, _, token = pull.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() not in self._given:
            return _challenge(pull, expired=False)
        if self._hits(pull) and self.take(pull):
            self._given.clear()
            return _challenge(pull, expired=True)
        return None

    def _hits(self, pull: Pull) -> bool:
        return pull.step in ExpiredToken.steps and self.match.covers(pull)

    def _give(self) -> web.Response:
        token = secrets.token_hex(16)
        self._given.add(token)
        body = {"token": token, "access_token": token, "expires_in": TOKEN_LIFETIME_S}
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")


def _challenge(pull: Pull, *, expired: bool) -> web.Response:
    challenge = f'Bearer realm="{pull.request.url.with_path(TOKEN_PATH)}",service="{SERVICE}"'
    if pull.repository:
        challenge += f',scope="repository:{pull.repository}:pull"'
    if expired:
        challenge += ',error="invalid_token"'
    return error_response(ErrorCode.UNAUTHORIZED, headers={"WWW-Authenticate": challenge})

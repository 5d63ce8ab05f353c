"""Proving to a registry who asks: the distribution project's token flow (spec/auth/token.md and oauth.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import aiohttp
from yarl import URL

from sim.oci.credentials import Credentials
from sim.oci.fetch_error import FetchError
from sim.oci.http_client import ONCE, HttpClient, Retry, drain, is_http_url, read_body, shown
from sim.oci.json_object import json_object

CLIENT_ID = "ecdsim"

_MAX_TOKEN_BYTES = 1 << 20
_PARAMETER = re.compile(r'(?P<key>[A-Za-z_]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants to see: a scheme in lower case (`basic`, `bearer`) and its parameters."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_challenge(headers: list[str]) -> Challenge | None:
    """The first challenge of some `WWW-Authenticate` headers that can be answered, None if there is none."""
    for header in headers:
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() in ("basic", "bearer"):
            found = {
                match["key"].lower(): match["quoted"] if match["quoted"] is not None else match["bare"]
                for match in _PARAMETER.finditer(rest)
            }
            return Challenge(scheme.lower(), found)
    return None


@dataclass(slots=True)
class TokenSource:
    """Bearer tokens for one repository, from the realm that its registry's challenge names, wherever that is.

    The realm is told the name and password, or the identity token; the scopes that are asked for grow as the registry
    asks for more.
    """

    http: HttpClient
    challenge: Challenge
    credentials: Credentials = field(repr=False)
    scopes: list[str]
    verify: bool = True
    retry: Retry = ONCE

    def widen(self, challenge: Challenge) -> None:
        """Ask for what the registry found missing, before anything else: some realms look at the first scope only."""
        scope = challenge.parameters.get("scope")
        if scope and scope not in self.scopes:
            self.scopes.insert(0, scope)

    async def authorization(self) -> str:
        """An Authorization header with a fresh token.

        Raises FetchError `download` when the realm is missing or gives no token, ConnectionLostError and
        UnreachableError.
        """
        if self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        realm = self.challenge.parameters.get("realm", "")
        if not is_http_url(realm):
            raise _no_token(f"its challenge names no realm: {realm!r}")
        answer = await self._exchanged(realm) if self.credentials.identity_token else None
        if answer is None:
            answer = await self._asked(realm)
        try:
            found = json_object(answer)
        except ValueError as error:
            raise _no_token(f"{realm} answered no JSON object") from error
        token = found.get("access_token") or found.get("token")
        if not isinstance(token, str) or not token:
            raise _no_token(f"{realm} answered no token")
        refresh = found.get("refresh_token")
        if isinstance(refresh, str) and refresh:
            self.credentials = replace(self.credentials, identity_token=refresh)
        return f"Bearer {token}"

    async def _asked(self, realm: str) -> bytes:
        wanted = [("service", self.challenge.parameters.get("service", ""))]
        wanted += [("scope", scope) for scope in self.scopes]
        url = URL(realm).update_query(wanted)
        async with self.http.get(
            str(url), authorization=self.credentials.basic, verify=self.verify, retry=self.retry
        ) as response:
            return await _answer(realm, response)

    async def _exchanged(self, realm: str) -> bytes | None:
        """The realm's answer to the identity token by OAuth2, None from one that knows no OAuth2."""
        form = {
            "scope": " ".join(self.scopes),
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": self.credentials.identity_token,
        }
        if service := self.challenge.parameters.get("service"):
            form["service"] = service
        async with self.http.post(realm, form, verify=self.verify, retry=self.retry) as response:
            return None if response.status == 404 else await _answer(realm, response)


async def _answer(realm: str, response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        await drain(response)
        raise _no_token(f"{shown(realm)} answered {response.status}", response.status)
    return await read_body(response, _MAX_TOKEN_BYTES)


def _no_token(what: str, status: int | None = None) -> FetchError:
    return FetchError(
        "download",
        f"the registry gives no token: {what}",
        status=status,
        hint="check the pull secret's user and password for this registry",
    )

"""Who may use a registry: HTTP basic, or the token flow of the distribution project (spec/auth/token.md)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass, field

from aiohttp import web

from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed

SERVICE = "ecdsim"
TOKEN_PATH = "/token"
TOKEN_LIFETIME_S = 300


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Every request carries the user's name and password."""

    user: str
    password: str = field(repr=False)

    def check(self, request: web.Request, repository: str | None, action: str, address: str) -> None:
        """Raises RegistryError UNAUTHORIZED, with a challenge, for a request that may not pass."""
        if not self.allows(request, repository, action):
            raise _unauthorized('Basic realm="ecdsim"')

    def allows(self, request: web.Request, repository: str | None, action: str) -> bool:
        """Whether the request's credentials permit the action, on no repository in particular where it is None."""
        return _is_user(request, self.user, self.password)


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Every request carries a bearer token, which the registry's own realm gives for a name and password."""

    user: str
    password: str = field(repr=False)
    _granted: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    _refresh: str = field(default_factory=lambda: secrets.token_hex(16), repr=False, compare=False)

    def check(self, request: web.Request, repository: str | None, action: str, address: str) -> None:
        """Raises RegistryError UNAUTHORIZED, with a challenge that names realm and scope, unless a token fits."""
        if self.allows(request, repository, action):
            return
        challenge = f'Bearer realm="{address}{TOKEN_PATH}",service="{SERVICE}"'
        if repository is not None:
            actions = "pull" if action == "pull" else "pull,push,delete"
            challenge += f',scope="repository:{repository}:{actions}"'
        if self._grants(request) is not None:
            challenge += ',error="insufficient_scope"'
        raise _unauthorized(challenge)

    def allows(self, request: web.Request, repository: str | None, action: str) -> bool:
        """Whether the request's token permits the action, on no repository in particular where it is None."""
        granted = self._grants(request)
        return granted is not None and (repository is None or f"repository:{repository}:{action}" in granted)

    def _grants(self, request: web.Request) -> frozenset[str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._granted.get(token.strip()) if scheme.lower() == "bearer" else None

    async def grant(self, request: web.Request) -> web.Response:
        """The realm: GET with basic credentials, or the OAuth2 POST with a password or a refresh token.

        Answers 200 with `token`, `access_token`, `refresh_token` and `expires_in`, or 401.
        """
        if request.method == "GET":
            allowed = _is_user(request, self.user, self.password)
            scopes = request.query.getall("scope", [])
        elif request.method == "POST":
            form = await request.post()
            scopes = str(form.get("scope", "")).split()
            if form.get("grant_type") == "refresh_token":
                allowed = _same(str(form.get("refresh_token", "")), self._refresh)
            else:
                allowed = _same(str(form.get("username", "")), self.user) and _same(
                    str(form.get("password", "")), self.password
                )
        else:
            raise not_allowed("GET", "POST")
        if not allowed:
            raise RegistryError(ErrorCode.UNAUTHORIZED)
        token = secrets.token_hex(24)
        self._granted[token] = frozenset(_actions(scopes))
        body = {
            "token": token,
            "access_token": token,
            "refresh_token": self._refresh,
            "expires_in": TOKEN_LIFETIME_S,
        }
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")

    def revoke(self) -> None:
        """Forget every token that was given."""
        self._granted.clear()


def _actions(scopes: list[str]) -> list[str]:
    actions = []
    for scope in (part for text in scopes for part in text.split()):
        kind, _, rest = scope.partition(":")
        name, _, verbs = rest.rpartition(":")
        actions += [f"{kind}:{name}:{verb}" for verb in verbs.split(",")]
    return actions


def _is_user(request: web.Request, user: str, password: str) -> bool:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given_user, _, given_password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return _same(given_user, user) and _same(given_password, password)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _unauthorized(challenge: str) -> RegistryError:
    return RegistryError(ErrorCode.UNAUTHORIZED, headers={"WWW-Authenticate": challenge})

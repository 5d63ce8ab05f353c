"""Proving to a registry who asks: HTTP basic and the distribution project's token flow (spec/auth/token.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from sim.oci.credentials import Credentials
from sim.oci.fetch_error import FetchError
from sim.oci.http_client import HttpClient, read_body

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


async def authorize(
    http: HttpClient, challenge: Challenge | None, credentials: Credentials, scope: str, *, verify: bool = True
) -> str | None:
    """The Authorization header that answers the challenge; None where none is asked for or none can be given.

    For a bearer challenge the realm is asked for a token to `scope`, with the name and password if there are any.
    Raises FetchError `download` when the realm is missing or gives no token.
    """
    if challenge is None:
        return None
    if challenge.scheme == "basic":
        return credentials.basic if credentials.user or credentials.password else None
    if credentials.registry_token:
        return f"Bearer {credentials.registry_token}"
    realm = challenge.parameters.get("realm", "")
    if not realm.startswith(("http://", "https://")):
        raise _no_token(f"its challenge names no realm: {realm!r}")
    url = URL(realm).extend_query({"scope": scope, "service": challenge.parameters.get("service", "")})
    authorization = credentials.basic if credentials.user or credentials.password else None
    async with http.get(str(url), authorization=authorization, verify=verify) as response:
        body = await read_body(response, _MAX_TOKEN_BYTES)
        if response.status != 200:
            raise _no_token(f"{realm} answered {response.status}", response.status)
    try:
        answer = json.loads(body)
        token = answer.get("access_token") or answer.get("token")
    except (ValueError, AttributeError) as error:
        raise _no_token(f"{realm} answered no JSON object") from error
    if not isinstance(token, str) or not token:
        raise _no_token(f"{realm} answered no token")
    return f"Bearer {token}"


def _no_token(what: str, status: int | None = None) -> FetchError:
    return FetchError(
        "download",
        f"the registry gives no token: {what}",
        status=status,
        hint="check the pull secret's user and password for this registry",
    )

"""Who may ask: a program on this machine that has the token, and no page of another site.

A name that resolves to loopback, and a request that a foreign page makes, are told by the headers Host and Origin.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from sim.web.kubernetes.status import forbidden, unauthorized

_EVERYWHERE = ("0.0.0.0", "::")


class Guard:
    """`hosts` are names or addresses that requests may come in by, beside those of loopback.

    With 0.0.0.0 or :: among them every address is this machine's own; no name is.
    """

    def __init__(self, token: str, hosts: Collection[str] = ()) -> None:
        self._token = token.encode()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_address = not self._hosts.isdisjoint(_EVERYWHERE)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises ApiError: 403 for a foreign Host or Origin, 401 without the token."""
        host = headers.get("Host", "")
        if not self._is_ours(host):
            raise forbidden(f'Host "{host}" is not an address of this server, which answers on loopback only')
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise forbidden(f'Origin "{origin}" is not this server')
        given = _given_token(headers.get("Authorization", ""))
        if given is None or not hmac.compare_digest(given, self._token):
            raise unauthorized()

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name == "localhost" or name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback or self._any_address
        except ValueError:
            return False


def _given_token(authorization: str) -> bytes | None:
    """A bearer token; or a password, which is how kubectl sends one where there is no TLS."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return None
    return None

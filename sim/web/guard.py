"""Who may ask: only whoever has the token, and no page of another site, whatever name it has for this address."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

#: What may be read without the token: nothing of a run's content is in it.
OPEN = frozenset({"/metrics"})

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guard(token: str, host: str) -> Middleware:
    """Middleware for every request.

    `host` is the address that was listened on: its name, and loopback's, are the only ones that a request may use, so
    that no foreign name can be made to lead here.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = _refusal(request, token, host)
        if refused is not None:
            return refused
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guarded


def _refusal(request: web.Request, token: str, host: str) -> web.Response | None:
    if not _known(request.headers.get("Host", ""), host):
        return _no(403, "this address has another name; open it by the URL that ecdsim up printed")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        return _no(403, "the request comes from another site")
    if request.path in OPEN:
        return None
    given = request.query.get("token", "")
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given = bearer.strip()
    elif request.method not in ("GET", "HEAD"):
        # A form of another site could send a URL, never a header.
        given = ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        return _no(401, "the token is missing or wrong; open the URL that ecdsim up printed, token and all")
    return None


def _known(host: str, own: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", own.lower()):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or own in ("0.0.0.0", "::")


def _no(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=_HEADERS)

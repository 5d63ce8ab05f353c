"""Conditional requests (RFC 9110, section 13), with the digest as the entity tag."""

from __future__ import annotations

from aiohttp import web


def entity_tag(digest: str) -> str:
    """The ETag of what has this digest."""
    return f'"{digest}"'


def unmet(request: web.Request, digest: str | None) -> web.Response | None:
    """The answer 304 or 412 to a request whose condition does not hold, None where it may go on.

    `digest` is that of what the URL means now, None where there is nothing yet.
    """
    wanted = request.headers.get("If-Match")
    if wanted is not None and not _names(wanted, digest):
        return web.Response(status=412)
    known = request.headers.get("If-None-Match")
    if known is None or not _names(known, digest):
        return None
    if request.method in ("GET", "HEAD"):
        return web.Response(status=304, headers={"ETag": entity_tag(digest or "")})
    return web.Response(status=412)


def range_applies(request: web.Request, digest: str) -> bool:
    """Whether the Range header counts: with a GET, and where If-Range names what is here."""
    if request.method != "GET":
        return False
    return request.headers.get("If-Range", entity_tag(digest)).strip() == entity_tag(digest)


def _names(tags: str, digest: str | None) -> bool:
    if digest is None:
        return False
    listed = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    return listed == ["*"] or entity_tag(digest) in listed

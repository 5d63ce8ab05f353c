"""Requests as the plugin commands are given them: `GET /path`, `name: value`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sim.errors import InvalidInput

if TYPE_CHECKING:
    from sim.plugin.trial import Asked

_METHOD = re.compile(r"[A-Z]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL = re.compile(r"http://([^/?#\s]+)(/\S*)?")


def asked_request(text: str, headers: tuple[tuple[str, str], ...], data: str | None) -> Asked:
    """A request from `METHOD PATH`, where METHOD may be left out and PATH be a URL. Raises InvalidInput."""
    from sim.plugin.trial import Asked

    words = text.split()
    method, target = ("GET", words[0]) if len(words) == 1 else tuple(words) if len(words) == 2 else ("", "")
    host = None
    if (found := _URL.fullmatch(target)) is not None:
        host, target = found[1], found[2] or "/"
    if not _METHOD.fullmatch(method) or not target.startswith("/") or not target.isascii():
        raise InvalidInput(
            f"{text!r} is no request", hint="write 'GET /path' or 'GET http://www.example.com/path', percent-encoded"
        )
    return Asked(method, target, host, headers, (data or "").encode())


def asked_header(text: str) -> tuple[str, str]:
    """A header from `name: value`. Raises InvalidInput."""
    name, colon, value = text.partition(":")
    if not colon or not _HEADER_NAME.fullmatch(name) or any(character in value for character in "\r\n\0"):
        raise InvalidInput(f"{text!r} is no header", hint="write 'name: value'")
    return name, value.strip()

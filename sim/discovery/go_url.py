"""URLs as Go's net/url leaves them after `Parse` and `String`: what it refuses, escapes, and keeps as written."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r":[0-9]*")
_USERINFO = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:%@-]*")
#: Only what is not ASCII may stand escaped in a host.
_HOST = re.compile(r"""(?:[A-Za-z0-9._~!$&'()*+,;=:\[\]<>"\u0080-\U0010ffff-]|%[89A-Fa-f][0-9A-Fa-f])*""")
#: A path or fragment of these alone stays as it was written; any other is decoded and escaped anew.
_AS_WRITTEN = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@\[\]%/-]*")
_AS_WRITTEN_FRAGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@\[\]%/?-]*")


def normalised(url: str, default_scheme: str) -> str | None:
    """The URL as Go writes what it read, `default_scheme` put in where it has none; None where Go can't parse it.

    Without a scheme, a first path segment with a colon has no parse: `127.0.0.1:5000/p`. But `registry:5000/p` has
    one, of the scheme `registry`.
    """
    url, _, fragment = url.partition("#")
    if _CONTROL.search(url) or url.startswith(":"):
        return None
    given = _SCHEME.fullmatch(url)
    scheme, rest = (given[1].lower(), given[2]) if given else ("", url)
    path, mark, query = rest.partition("?")
    tail = mark + query + _fragment(fragment)
    if not path.startswith("/"):
        if scheme:
            return f"{scheme}:{path}{tail}" if not _BAD_ESCAPE.search(fragment) else None
        if ":" in path.split("/", 1)[0]:
            return None
    authority = None
    if path.startswith("//") and (scheme or not path.startswith("///")):
        authority, slash, path = path[2:].partition("/")
        authority, path = _authority(authority), slash + path
        if authority is None:
            return None
    if _BAD_ESCAPE.search(path) or _BAD_ESCAPE.search(fragment):
        return None
    # "oci:/p" keeps its form; every other with a path or an authority has the two slashes.
    slashes = "" if (scheme and authority is None) or not (authority or path) else "//"
    return f"{scheme or default_scheme}:{slashes}{authority or ''}{_path(path)}{tail}"


def request_scheme(url: str) -> str | None:
    """The scheme of what Go's `ParseRequestURI` reads, "" where there is none; None for what it refuses.

    It wants a scheme or a leading slash, and takes a fragment for a part of the path.
    """
    if url == "*":
        return ""
    if not url or _CONTROL.search(url) or url.startswith(":"):
        return None
    given = _SCHEME.fullmatch(url)
    scheme, rest = (given[1].lower(), given[2]) if given else ("", url)
    path = rest.partition("?")[0]
    if not path.startswith("/"):
        return scheme or None
    if scheme and path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        if _authority(authority) is None:
            return None
        path = slash + path
    return None if _BAD_ESCAPE.search(path) else scheme


def _authority(text: str) -> str | None:
    user, at, host = text.rpartition("@")
    if not _USERINFO.fullmatch(user) or _BAD_ESCAPE.search(user):
        return None
    if host.startswith("["):
        inside, bracket, port = host.rpartition("]")
        if not bracket or (port and not _PORT.fullmatch(port)):
            return None
        host = f"{inside}]{port}"
    else:
        name, colon, port = host.rpartition(":")
        if (colon and not _PORT.fullmatch(colon + port)) or not _HOST.fullmatch(name or host):
            return None
        host = quote(unquote_to_bytes(host), safe="-._~!$&'()*+,;=:[]<>\"")
    if not at:
        return host
    name, colon, password = user.partition(":")
    return f"{_user(name)}{colon}{_user(password)}@{host}"


def _user(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-._~$&+,;=")


def _path(text: str) -> str:
    if _AS_WRITTEN.fullmatch(text):
        return text
    return quote(unquote_to_bytes(text), safe="-._~$&+,/:;=@")


def _fragment(text: str) -> str:
    if not text:
        return ""
    if _AS_WRITTEN_FRAGMENT.fullmatch(text):
        return f"#{text}"
    return "#" + quote(unquote_to_bytes(text), safe="-._~$&+,/:;=?@!()*")

"""How the terminal says numbers, images and strings that come from outside."""

from __future__ import annotations

import re
import unicodedata

#: Stands for a value that is not there.
NOTHING = "–"

_SCHEME = re.compile(r"^(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_DIGEST = re.compile(r"@(?P<algorithm>[a-z0-9]+):(?P<hex>[0-9a-f]{12})[0-9a-f]+$")


def milliseconds(value: float | None) -> str:
    """`0.41 ms`, `12.3 ms`, `5.42 s`; a dash for None."""
    if value is None:
        return NOTHING
    sign, size = ("-", -value) if value < 0 else ("", value)
    if size == 0:
        return "0 ms"
    if size < 0.005:
        return f"{'>' if sign else '<'}{sign}0.01 ms"
    if round(size, 2) < 10:
        return f"{sign}{size:.2f} ms"
    if round(size, 1) < 1000:
        return f"{sign}{size:.1f} ms"
    return f"{sign}{size / 1000:.2f} s" if size < 99_995 else f"{sign}{size / 1000:,.0f} s"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def clean(text: str) -> str:
    """The same text on one line, with everything that could steer a terminal made visible.

    Control characters, bidirectional overrides and lone surrogates come out as their escapes (ESC as `\\x1b`), line
    breaks and tabs as blanks.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def lines_of(text: str) -> list[str]:
    """The lines of a text, each made harmless; blanks at their ends and empty lines at both ends are dropped."""
    return [clean(line).rstrip() for line in text.strip("\r\n").splitlines()]


def image(url: str | None) -> str:
    """An image's URL without what is understood: `oci://`, credentials, a query, most of a digest."""
    if url is None:
        return NOTHING
    scheme, rest = _split(url)
    return clean(scheme + rest)


def image_change(before: str | None, after: str | None) -> str:
    """`hub/team/block:1.0.0 → 2.0.0`, one reference where there is only one, or where both are the same."""
    if before is None or after is None or before == after:
        return image(after if after is not None else before)
    old, new = image(before), image(after)
    old_repository, new_repository = _repository(old), _repository(new)
    if old_repository == new_repository and len(new) > len(new_repository):
        new = new[len(new_repository) :].lstrip(":@")
    return f"{old} → {new}"


def _split(url: str) -> tuple[str, str]:
    found = _SCHEME.match(url)
    scheme = found.group() if found else ""
    rest = url[len(scheme) :]
    if scheme.lower() in ("oci://", ""):
        scheme = ""
    authority, slash, path = rest.partition("/")
    # A user name and password may stand before the host; they are nobody's business.
    authority = authority.rpartition("@")[2] if slash else authority
    path = path.partition("?")[0]
    return scheme, _DIGEST.sub(r"@\g<algorithm>:\g<hex>…", authority + slash + path)


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _visible(character: str) -> str:
    if character in "\n\r\t\u2028\u2029":
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character

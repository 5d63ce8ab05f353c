"""The extension configurations that a proxy has."""

from __future__ import annotations

from typing import NamedTuple

from sim.report.columns import Table
from sim.report.proxy_config.fields import Json, listed, nested, text

_PREFIX = "type.googleapis.com/"
_EXTENSION = _PREFIX + "envoy.config.core.v3.TypedExtensionConfig"


class _Extension(NamedTuple):
    """A row; sorted as istioctl sorts them."""

    type_url: str
    name: str
    code: str
    sha256: str
    version: str
    updated: str


def table(section: Json, *, wide: bool = False) -> Table:
    """Name and type of each. `wide`: also where the code is, its checksum if one is demanded, version and time.

    The code of a remote module is its URL, as Discovery has it; after the agent it is a local file.
    """
    rows = sorted(_extension(entry) for entry in listed(section, "ecds_filters"))
    header = ["ECDS NAME", "TYPE"]
    if not wide:
        return Table(header, [(row.name, row.type_url.removeprefix(_PREFIX)) for row in rows])
    return Table(
        [*header, "CODE", "SHA256", "VERSION", "UPDATED"],
        [(row.name, row.type_url.removeprefix(_PREFIX), *(cell or "-" for cell in row[2:])) for row in rows],
    )


def _extension(entry: Json) -> _Extension:
    extension = nested(entry, "ecds_filter")
    held = nested(extension, "typed_config")
    if text(extension, "@type") not in ("", _EXTENSION):
        # istiod's own dump has the filter itself in this place; the name in it is the plugin's.
        held = extension
    code = nested(held, "config", "vm_config", "code")
    return _Extension(
        type_url=text(held, "@type"),
        name=text(extension, "name") or text(nested(held, "config"), "name"),
        code=text(nested(code, "remote", "http_uri"), "uri") or text(nested(code, "local"), "filename"),
        sha256=text(nested(code, "remote"), "sha256"),
        version=text(entry, "version_info"),
        updated=text(entry, "last_updated"),
    )

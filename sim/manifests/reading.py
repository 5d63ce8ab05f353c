"""A YAML file's text, of which no more is read than such a file can have."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

from sim.errors import InvalidInput, Location


def read_text(file: Path, limit_bytes: int, what: str) -> str:
    """The text of a regular file or a pipe, without a byte order mark. `what` is called by its name: "a scenario".

    Raises InvalidInput for a device, for more than `limit_bytes`, and for what can't be read or is no UTF-8.
    """
    where = Location(str(file))
    try:
        mode = file.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise InvalidInput("is a device, not a file", where=where, hint="name a UTF-8 YAML file")
        with file.open("rb") as stream:
            content = stream.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise InvalidInput(
                f"is larger than {limit_bytes // 1_000_000} MB",
                where=where,
                hint=f"{what} is some kilobytes; is this the right file?",
            )
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"can't be read: {error}", where=where, hint="name a UTF-8 YAML file") from error

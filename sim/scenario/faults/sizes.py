"""Sizes as a scenario writes them: a whole number of bytes, or `64KiB`, `10KB`, `1MiB`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

_SIZE = re.compile(r"(?P<number>\d+)(?P<unit>B|KB|MB|KiB|MiB)", re.ASCII)
_BYTES = {"B": 1, "KB": 1000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20}


def parse_size_bytes(size: int | str) -> int:
    """Bytes from `100`, `64KiB`, `10KB`, `1MiB`. Raises ValueError for anything else."""
    if isinstance(size, int):
        if size < 0:
            raise ValueError(f"{size} is no size; write a number of bytes from 0 on")
        return size
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{size!r} is not a size; write a number of bytes, or a number and a unit such as 64KiB")
    return int(match["number"]) * _BYTES[match["unit"]]


def _check_size(size: int | str) -> int | str:
    parse_size_bytes(size)
    return size


Size = Annotated[
    int | str,
    AfterValidator(_check_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(B|KB|MB|KiB|MiB)$"}],
            "examples": [1024, "64KiB"],
        }
    ),
]
#: As Toxiproxy has it: a kilobyte is 1,000 bytes.
RateKbPerS = Annotated[int, Field(ge=1)]

"""Modules that carry code compiled for WAMR, which the fork's agent runs on that machine.

Imitates the fork of 1.19 (pkg/wasm/convert.go). It compiles every module that it delivers to look at its sections,
cached or not, which takes long for a large one; here the file is searched once.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from sim.errors import SimError
from sim.wasm import parse
from sim.wasm.binary import encode_name

RUNTIME = "envoy.wasm.runtime.wamr"
_SECTION = "wamr-aot"
_VERSIONED = _SECTION + "-"
#: The first version of WAMR whose code is not for Envoy's.
_TOO_NEW = (2, 1, 0)
_VERSION = re.compile(r"v?(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<prerelease>-?[0-9A-Za-z~-][0-9A-Za-z~.-]*)?(?:\+.*)?")


def is_compiled_for_wamr(path: Path) -> bool:
    """Whether the module in this file says so. The first custom section that names WAMR's version decides."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(_SECTION.encode()) < 0:
                return False
            module = content[:]
        sections = parse(module).sections
    except (OSError, SimError):
        return False
    for section in sections:
        if section.name is None or len(section.payload) == len(encode_name(section.name)):
            # A section without content is not shown to the fork's agent.
            continue
        if section.name == _SECTION:
            return True
        if section.name.startswith(_VERSIONED):
            return _is_old_enough(section.name.removeprefix(_VERSIONED))
    return False


def _is_old_enough(version: str) -> bool:
    """Imitates hashicorp/go-version: `2.1.0-rc1` is before `2.1.0`."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return False
    numbers = tuple(map(int, found["numbers"].split(".")))
    padded = numbers + (0,) * (len(_TOO_NEW) - len(numbers))
    return padded < _TOO_NEW or (padded == _TOO_NEW and bool(found["prerelease"]))

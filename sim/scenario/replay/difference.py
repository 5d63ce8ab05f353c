"""Where two messages differ: the first path, and what was there and is there now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Stands for something that is not there at all.
MISSING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not as it was. `message` names it: who, type, the how-manieth of that type."""

    stream: int
    message: str
    path: str
    recorded: Any
    actual: Any

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "stream": self.stream,
            "message": self.message,
            "path": self.path,
            "recorded": self.recorded,
            "actual": self.actual,
        }


def first_difference(recorded: Any, actual: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The path, in the order of the recorded side, and both values; None when they are equal."""
    if isinstance(recorded, Mapping) and isinstance(actual, Mapping):
        for key in [*recorded, *(key for key in actual if key not in recorded)]:
            here = f"{path}.{key}" if path else str(key)
            if key not in actual:
                return here, recorded[key], MISSING
            if key not in recorded:
                return here, MISSING, actual[key]
            found = first_difference(recorded[key], actual[key], here)
            if found is not None:
                return found
        return None
    if isinstance(recorded, list) and isinstance(actual, list):
        for index in range(max(len(recorded), len(actual))):
            here = f"{path}[{index}]"
            if index >= len(actual):
                return here, recorded[index], MISSING
            if index >= len(recorded):
                return here, MISSING, actual[index]
            found = first_difference(recorded[index], actual[index], here)
            if found is not None:
                return found
        return None
    return None if recorded == actual else (path or "(all of it)", recorded, actual)

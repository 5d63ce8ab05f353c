"""Reading JSON that somebody else wrote."""

from __future__ import annotations

import json
from typing import Any


def json_object(raw: bytes) -> dict[str, Any]:
    """The object that a JSON document in UTF-8 is. Raises ValueError, which says why it is none."""
    try:
        decoded = json.loads(raw.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(decoded, dict):
        raise ValueError("it is not a JSON object")
    return decoded

"""Reading the golden files, and comparing with them so that a failure shows what differs."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    """The content of a golden JSON file."""
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def golden_lines(name: str) -> list[dict[str, Any]]:
    """The lines of a golden JSONL file."""
    return [json.loads(line) for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines()]


def assert_same_json(actual: Any, expected: Any) -> None:
    """Equal, or fail with a unified diff of the two."""
    if actual == expected:
        return
    golden_lines_, our_lines = (
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines() for value in (expected, actual)
    )
    diff = difflib.unified_diff(golden_lines_, our_lines, "golden", "ours", lineterm="", n=4)
    raise AssertionError("\n" + "\n".join(diff))

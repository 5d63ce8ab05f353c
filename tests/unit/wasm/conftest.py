"""What these tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def zig_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Zig compiler brings along for every program is built once."""
    return tmp_path_factory.mktemp("zig-cache")

"""Which Kubernetes this API is like: the release whose answers it is held against."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

MAJOR, MINOR = "1", "33"
GIT_VERSION = f"v{MAJOR}.{MINOR}.2+ecdsim"


def version_info() -> dict[str, Any]:
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"none; ecdsim {version('ecdsim')}",
        "compiler": "",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }

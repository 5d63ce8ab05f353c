"""The plugins that come with ecdsim as Wasm modules; their sources are in `plugins/`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files

from sim.errors import EnvironmentProblem, InvalidInput

_NAMES = (
    "custom-response",
    "easy-logger",
    "header-loop",
    "http-call",
    "key-auth",
    "marker",
    "request-block",
    "transformer",
    "trap",
)


@dataclass(frozen=True, slots=True)
class BundledPlugin:
    """`module` is not stamped with a version yet; `sim.wasm.stamp` does that."""

    name: str
    module: bytes
    version_header: str
    """The response header in which the plugin tells its version."""


def bundled_names() -> tuple[str, ...]:
    """The names that `bundled` knows, sorted."""
    return _NAMES


def bundled(plugin: str) -> BundledPlugin:
    """The bundled plugin of that name.

    Raises InvalidInput for an unknown name, EnvironmentProblem where the installation lacks the module's file.
    """
    if plugin not in _NAMES:
        raise InvalidInput(f"there is no bundled plugin {plugin!r}", hint=_suggestion(plugin))
    try:
        module = files(__name__).joinpath(f"{plugin}.wasm").read_bytes()
    except FileNotFoundError as error:
        raise EnvironmentProblem(
            f"the module of the bundled plugin {plugin} is not installed",
            hint="reinstall ecdsim, or build it: python plugins/build.py",
        ) from error
    return BundledPlugin(plugin, module, version_header=f"x-{plugin}-version")


def _suggestion(plugin: str) -> str:
    known = f"bundled are {', '.join(bundled_names())}"
    close = difflib.get_close_matches(plugin.lower().replace("_", "-"), bundled_names(), n=1)
    return f"did you mean {close[0]}? {known}" if close else known

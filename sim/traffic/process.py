"""A Python module of ours as a process of its own, told and telling by JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from typing import Any

from sim.affinity import on_every_core

TAIL_LINES = 40
LINE_LIMIT_BYTES = 4 * 1024 * 1024
TERMINATE_S = 1.0


class ModuleProcess:
    """`python -m <module>` with pipes; its standard error is drained all the time and its end remembered.

    The child leaves when its standard input ends, so it never outlives us, however we end. It has a process group of
    its own: an interrupt from the keyboard is ours to handle first.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._drain = asyncio.create_task(self._drain_stderr(), name=f"stderr-{process.pid}")

    @classmethod
    async def start(cls, module: str) -> ModuleProcess:
        # -P: a directory of the user's that happens to be called `sim` must not stand in for ours.
        with on_every_core():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT_BYTES,
                process_group=0,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_tail(self) -> str:
        """The last lines of its standard error."""
        return "\n".join(self._tail)

    async def tell(self, message: dict[str, Any]) -> None:
        """Write one line. A process that has gone is not told; whoever reads it finds out."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass

    async def read(self) -> dict[str, Any] | None:
        """The next line it writes; None at the end of its standard output, or of a line cut short."""
        stdout = self._process.stdout
        assert stdout is not None
        line = await stdout.readline()
        if not line.endswith(b"\n"):
            return None
        told: dict[str, Any] = json.loads(line)
        return told

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def exited(self) -> int:
        """Its exit status, once it has ended and its standard error was read."""
        status = await self._process.wait()
        await asyncio.wait({self._drain})
        return status

    async def stop(self) -> None:
        """End it, by the end of its input, then by SIGTERM, then by SIGKILL; it is gone when this returns.

        Nobody may be in `read` any more.
        """
        stdin = self._process.stdin
        stdout = self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                async with asyncio.timeout(TERMINATE_S):
                    # It may be blocked on a full pipe, and its transports close only when everything was read.
                    while await stdout.read(1 << 16):
                        pass
                    await self.exited()
                    break
            except TimeoutError:
                if self._process.returncode is None:
                    end()
        await self.exited()

    async def _drain_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while line := await stderr.readline():
            self._tail.append(line.decode(errors="replace").rstrip(os.linesep))

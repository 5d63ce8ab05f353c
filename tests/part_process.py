"""A part of ecdsim as a process of its own, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

#: A part that was told to stop is gone within two seconds; the rest is for a machine under load.
STOP_S = 5.0
ROOT = Path(__file__).parents[1]


class PartProcess:
    """`ecdsim <part> …`, running. `ready` is its ready line, `log` what it said on stderr so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[str] = []
        self._logged = asyncio.Condition()
        self._stdout: list[str] = []

    async def read_log(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            async with self._logged:
                self.log.append(line.decode().rstrip("\n"))
                self._logged.notify_all()

    async def ready(self) -> dict[str, Any]:
        """The first line on stdout; an AssertionError with the log when it ends before."""
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        assert line, "it ended:\n" + "\n".join(self.log)
        self._stdout.append(line)
        decoded: dict[str, Any] = json.loads(line)
        return decoded

    async def said(self, *words: str) -> str:
        """The first line on stderr, past or to come, that has all of these words."""
        seen = 0
        async with self._logged:
            while True:
                for line in self.log[seen:]:
                    if all(word in line for word in words):
                        return line
                seen = len(self.log)
                await self._logged.wait()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; its exit status, and what else it had said on stdout."""
        if self._process.returncode is None:
            self.send(number)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        assert self._process.stdout is not None
        async with asyncio.timeout(STOP_S):
            rest = (await self._process.stdout.read()).decode()
            return await self._process.wait(), rest

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def part_process(*words: object, env: Mapping[str, str] | None = None) -> AsyncIterator[PartProcess]:
    """Start `ecdsim` with these words; killed when left, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sim",
        *map(str, words),
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    part = PartProcess(process)
    reading = asyncio.create_task(part.read_log(), name="part-log")
    try:
        yield part
    finally:
        part.kill()
        await process.wait()
        await reading
        transport = process._transport  # type: ignore[attr-defined]  # asyncio closes pipes late, and warns of it
        transport.close()

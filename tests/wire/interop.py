"""Other people's tools, as the tests of interoperability use them: skopeo, and the distribution project's registry.

They see nothing of the machine's own configuration, and leave nothing behind outside of the test's folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.needs import needed_program

#: The user whom `GUARDED` lets in.
USER, PASSWORD = "alice", "s3cret"
#: alice:s3cret as htpasswd writes it, by bcrypt.
_HTPASSWD = "alice:$2b$05$A4z1VdXiSMkIoORd7ljmG.h69JgLwfxMhbQ2muaELl8NtzKi5SDPO\n"

_LISTENING = re.compile(r"listening on (?P<address>127\.0\.0\.1:[0-9]+)")
#: A tool that is not done by then hangs.
_LIMIT_S = 60.0


class Skopeo:
    """Debian's skopeo, in a home of its own."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home
        for folder in ("", "tmp", "run", "registries.d", ".config/containers"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / ".config/containers/registries.conf").touch()

    async def __call__(self, *words: str | Path) -> str:
        """What it says on stdout; an AssertionError with what it says on stderr when it fails."""
        status, said, complained = await self.run(*words)
        assert status == 0, complained
        return said

    async def run(self, *words: str | Path) -> tuple[int, str, str]:
        """Its exit status, stdout and stderr."""
        process = await asyncio.create_subprocess_exec(
            *(self._program, "--insecure-policy", "--registries.d", self._home / "registries.d"),
            *("--tmpdir", self._home / "tmp", *words),
            cwd=self._home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._home),
                "XDG_RUNTIME_DIR": str(self._home / "run"),
                # Root's cache of where blobs are would be the machine's, and would couple tests.
                "_CONTAINERS_ROOTLESS_UID": "1000",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_LIMIT_S):
                said, complained = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode(), complained.decode()

    async def copy(self, source: str, destination: str, *words: str) -> None:
        """Copy between transports; `docker://` ones speak plain HTTP."""
        for transport, option in ((source, "--src-tls-verify=false"), (destination, "--dest-tls-verify=false")):
            if transport.startswith("docker://"):
                words += (option,)
        await self("copy", "--quiet", *words, source, destination)

    async def inspected(self, image: str, *words: str) -> dict[str, Any]:
        """What `inspect` finds out about an image."""
        decoded: dict[str, Any] = json.loads(await self("inspect", "--tls-verify=false", *words, image))
        return decoded


def skopeo(home: Path) -> Skopeo:
    """The program where there is one; otherwise the test is skipped, or fails in CI."""
    return Skopeo(needed_program("skopeo", "COPYING BETWEEN REGISTRIES BY SKOPEO IS NOT TESTED"), home)


@dataclass
class DockerRegistry:
    """The distribution project's registry, running: `address` is `host:port`, `log` what it said so far."""

    address: str = ""
    log: list[str] = field(default_factory=list)


@asynccontextmanager
async def docker_registry(folder: Path, *, guarded: bool = False) -> AsyncIterator[DockerRegistry]:
    """Debian's docker-registry on a free loopback port; with `guarded` it lets in USER alone, by HTTP basic.

    Gone when left. Where the program is not installed the test is skipped, or fails in CI.
    """
    program = needed_program("docker-registry", "THE DISTRIBUTION PROJECT'S REGISTRY IS NOT TESTED AGAINST")
    process = await asyncio.create_subprocess_exec(
        *(program, "serve", _configured(folder, guarded=guarded)),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    registry = DockerRegistry()
    listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_read(process, registry, listening), name="docker-registry-log")
    try:
        async with asyncio.timeout(_LIMIT_S):
            await asyncio.wait([listening, reading], return_when=asyncio.FIRST_COMPLETED)
        assert registry.address, "it ended:\n" + "\n".join(registry.log)
        yield registry
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
        transport = process._transport  # type: ignore[attr-defined]  # asyncio closes pipes late, and warns of it
        transport.close()


def _configured(folder: Path, *, guarded: bool) -> Path:
    """The registry's configuration file, written."""
    folder.mkdir(parents=True)
    configuration: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "not one"},
    }
    if guarded:
        users = folder / "htpasswd"
        users.write_text(_HTPASSWD)
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(users)}}
    path = folder / "config.yml"
    # JSON is YAML.
    path.write_text(json.dumps(configuration))
    return path


async def _read(process: asyncio.subprocess.Process, registry: DockerRegistry, listening: asyncio.Future[None]) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        registry.log.append(line.decode().rstrip("\n"))
        found = _LISTENING.search(registry.log[-1])
        if found is not None and not listening.done():
            registry.address = found["address"]
            listening.set_result(None)

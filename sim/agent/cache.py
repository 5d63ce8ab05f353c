"""The agent's store of Wasm modules: what is known, where its file lies, when it must be fetched again.

Imitates pilot-agent's LocalFileCache (pkg/wasm/cache.go): the same keys, paths and pull decisions. Decisions are
synchronous; only fetching and writing wait, and meanwhile another request for the same module starts its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from sim.clock import Clock, SystemClock
from sim.errors import InvalidInput, SimError
from sim.oci import parse_reference

PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]

OCI_SCHEME = "oci://"
_MAGIC = b"\0asm"
#: From this size on a file is written by a thread: a short write is cheaper than the hop.
_THREAD_FROM_BYTES = 256 * 1024


class ModuleError(SimError):
    """A module that can't be had; `result` is the label that pilot-agent's metrics give it."""

    def __init__(self, message: str, result: str) -> None:
        super().__init__(message)
        self.result = result


class Prepared(Protocol):
    """A module whose checksum is known, and that can be fetched."""

    @property
    def checksum(self) -> str:
        """Hexadecimal SHA-256: of the manifest for OCI, of the served bytes for HTTP."""
        ...

    async def fetch(self, downloaded: Callable[[int], None]) -> bytes:
        """The module. `downloaded` is called with the size in bytes once it is here, before it is unpacked."""
        ...


class Fetcher(Protocol):
    """Where modules come from; raises SimError."""

    async def prepare(self, url: str, pull_secret: bytes | None) -> Prepared: ...


@dataclass(frozen=True, slots=True)
class ModuleRequest:
    """What ECDS says of a module. `checksum` is the spec's sha256, empty when it names none."""

    url: str
    checksum: str = ""
    resource_name: str = ""
    resource_version: str = ""
    timeout_s: float = 30.0
    pull_secret: bytes | None = None
    pull_policy: PullPolicy = "UNSPECIFIED_POLICY"


@dataclass(slots=True)
class _Module:
    path: Path
    last_used_ns: int
    urls: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Tag:
    checksum: str = ""
    versions: dict[str, str] = field(default_factory=dict)


class Progress(Protocol):
    """Told of each stage of a fetch, synchronously."""

    def fetching(self) -> None: ...
    def fetched(self, size_bytes: int) -> None: ...
    def unpacked(self, size_bytes: int) -> None: ...


def module_name(url: str) -> str:
    """The name under which a module's versions share a folder: the URL without tag or digest, scheme included."""
    if url.startswith(OCI_SCHEME):
        try:
            return OCI_SCHEME + parse_reference(url.removeprefix(OCI_SCHEME)).name
        except InvalidInput:
            return url
    return url


def pulls_if_not_present(url: str, policy: PullPolicy) -> bool:
    """Whether a module that is already here will do."""
    if not url.startswith(OCI_SCHEME):
        return False
    if policy == "UNSPECIFIED_POLICY":
        return not urlsplit(url).path.endswith(":latest")
    return policy == "IfNotPresent"


def digest_in(url: str) -> str | None:
    """The SHA-256 that an OCI URL pins, None when it names a tag."""
    if not url.startswith(OCI_SCHEME) or "@" not in url:
        return None
    algorithm, _, value = url.rpartition("@")[2].partition(":")
    return value if algorithm == "sha256" else None


class ModuleCache:
    """Modules by name and checksum. `counters` has pilot-agent's metric names, labels joined by commas."""

    def __init__(self, directory: Path, fetcher: Fetcher, clock: Clock | None = None) -> None:
        self._directory = directory
        self._fetcher = fetcher
        self._clock = clock or SystemClock()
        self._modules: dict[tuple[str, str], _Module] = {}
        self._tags: dict[str, _Tag] = {}
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._modules)

    async def get(self, request: ModuleRequest, progress: Progress) -> tuple[Path, bool]:
        """The module's file, and whether it was here already.

        Raises ModuleError when it can't be fetched, does not match its checksum, or is no Wasm module.
        """
        if_not_present = pulls_if_not_present(request.url, request.pull_policy)
        found, checksum = self._lookup(request, request.checksum, ignore_version=if_not_present)
        if found is not None:
            self._remember(request, checksum)
            return found, True
        progress.fetching()
        try:
            async with asyncio.timeout(request.timeout_s or None):
                return await self._fetch(request, checksum, progress)
        except TimeoutError:
            raise self._failure(f"timed out after {request.timeout_s:g} s", "download_failure") from None

    async def _fetch(self, request: ModuleRequest, checksum: str, progress: Progress) -> tuple[Path, bool]:
        try:
            prepared = await self._fetcher.prepare(request.url, request.pull_secret)
        except SimError as error:
            raise self._failure(error.message, "download_failure") from error
        if checksum and prepared.checksum != checksum:
            raise self._failure(
                f"module downloaded from {request.url} has checksum {prepared.checksum}, "
                f"which does not match: {checksum}",
                "checksum_mismatch",
            )
        if not checksum:
            found, _ = self._lookup(request, prepared.checksum, ignore_version=True)
            if found is not None:
                self._remember(request, prepared.checksum)
                return found, True
        try:
            module = await prepared.fetch(progress.fetched)
        except SimError as error:
            raise self._failure(error.message, "download_failure") from error
        if len(module) < 8 or not module.startswith(_MAGIC):
            raise self._failure(f"fetched Wasm binary from {request.url} is invalid", "fetch_failure")
        self.counters["wasm_remote_fetch_count{result=success}"] += 1
        path = await self._store(request, prepared.checksum, module)
        progress.unpacked(len(module))
        return path, False

    def _failure(self, message: str, result: str) -> ModuleError:
        self.counters[f"wasm_remote_fetch_count{{result={result}}}"] += 1
        return ModuleError(message, result)

    def _lookup(self, request: ModuleRequest, checksum: str, *, ignore_version: bool) -> tuple[Path | None, str]:
        if not checksum and request.url.startswith(OCI_SCHEME):
            pinned = digest_in(request.url)
            tag = self._tags.get(request.url)
            if pinned is not None:
                checksum = pinned
            elif tag is not None:
                if ignore_version or tag.versions.get(request.resource_name) == request.resource_version:
                    checksum = tag.checksum
                # Noted before anything was pulled. If the pull then fails, the same version looks like one that
                # was pulled, and is not tried again: a bug of the real agent, kept.
                tag.versions[request.resource_name] = request.resource_version
        module = self._modules.get((module_name(request.url), checksum))
        if module is not None:
            module.last_used_ns = self._clock.monotonic_ns()
        self.counters[f"wasm_cache_lookup_count{{hit={'true' if module else 'false'}}}"] += 1
        return (module.path if module else None), checksum

    def _remember(self, request: ModuleRequest, checksum: str) -> bool:
        if not request.url.startswith(OCI_SCHEME) or "@" in request.url:
            return False
        tag = self._tags.setdefault(request.url, _Tag())
        tag.checksum = checksum
        tag.versions[request.resource_name] = request.resource_version
        return True

    async def _store(self, request: ModuleRequest, checksum: str, module: bytes) -> Path:
        name = module_name(request.url)
        folder = self._directory / hashlib.sha256(name.encode()).hexdigest()
        path = folder / f"{checksum}.wasm"
        by_tag = self._remember(request, checksum)
        held = self._modules.get((name, checksum))
        if held is None:
            if len(module) >= _THREAD_FROM_BYTES:
                await asyncio.to_thread(_write, path, module)
            else:
                _write(path, module)
            held = self._modules.setdefault((name, checksum), _Module(path, 0))
        held.last_used_ns = self._clock.monotonic_ns()
        if by_tag:
            held.urls.add(request.url)
        return held.path

    def purge(self, expiry_s: float) -> list[Path]:
        """Forget and delete every module that was not asked for during `expiry_s`; the files that went."""
        now_ns = self._clock.monotonic_ns()
        gone = []
        for key, module in list(self._modules.items()):
            if now_ns - module.last_used_ns <= expiry_s * 1e9:
                continue
            with contextlib.suppress(FileNotFoundError):
                module.path.unlink()
            for url in module.urls:
                self._tags.pop(url, None)
            del self._modules[key]
            gone.append(module.path)
        return gone


def _write(path: Path, module: bytes) -> None:
    """Appear under the final name only when whole: Envoy may read the moment it is told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(module)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

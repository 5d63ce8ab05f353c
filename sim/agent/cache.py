"""The agent's store of Wasm modules: what is known, where its file lies, when it must be fetched again.

Imitates pilot-agent's LocalFileCache (pkg/wasm/cache.go, the same in 1.19 and 1.27): its keys, paths and pull
decisions. Decisions are synchronous; only fetching and writing wait, and meanwhile another request for the same
module starts its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from sim.agent.metrics import AgentMetrics, FetchResult
from sim.clock import Clock, SystemClock
from sim.errors import InvalidInput, SimError
from sim.oci import parse_reference

PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]

OCI_SCHEME = "oci://"
_MAGIC = b"\0asm"
#: From this size on a file is written by a thread: a short write is cheaper than the hop.
_THREAD_FROM_BYTES = 256 * 1024


class ModuleError(SimError):
    """A module that can't be had; `result` is what pilot-agent's metric of fetches calls it, None if it does not."""

    def __init__(self, message: str, result: FetchResult | None = None) -> None:
        super().__init__(message)
        self.result = result


class Prepared(Protocol):
    """A module whose checksum is known, and that can be fetched."""

    @property
    def checksum(self) -> str:
        """Hexadecimal SHA-256: of the manifest for OCI, of the module for HTTP."""
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
    pull_secret: bytes | None = field(default=None, repr=False)
    pull_policy: PullPolicy = "UNSPECIFIED_POLICY"


@dataclass(slots=True)
class _Module:
    path: Path
    last_used_ns: int
    urls: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Latest:
    """What a URL gave last, and for which version of each resource it was asked."""

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


def ignores_version(url: str, policy: PullPolicy) -> bool:
    """Whether what the URL gave last will do, though the resource has changed since."""
    if policy == "UNSPECIFIED_POLICY":
        return not (url.startswith(OCI_SCHEME) and urlsplit(url).path.endswith(":latest"))
    return policy == "IfNotPresent"


def digest_in(url: str) -> str | None:
    """The SHA-256 that an OCI URL pins, None when it names a tag."""
    if not url.startswith(OCI_SCHEME) or "@" not in url:
        return None
    algorithm, _, value = url.rpartition("@")[2].partition(":")
    return value if algorithm == "sha256" else None


class ModuleCache:
    """Modules by name and checksum.

    `notes_before_pull` is a bug of the real agent: where a URL is known, a resource's new version is noted before the
    pull. If that fails, the same version looks like one that was pulled, and gets the old module without a pull.
    `rewrite` is applied to each module as it is written; checksums and sizes are those of the module as it came.
    `before` is awaited with 7 before a pull, outside its time-out, and with 8 before what was pulled is written.
    """

    def __init__(
        self,
        directory: Path,
        fetcher: Fetcher,
        clock: Clock | None = None,
        metrics: AgentMetrics | None = None,
        *,
        notes_before_pull: bool = True,
        rewrite: Callable[[bytes], bytes] | None = None,
        before: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._directory = directory
        self._fetcher = fetcher
        self._clock = clock or SystemClock()
        self._notes_before_pull = notes_before_pull
        self._rewrite = rewrite
        self._before = before
        self._rewritten: set[Path] = set()
        self._modules: dict[tuple[str, str], _Module] = {}
        self._latest: dict[str, _Latest] = {}
        self.metrics = metrics or AgentMetrics()

    def __len__(self) -> int:
        return len(self._modules)

    def is_rewritten(self, path: Path) -> bool:
        """Whether the file is not the module as it came, because `rewrite` changed it."""
        return path in self._rewritten

    async def get(self, request: ModuleRequest, progress: Progress) -> tuple[Path, bool]:
        """The module's file, and whether it was here already.

        Raises ModuleError when it can't be fetched or stored, does not match its checksum, or is no Wasm module.
        """
        ignore_version = ignores_version(request.url, request.pull_policy)
        found, checksum = self._lookup(request, request.checksum, ignore_version=ignore_version)
        if found is not None:
            return found, True
        if self._before is not None:
            await self._before(7)
        progress.fetching()
        try:
            pulled = await self._pull(request, checksum, progress)
        except ModuleError as error:
            if error.result is not None:
                self.metrics.fetches[error.result] += 1
            raise
        if isinstance(pulled, Path):
            return pulled, True
        fresh, module = pulled
        self.metrics.fetches["success"] += 1
        if self._before is not None:
            await self._before(8)
        path = await self._store(request, fresh, module)
        progress.unpacked(len(module))
        return path, False

    async def _pull(self, request: ModuleRequest, checksum: str, progress: Progress) -> Path | tuple[str, bytes]:
        """The module's checksum and bytes, or the file where it turns out to be here."""
        stage: FetchResult = "manifest_failure" if request.url.startswith(OCI_SCHEME) else "download_failure"
        try:
            async with asyncio.timeout(request.timeout_s):
                prepared = await self._fetcher.prepare(request.url, request.pull_secret)
                fresh = prepared.checksum
                if checksum and fresh != checksum:
                    raise ModuleError(
                        f"the module from {request.url} has the checksum {fresh}, not {checksum}", "checksum_mismatched"
                    )
                if not checksum:
                    found, _ = self._lookup(request, fresh, ignore_version=True)
                    if found is not None:
                        return found
                stage = "download_failure"
                module = await prepared.fetch(progress.fetched)
        except TimeoutError:
            raise ModuleError(f"{request.url} was not there within {request.timeout_s:g} s", stage) from None
        except ModuleError:
            raise
        except SimError as error:
            raise ModuleError(error.message, stage) from error
        if len(module) < 8 or not module.startswith(_MAGIC):
            raise ModuleError(f"what came from {request.url} is not a Wasm module", "fetch_failure")
        return fresh, module

    def _lookup(self, request: ModuleRequest, checksum: str, *, ignore_version: bool) -> tuple[Path | None, str]:
        checksum = checksum or digest_in(request.url) or ""
        latest = self._latest.get(request.url)
        if not checksum and latest is not None:
            if ignore_version or latest.versions.get(request.resource_name, "") == request.resource_version:
                checksum = latest.checksum
            if self._notes_before_pull:
                latest.versions[request.resource_name] = request.resource_version
        module = self._modules.get((module_name(request.url), checksum))
        self.metrics.lookups[module is not None] += 1
        if module is None:
            return None, checksum
        module.last_used_ns = self._clock.monotonic_ns()
        self._note(request, checksum)
        return module.path, checksum

    def _note(self, request: ModuleRequest, checksum: str) -> bool:
        """Remember what the URL gave; False for a URL with a digest, which can give but one thing."""
        if request.url.startswith(OCI_SCHEME) and "@" in request.url:
            return False
        latest = self._latest.setdefault(request.url, _Latest())
        latest.checksum = checksum
        latest.versions[request.resource_name] = request.resource_version
        return True

    async def _store(self, request: ModuleRequest, checksum: str, module: bytes) -> Path:
        name = module_name(request.url)
        path = self._directory / hashlib.sha256(name.encode()).hexdigest() / f"{checksum}.wasm"
        noted = self._note(request, checksum)
        if (name, checksum) not in self._modules:
            try:
                if len(module) >= _THREAD_FROM_BYTES:
                    rewritten = await asyncio.to_thread(self._write, path, module)
                else:
                    rewritten = self._write(path, module)
            except OSError as error:
                raise ModuleError(f"can't write {path}: {error.strerror or error}") from error
            if rewritten:
                self._rewritten.add(path)
        held = self._modules.setdefault((name, checksum), _Module(path, 0))
        held.last_used_ns = self._clock.monotonic_ns()
        if noted:
            held.urls.add(request.url)
        self.metrics.cache_entries = len(self._modules)
        return held.path

    def _write(self, path: Path, module: bytes) -> bool:
        stored = module if self._rewrite is None else self._rewrite(module)
        _write(path, stored)
        return stored is not module

    def purge(self, expiry_s: float, keep: Collection[Path] = ()) -> list[Path]:
        """Forget and delete every module that was not asked for during `expiry_s`; the files that went.

        A file that can't be deleted, for instance because someone else did, stays known, as in the real agent.
        """
        now_ns = self._clock.monotonic_ns()
        gone = []
        for key, module in list(self._modules.items()):
            if now_ns - module.last_used_ns <= expiry_s * 1e9 or module.path in keep:
                continue
            try:
                module.path.unlink()
            except OSError:
                continue
            for url in module.urls:
                self._latest.pop(url, None)
            del self._modules[key]
            self._rewritten.discard(module.path)
            gone.append(module.path)
        self.metrics.cache_entries = len(self._modules)
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

"""Where the agent's modules come from: a registry for `oci://`, a file server for `http://` and `https://`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sim.agent.cache import OCI_SCHEME, ModuleError
from sim.oci import FetchError, HttpFetcher, NotWasmError, OciFetcher, growing_pauses_s
from sim.oci.http_fetch import TRIES, HttpModule
from sim.oci.pull import PAUSES_S
from sim.oci.pull import Prepared as PreparedImage


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How modules are fetched.

    `mirrors` maps a registry's name to the address that answers for it; `insecure_registries` are asked without
    verifying a certificate; `allowed_registries` may be reached without a mirror (None: all of them);
    `ssl_context` trusts a private CA. A file server's answer may take `timeout_s`, and it is asked `max_retries` times
    at most, the first included (pilot-agent's WASM_HTTP_REQUEST_TIMEOUT and WASM_HTTP_REQUEST_MAX_RETRIES). The
    pauses between tries are `oci_pauses_s` and `http_pauses_s`.
    """

    mirrors: Mapping[str, str] = field(default_factory=dict)
    insecure_registries: frozenset[str] = frozenset()
    allowed_registries: frozenset[str] | None = None
    ssl_context: ssl.SSLContext | None = None
    timeout_s: float = 15.0
    max_retries: int = TRIES
    oci_pauses_s: Sequence[float] = PAUSES_S
    http_pauses_s: Callable[[], Iterator[float]] = growing_pauses_s


class _Image:
    """An image whose manifest is known."""

    def __init__(self, prepared: PreparedImage) -> None:
        self._prepared = prepared
        self.checksum = prepared.digest

    async def fetch(self, downloaded: Callable[[int], None]) -> bytes:
        try:
            return await self._prepared.fetch(downloaded)
        except NotWasmError as error:
            raise ModuleError(error.message, "fetch_failure") from error


class _File:
    """A file that was downloaded already: its checksum is that of the module in it, not of an archive around it."""

    def __init__(self, found: HttpModule) -> None:
        self._found = found
        self.checksum = found.module_sha256

    async def fetch(self, downloaded: Callable[[int], None]) -> bytes:
        downloaded(len(self._found.module))
        return self._found.module


class ModuleFetcher:
    """Chooses by the URL's scheme."""

    def __init__(self, images: OciFetcher, files: HttpFetcher) -> None:
        self._images = images
        self._files = files

    async def prepare(self, url: str, pull_secret: bytes | None) -> _Image | _File:
        """Raises SimError for whatever can't be had, a scheme that the agent does not know included."""
        if url.startswith(OCI_SCHEME):
            return _Image(await self._images.prepare(url, pull_secret))
        if url.startswith(("http://", "https://")):
            try:
                return _File(await self._files.fetch(url))
            except NotWasmError as error:
                raise ModuleError(error.message, "fetch_failure") from error
            except FetchError as error:
                raise ModuleError(error.message, "download_failure") from error
        raise ModuleError(f"{url!r} can't be fetched: its scheme is none of oci, http and https")


@asynccontextmanager
async def module_fetcher(options: FetchOptions) -> AsyncIterator[ModuleFetcher]:
    """A fetcher with its connections, closed when left. Time-outs are the caller's."""
    images = OciFetcher(
        mirrors=options.mirrors,
        insecure_registries=options.insecure_registries,
        allowed_registries=options.allowed_registries,
        ssl_context=options.ssl_context,
        timeout_s=None,
        pauses_s=options.oci_pauses_s,
    )
    files = HttpFetcher(
        insecure_hosts=options.insecure_registries,
        ssl_context=options.ssl_context,
        timeout_s=None,
        request_timeout_s=options.timeout_s,
        tries=options.max_retries,
        pauses_s=options.http_pauses_s,
    )
    async with images, files:
        yield ModuleFetcher(images, files)

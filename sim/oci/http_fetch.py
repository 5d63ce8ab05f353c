"""Fetching a module from an HTTP server as pilot-agent does (istio `pkg/wasm/httpfetcher.go`).

A 5xx status that may pass, and any trouble with the connection, is tried five times with pauses that grow and
scatter; every other status is final. The file may be the module itself, or gzip, tar or tar.gz of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from sim.oci.archive import is_wasm, unboxed
from sim.oci.endpoints import ALL
from sim.oci.fetch_error import MAX_BYTES, FetchError, NotWasmError
from sim.oci.http_client import (
    ConnectionLostError,
    HttpClient,
    UnreachableError,
    drain,
    is_http_url,
    read_body,
    shown,
)

TRIES = 5

_FINAL_5XX = frozenset({501, 505, 511})
_INLINE_BYTES = 64 * 1024


def growing_pauses_s(
    first_s: float = 0.5, factor: float = 1.5, scatter: float = 0.5, seed: int | None = None
) -> Iterator[float]:
    """Pauses in seconds: each grows by `factor` and is scattered by ± `scatter` of itself."""
    source = random.Random(seed)
    pause_s = first_s
    while True:
        yield pause_s * (1 + scatter * (2 * source.random() - 1))
        pause_s *= factor


@dataclass(frozen=True, slots=True)
class HttpModule:
    """A module from an HTTP server. Both digests are sha256 in hexadecimal: of the bytes as they were served, and
    of the module that was in them."""

    module: bytes = field(repr=False)
    served_sha256: str
    module_sha256: str


class HttpFetcher:
    """Downloads modules by HTTP and HTTPS. An async context manager, which owns the connections.

    `insecure_hosts` (`host[:port]`, or `*` for all) are asked without verifying their certificate. `timeout_s` is for
    a whole fetch, `request_timeout_s` for each of its `tries` requests; None waits for ever. `pauses_s` makes the
    pauses between the tries of one fetch.
    """

    def __init__(
        self,
        *,
        insecure_hosts: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        timeout_s: float | None = 30.0,
        request_timeout_s: float | None = None,
        tries: int = TRIES,
        pauses_s: Callable[[], Iterator[float]] = growing_pauses_s,
        limit_bytes: int = MAX_BYTES,
    ) -> None:
        self._insecure_hosts = insecure_hosts
        self._http = HttpClient(ssl_context)
        self._timeout_s = timeout_s
        self._request_timeout_s = request_timeout_s
        self._tries = tries
        self._pauses_s = pauses_s
        self._limit_bytes = limit_bytes

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, tb)

    async def fetch(self, url: str, downloaded: Callable[[int], None] | None = None) -> HttpModule:
        """The module that lies at an http:// or https:// URL.

        `downloaded` is called with the file's size in bytes once it is there, before it is opened. Raises FetchError.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                served = await self._download(url)
                if downloaded is not None:
                    downloaded(len(served))
                if len(served) <= _INLINE_BYTES and is_wasm(served):
                    return self._opened(url, served)
                return await asyncio.to_thread(self._opened, url, served)
        except TimeoutError as error:
            raise FetchError(
                "timeout",
                f"{shown(url)} was not there within {self._timeout_s} s",
                hint="look for a slow server or network, or allow more time",
            ) from error

    def _opened(self, url: str, served: bytes) -> HttpModule:
        module = unboxed(served, self._limit_bytes)
        if not is_wasm(module):
            raise NotWasmError(f"{shown(url)} is not a Wasm module, nor gzip, tar or tar.gz of one")
        served_sha256 = hashlib.sha256(served).hexdigest()
        same = module is served
        return HttpModule(module, served_sha256, served_sha256 if same else hashlib.sha256(module).hexdigest())

    async def _download(self, url: str) -> bytes:
        if not is_http_url(url):
            raise FetchError("download", f"{url!r} is not an HTTP address", hint="write it as http://host/plugin.wasm")
        host = urlsplit(url).netloc.rpartition("@")[2]
        verify = host not in self._insecure_hosts and ALL not in self._insecure_hosts
        pauses_s = self._pauses_s()
        status, trouble = None, "was never sent: no try is allowed"
        for tries_left in range(self._tries - 1, -1, -1):
            status = None
            try:
                async with (
                    asyncio.timeout(self._request_timeout_s),
                    self._http.get(url, verify=verify) as response,
                ):
                    status = response.status
                    if status == 200:
                        return await read_body(response, self._limit_bytes)
                    await drain(response)
                    trouble = f"was answered {status}"
                    if status < 500 or status in _FINAL_5XX:
                        break
            except (ConnectionLostError, UnreachableError) as error:
                trouble = f"failed: {error}"
            except TimeoutError:
                trouble = f"took more than {self._request_timeout_s:g} s"
                if status is not None:
                    # The answer had begun: a body that stops coming is not asked for again.
                    break
            if tries_left:
                await asyncio.sleep(next(pauses_s))
        raise FetchError(
            "download", f"GET {shown(url)} {trouble}", status=status, hint="check the URL and the server's log"
        )

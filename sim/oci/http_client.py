"""HTTP GET with the manners of the agent's own client: what it resends unasked, follows and never tells others."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from yarl import URL

from sim.oci.fetch_error import FetchError, TooLargeError

MAX_REDIRECTS = 10

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What OpenSSL calls an answer that is not TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})


class ConnectionLostError(aiohttp.ClientError):
    """The connection was reset or closed before an answer came; asking again may help."""


class UnreachableError(Exception):
    """There is no connection to the server, or none that is trusted; asking again does not help.

    `plain_http` tells that a server asked by TLS answered without.
    """

    def __init__(self, message: str, *, plain_http: bool = False) -> None:
        super().__init__(message)
        self.plain_http = plain_http


@dataclass(slots=True)
class _Attempt:
    """What the client notes about one request on its way: whether its connection had been used before."""

    reused: bool = False


class HttpClient:
    """A session whose connections are kept. An async context manager.

    Go's transport resends a GET at once when a *kept* connection breaks before the answer; a fresh one that breaks
    is an error. aiohttp resends in both cases, so it is stopped from doing so and this class decides.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        noted = aiohttp.TraceConfig()
        noted.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=self._ssl_context if self._ssl_context is not None else True,
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "ecdsim"},
            auto_decompress=False,
            read_bufsize=1 << 20,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            middlewares=(_never_resend,),
            trace_configs=[noted],
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: str | None = None,
        verify: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET, redirects followed; its body is still to be read.

        `authorization` goes to the host of `url` only, never along with a redirect to another one.
        Raises ConnectionLostError and UnreachableError.
        """
        target = URL(url, encoded=True)
        origin = target.origin()
        for _ in range(MAX_REDIRECTS + 1):
            sent = dict(headers or {})
            if authorization is not None and target.origin() == origin:
                sent["Authorization"] = authorization
            response = await self._send(target, sent, verify)
            try:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or not location:
                    yield response
                    return
                following = target.join(URL(location, encoded=True))
                if following.scheme not in ("http", "https") or not following.host:
                    raise UnreachableError(f"{target} redirects to {location}, which is no HTTP address")
                target = following
                await response.read()
            finally:
                response.release()
        raise UnreachableError(f"{url} redirects more than {MAX_REDIRECTS} times")

    async def _send(self, target: URL, headers: dict[str, str], verify: bool) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the HTTP client is used outside of its context")
        while True:
            attempt = _Attempt()
            try:
                return await self._session.get(
                    target,
                    headers=headers,
                    allow_redirects=False,
                    ssl=False if not verify else self._ssl_context or True,
                    trace_request_ctx=attempt,
                )
            except ConnectionLostError:
                if not attempt.reused:
                    raise
            except aiohttp.ClientConnectorSSLError as error:
                reason = getattr(error.os_error, "reason", None)
                raise UnreachableError(str(error), plain_http=reason in _NOT_TLS) from error
            except aiohttp.ClientError as error:
                raise UnreachableError(str(error) or type(error).__name__) from error


async def read_body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The whole body. Raises FetchError: `download` when it breaks off, `invalid` above `limit_bytes`.

    A body that breaks off is not asked for again: the agent retries until the answer begins, not after.
    """
    parts: list[bytes] = []
    read_bytes = 0
    if (response.content_length or 0) > limit_bytes:
        response.close()
        raise TooLargeError(limit_bytes)
    try:
        async for part in response.content.iter_any():
            read_bytes += len(part)
            if read_bytes > limit_bytes:
                response.close()
                raise TooLargeError(limit_bytes)
            parts.append(part)
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as error:
        raise FetchError(
            "download",
            f"the connection broke after {read_bytes} bytes of {response.url}",
            hint="look at the server's log",
        ) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _note_reuse(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.reused = True


async def _never_resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Turns a broken connection into an error that aiohttp does not answer by sending the request again."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLostError(str(error) or type(error).__name__) from error

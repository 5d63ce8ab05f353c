"""HTTP requests with the manners of the agent's own client: what it asks again, follows and never tells others."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from yarl import URL

from sim.oci.fetch_error import FetchError, TooLargeError
from sim.oci.gunzip import GunzipReader

#: The most requests that one GET becomes by redirects.
MAX_HOPS = 10

#: So much of an answer that nobody wants is read, for the sake of its connection.
_DRAINED_BYTES = 64 * 1024

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


@dataclass(frozen=True, slots=True)
class Retry:
    """What is asked again: these statuses and lost connections, with these pauses between the tries."""

    pauses_s: Sequence[float] = ()
    statuses: frozenset[int] = frozenset()


ONCE = Retry()


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
        retry: Retry = ONCE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET, redirects followed; its body is still to be read. Each hop is retried by itself.

        `authorization` goes to the scheme, host and port of `url` only, never along with a redirect to another one.
        Raises ConnectionLostError and UnreachableError.
        """
        target = URL(url, encoded=True)
        origin = target.origin()
        for _ in range(MAX_HOPS):
            sent = dict(headers or {})
            if authorization is not None and target.origin() == origin:
                sent["Authorization"] = authorization
            response = await self._tried("GET", target, sent, None, verify, retry)
            try:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or not location:
                    yield response
                    return
                target = _following(target, location)
                await drain(response)
            finally:
                response.release()
        raise UnreachableError(f"{url} redirects {MAX_HOPS} times and more")

    @asynccontextmanager
    async def post(
        self, url: str, form: Mapping[str, str], *, verify: bool = True, retry: Retry = ONCE
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a POST of a form, which a redirect leads nowhere else: there are secrets in it.

        Raises ConnectionLostError and UnreachableError.
        """
        response = await self._tried("POST", URL(url, encoded=True), {}, form, verify, retry)
        try:
            yield response
        finally:
            response.release()

    async def _tried(
        self,
        method: str,
        target: URL,
        headers: dict[str, str],
        form: Mapping[str, str] | None,
        verify: bool,
        retry: Retry,
    ) -> aiohttp.ClientResponse:
        for pause_s in retry.pauses_s:
            try:
                response = await self._send(method, target, headers, form, verify)
            except ConnectionLostError:
                pass
            else:
                if response.status not in retry.statuses:
                    return response
                await drain(response)
            await asyncio.sleep(pause_s)
        return await self._send(method, target, headers, form, verify)

    async def _send(
        self, method: str, target: URL, headers: dict[str, str], form: Mapping[str, str] | None, verify: bool
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the HTTP client is used outside of its context")
        while True:
            attempt = _Attempt()
            try:
                return await self._session.request(
                    method,
                    target,
                    headers=headers,
                    data=form,
                    allow_redirects=False,
                    ssl=False if not verify else self._ssl_context or True,
                    trace_request_ctx=attempt,
                )
            except ConnectionLostError:
                if not attempt.reused or method != "GET":
                    raise
            except aiohttp.ClientConnectorSSLError as error:
                reason = getattr(error.os_error, "reason", None)
                raise UnreachableError(str(error), plain_http=reason in _NOT_TLS) from error
            except aiohttp.ClientError as error:
                raise UnreachableError(str(error) or type(error).__name__) from error


async def read_body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The whole body. Raises FetchError: `download` when it breaks off, `invalid` above `limit_bytes`.

    A body that breaks off is not asked for again: the agent retries until the answer begins, not after. A server that
    compresses though nobody asked it to is understood, as Go's client understands it.
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
            # What had come but was not read yet went with the connection.
            f"the connection broke after {response.content.total_bytes} bytes of {shown(response.url)}",
            hint="look at the server's log",
        ) from error
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if response.headers.get("Content-Encoding", "").strip().lower() != "gzip":
        return body
    try:
        return GunzipReader(body, limit_bytes).read_all()
    except (zlib.error, EOFError) as error:
        raise FetchError(
            "download", f"{shown(response.url)} came with broken gzip: {error}", hint="look at the server's log"
        ) from error


async def drain(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a body that nobody needs. Its connection is kept where that was all, closed otherwise."""
    try:
        beginning = await response.content.read(_DRAINED_BYTES)
        while len(beginning) < _DRAINED_BYTES and (part := await response.content.read(_DRAINED_BYTES)):
            beginning += part
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
        response.close()
        return b""
    if response.content.at_eof():
        response.release()
    else:
        response.close()
    return beginning


def is_http_url(text: str) -> bool:
    """Whether this is an http:// or https:// URL with a host, and a port that is one."""
    try:
        url = URL(text)
        return url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return False


def shown(url: URL | str) -> str:
    """The URL without the name and password that may be in it, for messages."""
    return str(URL(url, encoded=True).with_user(None)) if isinstance(url, str) else str(url.with_user(None))


def _following(target: URL, location: str) -> URL:
    try:
        there = URL(location, encoded=True)
        # What names a scheme but no host would be taken for this host's.
        following = there if there.scheme else target.join(there)
        if is_http_url(str(following)):
            return following
    except ValueError:
        pass
    raise UnreachableError(f"{shown(target)} redirects to {location}, which is no HTTP address")


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

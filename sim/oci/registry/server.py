"""The registry's server: routes, authentication, faults and one trace event for each request."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from sim.clock import Clock, SystemClock
from sim.errors import EnvironmentProblem
from sim.oci.references import is_repository
from sim.oci.registry.auth import TOKEN_PATH, BasicAuth, TokenAuth
from sim.oci.registry.blobs import Blobs
from sim.oci.registry.discovery import Discovery
from sim.oci.registry.errors import ErrorCode, RegistryError, not_allowed
from sim.oci.registry.faults import ConnectionEndedError, Fault
from sim.oci.registry.manifests import Manifests
from sim.oci.registry.store import Store
from sim.oci.registry.uploads import Uploads
from sim.trace import Trace

_API = "/v2"

#: How long requests in flight may still take when the registry is left.
GRACE_S = 1.0


class Registry:
    """An OCI distribution registry (specification 1.1, all four areas) on a loopback port.

    An async context manager: entered, it listens on `address`; left, it is gone. The content stays in `data_dir`
    for the next one. With a trace each finished request emits `registry.request` with `method`, `path`, `status` (0:
    the connection was broken), `bytes_sent` and `duration_ms`. Without `automatic_mount` a blob is mounted only from
    the repository that the client names, as the distribution project's registry has it; a manifest whose blobs are not
    there is refused, as it has it too. Raises EnvironmentProblem when the port is taken.
    """

    def __init__(
        self,
        data_dir: Path,
        trace: Trace | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        auth: BasicAuth | TokenAuth | None = None,
        ssl_context: ssl.SSLContext | None = None,
        automatic_mount: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.faults: list[Fault] = []
        self.store = Store(data_dir)
        self._trace = trace
        self._host = host
        self._port = port
        self._auth = auth
        self._ssl_context = ssl_context
        self._blobs = Blobs(self.store)
        self._uploads = Uploads(self.store, clock or SystemClock(), automatic_mount=automatic_mount)
        self._manifests = Manifests(self.store)
        self._discovery = Discovery(self.store)
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The bound port."""
        return self._port

    @property
    def address(self) -> str:
        """`host:port`, as references and mirror tables write it."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'http' if self._ssl_context is None else 'https'}://{self.address}"

    def __repr__(self) -> str:
        return f"<Registry {self.url} {len(self.store.repositories)} repositories>"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.on_response_prepare.append(_name_api)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, self._host, self._port, ssl_context=self._ssl_context, reuse_address=True, backlog=512
            )
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise EnvironmentProblem(
                f"the registry can't listen on {self.address}: {error.strerror or error}",
                hint="choose another port, or 0 for any free one",
            ) from error
        self._runner = runner
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        started_ns = time.monotonic_ns()
        status = bytes_sent = 0
        try:
            response = await self._answer(request)
            # Sent here, not after the return, so that the event knows what left and when.
            await response.prepare(request)
            await response.write_eof()
            status = response.status
            bytes_sent = 0 if request.method == "HEAD" else response.content_length or 0
            return response
        except ConnectionEndedError:
            # The connection is gone: whatever is returned reaches nobody.
            return web.Response()
        finally:
            if self._trace is not None:
                self._trace.emit(
                    "registry.request",
                    method=request.method,
                    path=request.path,
                    status=status,
                    bytes_sent=bytes_sent,
                    duration_ms=(time.monotonic_ns() - started_ns) / 1e6,
                )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            for fault in self.faults:
                response = await fault(request)
                if response is not None:
                    return response
            return await self._route(request)
        except RegistryError as error:
            return error.response()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == TOKEN_PATH and isinstance(self._auth, TokenAuth):
            return await self._auth.grant(request)
        if path in (_API, f"{_API}/"):
            self._check(request, None)
            if request.method not in ("GET", "HEAD"):
                raise not_allowed("GET", "HEAD")
            return web.Response(body=b"{}", content_type="application/json")
        if path == f"{_API}/_catalog":
            self._check(request, None)
            return await self._discovery.catalog(request)
        parts = path.split("/")
        if path.startswith(f"{_API}/") and len(parts) >= 5:
            *head, kind, last = parts[2:]
            if kind == "uploads" and head[-1:] == ["blobs"]:
                name = self._repository(request, head[:-1])
                if last:
                    return await self._uploads.upload(request, name, last)
                return await self._start_upload(request, name)
            if kind == "blobs" and last == "uploads":
                return await self._start_upload(request, self._repository(request, head))
            match kind, last:
                case "blobs", _:
                    return await self._blobs.blob(request, self._repository(request, head), last)
                case "manifests", _:
                    return await self._manifests.manifest(request, self._repository(request, head), last)
                case "tags", "list":
                    return await self._discovery.tags(request, self._repository(request, head))
                case "referrers", _:
                    return await self._discovery.referrers(request, self._repository(request, head), last)
        raise RegistryError(ErrorCode.UNSUPPORTED, path, status=404)

    async def _start_upload(self, request: web.Request, name: str) -> web.StreamResponse:
        def may_pull(source: str) -> bool:
            return self._auth is None or self._auth.allows(request, source, "pull")

        return await self._uploads.start(request, name, may_pull)

    def _repository(self, request: web.Request, parts: list[str]) -> str:
        name = "/".join(parts)
        if not is_repository(name):
            raise RegistryError(ErrorCode.NAME_INVALID, name)
        self._check(request, name)
        return name

    def _check(self, request: web.Request, repository: str | None) -> None:
        if self._auth is None:
            return
        match request.method:
            case "GET" | "HEAD":
                action = "pull"
            case "DELETE":
                action = "delete"
            case _:
                action = "push"
        self._auth.check(request, repository, action, self.url)


async def _name_api(request: web.Request, response: web.StreamResponse) -> None:
    # Docker's older clients look for it on every answer.
    response.headers["Docker-Distribution-API-Version"] = "registry/2.0"

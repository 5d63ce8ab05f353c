"""The API as an application of aiohttp: which handler answers which path."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import structlog
from aiohttp import web

from sim.core import Store
from sim.errors import InvalidInput, SimError
from sim.web.kubernetes import discovery
from sim.web.kubernetes.gnostic import MEDIA_TYPES as OPENAPI_PROTOBUF
from sim.web.kubernetes.gnostic import openapi_v2_protobuf
from sim.web.kubernetes.guard import Guard
from sim.web.kubernetes.namespaces import Namespaces
from sim.web.kubernetes.openapi import openapi_v2, openapi_v3, openapi_v3_index
from sim.web.kubernetes.resource_handlers import ResourceHandlers
from sim.web.kubernetes.shelf import Change, Shelf
from sim.web.kubernetes.status import ApiError, bad_request, internal, method_not_allowed, not_acceptable
from sim.web.kubernetes.version import version_info

#: As the real server: three times what etcd takes, and a manifest is no larger.
_MAX_BODY_BYTES = 3 * 1024 * 1024

_log = structlog.get_logger("kubernetes")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubernetes_app(store: Store, change: Change, token: str, *, hosts: Collection[str] = ()) -> web.Application:
    """The Kubernetes API of `store`'s objects, for kubectl.

    `change` carries an object out (a Manifest) or its deletion (its Key), and returns when it is in the store. Every
    request needs `token`, comes in by a loopback address or one of `hosts`, and from no page of another site. The
    application can be mounted below any path; it follows the store until its cleanup.
    """
    objects = Shelf(store, change)
    namespaces = Namespaces(store)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_answering(Guard(token, hosts))])
    _add_routes(app.router, ResourceHandlers(objects, namespaces))

    async def end_watches(_: web.Application) -> None:
        objects.end_watches()
        namespaces.shelf.end_watches()

    async def close(_: web.Application) -> None:
        objects.close()
        namespaces.close()

    app.on_shutdown.append(end_watches)
    app.on_cleanup.append(close)
    return app


def _add_routes(router: web.UrlDispatcher, handlers: ResourceHandlers) -> None:
    pages: Mapping[str, Callable[[web.Request], Any]] = {
        "/version": lambda request: version_info(),
        "/api": _api,
        "/api/": _api,
        "/apis": _apis,
        "/apis/": _apis,
        "/api/v1": lambda request: discovery.resource_list("v1"),
        "/apis/{group}": lambda request: discovery.group(request.match_info["group"]),
        "/apis/{group}/{version}": _resources,
        "/openapi/v3": lambda request: openapi_v3_index(request.path.removesuffix("/openapi/v3")),
        "/openapi/v3/{path:.+}": lambda request: openapi_v3(request.match_info["path"]),
    }
    for path, page in pages.items():
        router.add_get(path, _page(page))
    router.add_get("/openapi/v2", _openapi_v2)
    for path in ("/healthz", "/livez", "/readyz"):
        router.add_get(path, _ok)
    for root in ("/api/{version}", "/apis/{group}/{version}"):
        for path in ("/{plural}", "/{plural}/{name}", "/namespaces/{namespace}/{plural}"):
            router.add_route("*", root + path, handlers.answer)
        router.add_route("*", root + "/namespaces/{namespace}/{plural}/{name}", handlers.answer)
    router.add_post("/apis/authorization.k8s.io/{version}/selfsubjectaccessreviews", handlers.review_access)
    router.add_route("*", "/{path:.*}", _nothing)


def _answering(guard: Guard) -> Any:
    @web.middleware
    async def answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            guard.check(request.headers)
            return await handler(request)
        except ApiError as error:
            said = error
        except web.HTTPRequestEntityTooLarge:
            said = ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {_MAX_BODY_BYTES}", {})
        except web.HTTPNotFound:
            return web.Response(status=404, text="404 page not found\n")
        except web.HTTPMethodNotAllowed:
            said = method_not_allowed()
        except InvalidInput as error:
            said = bad_request(str(error))
        except SimError as error:
            _log.warning("change_failed", error=str(error))
            said = internal(str(error))
        return _json(said.as_json(), said.code)

    return answer


def _page(page: Callable[[web.Request], Any]) -> _Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        content = page(request)
        if isinstance(content, web.Response):
            return content
        if content is None:
            return await _nothing(request)
        return _json(content)

    return answer


def _api(request: web.Request) -> Any:
    return _aggregated(request, core=True) or discovery.api_versions(request.host)


def _apis(request: web.Request) -> Any:
    return _aggregated(request, core=False) or discovery.group_list()


def _resources(request: web.Request) -> Any:
    return discovery.resource_list(f"{request.match_info['group']}/{request.match_info['version']}")


def _aggregated(request: web.Request, *, core: bool) -> web.Response | None:
    """The answer, where the client asks for it before anything else."""
    wanted = request.headers.get("Accept", "").split(",")[0].replace(" ", "")
    for version in ("v2", "v2beta1"):
        media_type = f"application/json;g=apidiscovery.k8s.io;v={version};as={discovery.AGGREGATED}"
        if wanted == media_type:
            text = json.dumps(discovery.aggregated(version, core=core))
            return web.Response(body=text.encode(), headers={"Content-Type": media_type})
    return None


async def _openapi_v2(request: web.Request) -> web.StreamResponse:
    for wanted in request.headers.get("Accept", "*/*").split(","):
        media_type = wanted.partition(";")[0].strip()
        if media_type in OPENAPI_PROTOBUF:
            return web.Response(body=openapi_v2_protobuf(), headers={"Content-Type": OPENAPI_PROTOBUF[-1]})
        if media_type in ("application/json", "application/*", "*/*"):
            return _json(openapi_v2())
    raise not_acceptable(("application/json", OPENAPI_PROTOBUF[0]))


async def _ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


async def _nothing(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


def _json(content: Any, status: int = 200) -> web.Response:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    return web.Response(body=text.encode(), status=status, headers=headers)

"""Debug pages over HTTP, as istiod and Higress' controller have them below /debug/ (pilot/pkg/xds/debug.go).

Nothing is computed before somebody asks. A part gives the pages; where they are served and how data is written is here.
"""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message

from sim.errors import EnvironmentProblem

ROOT = "/debug"
_GRACE_S = 1.0


class NoAnswer(Exception):
    """What a page raises when it can't answer: an HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Page:
    """`GET /debug/<name>`. `answer` takes the query and returns data that is written as JSON, or raises NoAnswer."""

    name: str
    title: str
    answer: Callable[[Mapping[str, str]], Any]


@asynccontextmanager
async def debug_pages(part: str, pages: Sequence[Page], listen: str) -> AsyncIterator[str]:
    """Serve the pages while inside; yields the address. `listen` is `host:port`, port 0 asks for a free one.

    `/debug` and `/debug/` are an index for people, `/debug/list` one for programs. JSON is written in one line, or
    indented where `pretty` is in the query. Raises EnvironmentProblem when the port is taken.
    """
    index = _index(part, pages)

    async def show_index(_: web.Request) -> web.Response:
        return web.Response(text=index, content_type="text/html")

    app = web.Application()
    app.router.add_get(ROOT, show_index)
    app.router.add_get(f"{ROOT}/", show_index)
    names = [page.name for page in pages]
    for page in (*pages, Page("list", "The names of these pages", lambda _: names)):
        app.router.add_get(f"{ROOT}/{page.name}", _handler(page))
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise EnvironmentProblem(
                f"the {part}'s debug port can't listen on {listen}: {error.strerror or error}",
                hint="choose another port, or 0 for any free one",
            ) from error
        yield f"{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def kubernetes_object(
    api_version: str, name: str, spec: Message, *, created: datetime | None = None, resource_version: str = ""
) -> dict[str, Any]:
    """A resource as the Kubernetes object that it would be, in the order and with the keys of istiod's /debug/configz.

    `api_version` is group, version and kind, as in `extensions.istio.io/v1alpha1/WasmPlugin`; `name` is
    `namespace/name`. What is unknown is left out.
    """
    version, _, kind = api_version.rpartition("/")
    namespace, _, short = name.rpartition("/")
    metadata = {"name": short, "namespace": namespace}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    if created is not None:
        metadata["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    # A map of Go's has its keys sorted in JSON.
    sorted_spec = json.loads(json.dumps(json_format.MessageToDict(spec), sort_keys=True))
    return {"kind": kind, "apiVersion": version, "metadata": metadata, "spec": sorted_spec}


def _handler(page: Page) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        try:
            data = page.answer(request.query)
        except NoAnswer as error:
            return web.Response(status=error.status, text=f"{error.reason}\n")
        layout: dict[str, Any] = {"indent": 4} if "pretty" in request.query else {"separators": (",", ":")}
        text = json.dumps(data, ensure_ascii=False, **layout)
        return web.Response(text=f"{text}\n", content_type="application/json")

    return answer


def _index(part: str, pages: Sequence[Page]) -> str:
    rows = "".join(
        f'<tr><td><a href="{ROOT}/{page.name}">{ROOT}/{page.name}</a></td><td>{html.escape(page.title)}</td></tr>\n'
        for page in pages
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{part}: debug</title>\n'
        "<style>body{font-family:sans-serif}td{padding:.3em 1em .3em 0}</style>\n"
        f"<h1>{part}</h1>\n<table>\n{rows}</table>\n<p>Add <code>?pretty</code> for indented JSON.</p></html>\n"
    )

"""A server as the live page knows it: it serves the page, tells it what a test says, and keeps what it asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from sim.report.html import page_data, render_live_page
from sim.report.html.run_files import read_run

TOKEN = "a-token"


def state(**changes: Any) -> dict[str, Any]:
    """The feed's `state` of a run with one plugin, apart from `changes`."""
    said: dict[str, Any] = {
        "run": {
            "name": "tag-bump-20260101T000000Z",
            "scenario": "tag-bump",
            "profile": "higress",
            "envoy": "1.40.0",
            "gateway": "http://127.0.0.1:8080",
            "registry": "127.0.0.1:5000",
            "kubeconfig": "/runs/tag-bump/kubeconfig",
            "manifests": "/manifests",
        },
        "stops": {"on": False, "next": None, "waiting": []},
        "scenario_steps": [
            {"number": "1", "text": "apply request-block.yaml", "state": "done", "error": None},
            {"number": "2", "text": "bump higress-system/request-block", "state": "todo", "error": None},
        ],
        "deeds": [],
        "plugins": [plugin()],
        "images": [
            {
                "repository": "registry.local/plugins/request-block",
                "tags": ["1.0.0", "2.0.0"],
                "plugin": "request-block",
            }
        ],
        "bundled": ["key-auth", "request-block"],
        "faults": [],
        "fault_kinds": [LATENCY, STATUS],
        "traffic": {"users": {"rate_per_s": 200, "connections": 8, "gateway": ""}},
        "parts": [{"part": "core", "running": True}, {"part": "envoy", "running": True}],
    }
    return {**said, **changes}


def plugin(**changes: Any) -> dict[str, Any]:
    facts = {
        "plugin": "higress-system/request-block",
        "apiVersion": "extensions.higress.io/v1alpha1",
        "url": "oci://registry.local/plugins/request-block:1.0.0",
        "tag": "1.0.0",
        "repository": "registry.local/plugins/request-block",
        "phase": "AUTHN",
        "priority": 10,
        "enabled": True,
        "config_yaml": "block_urls:\n- /admin\n",
        "manifest_yaml": "kind: WasmPlugin\nspec:\n  priority: 10\n",
        "resource_version": "7",
        "status": "effective",
        "error": None,
    }
    return {**facts, **changes}


LATENCY = {
    "kind": "latency",
    "on": ["core-discovery", "agent-registry"],
    "text": "Delay all data.",
    "attributes": {
        "latency": {"type": "string", "description": "How much later", "examples": ["100ms"]},
        "jitter": {"type": "string", "default": "0ms", "description": "Less or more"},
    },
    "required": ["latency"],
}
STATUS = {
    "kind": "status",
    "on": ["registry"],
    "text": "Answer with an error status.",
    "attributes": {
        "code": {"type": "integer", "minimum": 400, "maximum": 599},
        "form": {"enum": ["not_json", "wrong_schema"], "default": "not_json", "type": "string"},
        "count": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
    },
    "required": ["code"],
}


class LiveServer:
    """`asked` is what the page asked for, (path, body); `answers` what it is answered, (status, data) by path.

    What has no answer is answered with the number of a deed.
    """

    def __init__(self, run: Path) -> None:
        self.data = page_data(read_run(run))
        self.token = TOKEN
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, tuple[int, Any]] = {"check": (200, {"problems": []})}
        self.port = 0
        self._streams: set[web.StreamResponse] = set()
        self._reads = asyncio.Event()
        self._asked = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    async def start(self) -> None:
        """Listen, where it listened before."""
        app = web.Application()
        app.add_routes(
            [web.get("/", self._page), web.get("/api/live", self._feed), web.route("*", "/api/{path}", self._answer)]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Gone, with whoever reads."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def read(self) -> None:
        """Returns when a page reads the feed."""
        await self._reads.wait()

    async def tell(self, event: str, data: Any) -> None:
        await self.read()
        text = f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()
        for stream in list(self._streams):
            await stream.write(text)

    async def was_asked(self, path: str) -> Any:
        """The body of the next request for `path`, which is taken out of `asked`."""
        async with asyncio.timeout(20):
            while True:
                for position, (asked, body) in enumerate(self.asked):
                    if asked == path:
                        del self.asked[position]
                        return body
                self._asked.clear()
                await self._asked.wait()

    async def _page(self, request: web.Request) -> web.Response:
        if request.query.get("token") != self.token:
            return web.Response(status=401)
        page, policy = render_live_page(self.data, self.token)
        headers = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("token") != self.token:
            return web.Response(status=401)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        self._streams.add(stream)
        self._reads.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._reads.clear()
        return stream

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": {"message": "the token is missing or wrong"}}, status=401)
        self.asked.append((path, await request.json() if request.method == "POST" else None))
        self._asked.set()
        status, data = self.answers.get(path, (202, {"deed": 0}))
        return web.json_response(data, status=status)


@asynccontextmanager
async def live_server(run: Path) -> AsyncIterator[LiveServer]:
    """Up while inside."""
    server = LiveServer(run)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()

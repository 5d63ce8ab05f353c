"""The agent's status port: metrics and readiness (pilot-agent's pilot/cmd/pilot-agent/status)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from sim.agent.metrics import CONTENT_TYPE
from sim.agent.server import Agent
from sim.errors import EnvironmentProblem
from sim.model import short_name

_GRACE_S = 1.0


@asynccontextmanager
async def status_server(agent: Agent, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """The status port, up while inside; yields its address. `listen` is `host:port`, port 0 asks for a free one.

    `GET /stats/prometheus` and `/metrics` give the agent's own metrics; `GET /healthz/ready` is 200 as soon as Envoy
    took or refused its first clusters and listeners, 503 before. Raises EnvironmentProblem when the port is taken.
    """

    async def stats(_: web.Request) -> web.Response:
        agent.metrics.scrapes += 1
        return web.Response(body=agent.metrics.render().encode(), headers={"Content-Type": CONTENT_TYPE})

    async def ready(_: web.Request) -> web.Response:
        missing = agent.unanswered
        if not missing:
            return web.Response()
        names = " and ".join(short_name(type_url) for type_url in missing)
        return web.Response(status=503, text=f"Envoy has not answered {names} yet\n")

    app = web.Application()
    app.router.add_get("/stats/prometheus", stats)
    app.router.add_get("/metrics", stats)
    app.router.add_get("/healthz/ready", ready)
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise EnvironmentProblem(
                f"the status port can't listen on {listen}: {error.strerror or error}",
                hint="choose another port, or 0 for any free one",
            ) from error
        yield f"{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

"""The live page's server: a session under a loopback address, its page, its feed, what may be done to it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from sim.core import Key
from sim.errors import EnvironmentProblem
from sim.manifests import Manifest
from sim.report.html import render_live_page
from sim.scenario.session import Session
from sim.web.actions import Actions, performed
from sim.web.feed import Feed
from sim.web.guard import guard
from sim.web.kubernetes import kubernetes_server
from sim.web.live_run import LiveRun
from sim.web.metrics import MetricsPage
from sim.web.script import Script
from sim.web.state import bundled_plugins, fault_kinds
from sim.web.teller import Teller

#: What is brought up when no scenario is named.
FIRST_SCENARIO = Path(__file__).parent / "first"

KUBECONFIG = "kubeconfig"


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """Where it listens: port 0 asks the kernel. `manifests` is the folder that is watched, for the page to name."""

    host: str = "127.0.0.1"
    port: int = 0
    manifests: Path | None = None


@dataclass(slots=True)
class Site:
    """What is served where. `url` has the token in it."""

    url: str
    address: str
    token: str
    kubeconfig: Path
    session: Session
    script: Script


@asynccontextmanager
async def site(session: Session, options: SiteOptions) -> AsyncIterator[Site]:
    """The page, up while inside. Raises EnvironmentProblem when it can't listen."""
    token = secrets.token_urlsafe(24)
    feed = Feed()
    live = LiveRun(session)
    script = Script(session)
    kubeconfig = session.run.directory / KUBECONFIG
    async with asyncio.TaskGroup() as tasks:

        def start(work: Coroutine[Any, Any, None]) -> None:
            tasks.create_task(work, name="deed")

        async def change(target: Manifest | Key) -> None:
            if isinstance(target, Key):
                await session.delete(target, "kubectl")
            else:
                await performed(session, session.prepare_apply([target], "kubectl"))

        teller = Teller(session, feed, live, script)
        metrics = MetricsPage(session)
        actions = Actions(session, script, start, teller.hurry)
        app = web.Application(middlewares=[guard(token, options.host)], client_max_size=2_000_000)

        async def page(_: web.Request) -> web.Response:
            live.refresh()
            html, policy = render_live_page(await live.page(), token)
            headers = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
            return web.Response(text=html, content_type="text/html", headers=headers)

        app.add_routes([web.get("/", page), web.get("/api/live", feed.serve), web.get("/metrics", metrics.serve)])
        app.add_routes(actions.routes())
        # A port of its own, because kubectl sends a token over TLS only.
        api = kubernetes_server(session.store, change, token, listen=_any_port(options.host), hosts=(options.host,))
        async with _listening(app, options) as address, api as cluster:
            cluster.write_kubeconfig(kubeconfig)
            teller.facts = _facts(session, kubeconfig, options)
            working = [tasks.create_task(script.run(), name="script"), tasks.create_task(teller.run(), name="teller")]
            try:
                yield Site(f"http://{address}/?token={token}", address, token, kubeconfig, session, script)
            finally:
                feed.end()
                for task in working:
                    task.cancel()
                with contextlib.suppress(FileNotFoundError):
                    kubeconfig.unlink()
                metrics.close()
                live.close()


def _any_port(host: str) -> str:
    return f"[{host}]:0" if ":" in host else f"{host}:0"


def _facts(session: Session, kubeconfig: Path, options: SiteOptions) -> dict[str, Any]:
    pipeline = session.stage.pipeline
    gateway = pipeline.gateway
    return {
        "run": {
            "name": session.run.directory.name,
            "scenario": session.loaded.name,
            "profile": session.run.profile.name,
            "envoy": session.run.binary.version if session.run.binary is not None else None,
            "gateway": f"http://{gateway.host}:{gateway.port}",
            "registry": pipeline.registry.address,
            "kubeconfig": str(kubeconfig),
            "manifests": str(options.manifests) if options.manifests is not None else None,
        },
        "bundled": bundled_plugins(),
        "fault_kinds": fault_kinds(),
    }


@asynccontextmanager
async def _listening(app: web.Application, options: SiteOptions) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        server = web.TCPSite(runner, options.host, options.port)
        try:
            await server.start()
        except OSError as error:
            raise EnvironmentProblem(
                f"can't listen on {options.host}:{options.port}: {error.strerror or error}",
                hint="choose another with --listen, or port 0 for a free one",
            ) from error
        host, port = runner.addresses[0][:2]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        await runner.cleanup()

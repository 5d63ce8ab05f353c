"""`/metrics`: the pipeline's own, each agent's, each Envoy's, on one page for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from sim.errors import EnvironmentProblem, StepFailed
from sim.report.export.prometheus import CONTENT_TYPE, Page, PipelineMetrics, TrafficCounts, metrics_text
from sim.scenario.session import Session

ENVOY_PAGE = "/stats/prometheus"


class MetricsPage:
    """Counts from its making on, until `close`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pipeline = PipelineMetrics(session.trace)
        self._traffic = TrafficCounts()

    def close(self) -> None:
        """Stop counting."""
        self._pipeline.close()

    async def serve(self, _: web.Request) -> web.Response:
        """The page as it is now. A part that is down has no metrics, as in a cluster."""
        for name, load in self._session.stage.loads.items():
            self._traffic.take(name, load.samples)
        pages = [page async for page in self._pages()]
        text = metrics_text(self._pipeline, self._traffic, pages)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _pages(self) -> AsyncIterator[Page]:
        for gateway in self._session.stage.pipeline.gateways:
            labels = {"gateway": gateway.name or "gateway"}
            if gateway.agent_slot.running:
                gateway.agent.metrics.scrapes += 1
                yield Page(gateway.agent.metrics.render(), labels)
            if gateway.envoy_slot.running:
                try:
                    yield Page(await gateway.envoy.admin.get(ENVOY_PAGE), labels)
                except (EnvironmentProblem, StepFailed):
                    # It is on its way down, or paused.
                    continue

"""The agent's status port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from sim.agent import status_server
from sim.errors import EnvironmentProblem
from sim.model import CDS, ECDS, LDS
from sim.trace import Event
from sim.xds import Variant
from tests.unit.agent.resources import NAME, URL, module, wasm
from tests.wire.agent_rig import agent_rig, request, response


async def get(address: str, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.text()


def answers(type_url: str) -> Callable[[Event], bool]:
    """Whether an event is Envoy's ACK or NACK of this type's first response."""
    return lambda event: event.part == "envoy" and event.nonce == "n1" and event.type_url == type_url


@pytest.mark.parametrize("path", ["/stats/prometheus", "/metrics"])
async def test_the_metrics_tell_what_the_agent_did(tmp_path: Path, path: str) -> None:
    async with agent_rig(tmp_path) as rig, status_server(rig.agent) as address:
        status, content_type, text = await get(address, path)
        assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
        # Nothing was counted but this very question.
        assert [line for line in text.splitlines() if not line.startswith("#")] == ["istio_agent_scrapes_total 1"]
        rig.shelf.modules[URL] = module(1)
        envoy, upstream = await rig.connect(Variant.DELTA)
        await upstream.send(response(Variant.DELTA, ECDS, {NAME: wasm()}))
        await envoy.told()
        _, _, text = await get(address, path)
        lines = text.splitlines()
        assert "istio_agent_wasm_cache_entries 1" in lines
        assert 'istio_agent_wasm_remote_fetch_count{result="success"} 1' in lines
        assert 'istio_agent_wasm_config_conversion_count{result="success"} 1' in lines
        assert "istio_agent_wasm_config_conversion_duration_count 1" in lines
        assert "istio_agent_xds_proxy_responses 1" in lines


@pytest.mark.parametrize("variant", list(Variant), ids=str)
async def test_the_agent_is_ready_when_envoy_answered_clusters_and_listeners(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path) as rig, status_server(rig.agent) as address:
        envoy, upstream = await rig.connect(variant)
        for type_url, missing, error in ((CDS, "CDS and LDS", {}), (LDS, "LDS", {"error": "bad"})):
            status, _, text = await get(address, "/healthz/ready")
            assert (status, text) == (503, f"Envoy has not answered {missing} yet\n")
            await envoy.send(request(variant, type_url))
            await upstream.receive()
            await upstream.send(response(variant, type_url))
            await envoy.told()
            await envoy.send(request(variant, type_url, nonce="n1", **error))
            await rig.trace.wait_for(answers(type_url))
        assert (await get(address, "/healthz/ready"))[0] == 200


async def test_there_is_nothing_else(tmp_path: Path) -> None:
    async with agent_rig(tmp_path) as rig, status_server(rig.agent) as address:
        assert (await get(address, "/quitquitquit"))[0] == 404


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with agent_rig(tmp_path) as rig, status_server(rig.agent) as address:
        with pytest.raises(EnvironmentProblem, match="can't listen"):
            async with status_server(rig.agent, address):
                pytest.fail("two servers on one port")

"""What the running Discovery demands of its clients."""

from __future__ import annotations

from pathlib import Path

import grpc
import grpc.aio
import pytest

from sim.discovery import DiscoveryOptions, discovery
from sim.model import LDS
from sim.profiles import load_profile
from sim.trace import Trace
from sim.xds import Variant
from tests.wire.ads_peers import McpServer, ads_client


@pytest.mark.parametrize("variant", list(Variant), ids=str)
async def test_a_first_request_without_a_node_is_refused(tmp_path: Path, variant: Variant) -> None:
    async with (
        McpServer().serving(f"unix:{tmp_path}/mcp.sock") as mcp,
        discovery(DiscoveryOptions(load_profile("istio-1.27"), mcp), Trace()) as part,
        ads_client(part.address, variant) as client,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await client.ask(LDS)
        assert await client.ended() == (grpc.StatusCode.INVALID_ARGUMENT, "missing node information")

"""What the running agent does by itself."""

from __future__ import annotations

from pathlib import Path

from sim.agent import AgentOptions, agent
from sim.clock import SkewedClock
from sim.profiles import load_profile
from sim.trace import Trace
from tests.unit.agent.resources import NAME, URL, Shelf, module, wasm


async def test_expired_modules_are_looked_for_at_every_interval(tmp_path: Path) -> None:
    trace, clock = Trace(), SkewedClock()
    options = AgentOptions(
        profile=load_profile("istio-1.27"),
        discovery_address=f"unix:{tmp_path}/nobody.sock",
        listen=f"unix:{tmp_path}/xds.sock",
        data_dir=tmp_path / "data",
        module_expiry_s=60.0,
        purge_interval_s=0.001,
    )
    async with agent(options, trace, clock, Shelf({URL: module(1)})) as part:
        (made,) = await part.converter.convert([wasm()], node_id=NAME, nonce="n")
        assert made.module is not None
        clock.advance(61)
        purged = await trace.wait_for(lambda event: event.event == "agent.purge")
        assert purged.data["file"] == str(made.module)
        assert not made.module.exists()

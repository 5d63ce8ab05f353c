"""Faults on every link of the real chain: Core, Discovery, agent, a client in Envoy's place, and the registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from sim.agent import AgentOptions, FetchOptions, agent
from sim.core import CoreOptions
from sim.core.mcp import Core, core
from sim.discovery import DebounceTimes, DiscoveryOptions, discovery
from sim.manifests import HIGRESS_WASM, manifest_from
from sim.model import ECDS, HTTP_RBAC, SYSTEM_NAMESPACE, gateway_node
from sim.oci import Registry, build_image, push
from sim.oci.registry.faults import PullFaults
from sim.profiles import load_profile
from sim.scenario.faults import FaultBoard, FaultSpec, FaultyLink
from sim.trace import Event, Trace
from sim.xds import Variant
from tests.unit.agent.resources import MODULE
from tests.wire.ads_peers import PATIENCE_S, AdsClient, ads_client
from tests.wire.agent_rig import Told

PROFILE = load_profile("istio-1.27")
DEMO = f"extensions.istio.io/wasmplugin/{SYSTEM_NAMESPACE}.demo"
HOST = "r.example"


@dataclass
class Chain:
    """Everything, with a link between each two."""

    trace: Trace
    core: Core
    board: FaultBoard
    client: AdsClient
    agent_envoy: FaultyLink
    seen: int = 0

    def bump(self, tag: str) -> None:
        """Apply the plugin with this tag; what is waited for afterwards follows from it."""
        self.seen = len(self.trace.events)
        metadata = {"name": "demo", "namespace": SYSTEM_NAMESPACE}
        spec = {"url": f"oci://{HOST}/demo:{tag}", "failStrategy": "FAIL_OPEN"}
        content = {"apiVersion": HIGRESS_WASM, "kind": "WasmPlugin", "metadata": metadata, "spec": spec}
        self.core.store.apply(manifest_from(content, "test"))

    async def event(self, name: str, **data: Any) -> Event:
        """The first such event since the last bump."""

        def fits(found: Event) -> bool:
            return found.event == name and all(found.data.get(key) == value for key, value in data.items())

        async with asyncio.timeout(PATIENCE_S):
            return await self.trace.wait_for(fits, self.seen)

    async def inject(self, **spec: Any) -> None:
        await self.board.inject(FaultSpec.model_validate(spec))

    async def subscribe(self) -> None:
        node = gateway_node()
        request = self.client.request(ECDS, DEMO)
        request.node.id = node.id
        request.node.metadata.update({"LABELS": node.labels})
        await self.client.send(request)

    async def told(self, *, heard: bool = False) -> dict[str, Any]:
        """What Envoy gets next for the plugin, acknowledged; before it is there, it gets nothing.

        With `heard`, once Discovery has heard the ACK.
        """
        while True:
            response = await self.client.receive()
            await self.client.acknowledge(response)
            resources = Told(Variant.DELTA, response.SerializeToString()).resources
            if not resources:
                continue
            if heard:
                await self._heard(response.nonce)
            return resources[DEMO]

    async def _heard(self, nonce: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.trace.wait_for(lambda e: (e.event, e.nonce) == ("discovery.ack", nonce))


@asynccontextmanager
async def chain(directory: Path) -> AsyncIterator[Chain]:
    trace = Trace()
    async with (
        Registry(directory / "registry", trace) as registry,
        FaultyLink("agent-registry", "127.0.0.1:0", registry.address) as to_registry,
        core(CoreOptions(gateway_port=8080, upstream=("127.0.0.1", 1)), trace) as core_part,
        FaultyLink("core-discovery", "127.0.0.1:0", core_part.address, xds=True) as to_core,
        discovery(DiscoveryOptions(PROFILE, to_core.address, debounce=DebounceTimes(after_s=0.001)), trace) as server,
        FaultyLink("discovery-agent", "127.0.0.1:0", server.address, xds=True) as to_discovery,
        agent(
            AgentOptions(
                profile=PROFILE,
                discovery_address=to_discovery.address,
                listen=f"unix:{directory}/agent",
                data_dir=directory / "modules",
                fetch=FetchOptions(mirrors={HOST: to_registry.address}, oci_pauses_s=(0, 0)),
            ),
            trace,
        ) as agent_part,
        FaultyLink("agent-envoy", f"unix:{directory}/envoy", agent_part.address, xds=True) as to_agent,
        ads_client(to_agent.address, Variant.DELTA) as client,
    ):
        for number, tag in enumerate("1234"):
            await push(build_image(MODULE + bytes([0, number])), f"oci://{HOST}/demo:{tag}", registry.address)
        faults = PullFaults(registry.store)
        registry.faults.append(faults)
        links = {link.name: link for link in (to_registry, to_core, to_discovery, to_agent)}
        made = Chain(trace, core_part, FaultBoard(trace, links, faults), client, to_agent)
        made.bump("1")
        await made.subscribe()
        # Heard, so that the next ACK belongs to the next change.
        assert is_plugin(await made.told(heard=True))
        yield made


def is_plugin(extension: dict[str, Any]) -> bool:
    """Whether it is a plugin, and not what a failed pull leaves."""
    return bool(extension["typed_config"]["@type"] != HTTP_RBAC)


async def test_a_change_passes_four_links_that_have_no_fault(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        on.bump("2")
        assert is_plugin(await on.told())
        assert not [event for event in on.trace if event.event.startswith("fault.")]


async def test_core_tells_discovery_the_old_state_and_the_next_change_mends_it(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(on="core-discovery", stale_version={"type": "WasmPlugin", "count": 1})
        on.bump("2")
        hit = await on.event("fault.hit")
        assert hit.type_url == "extensions.istio.io/v1alpha1/WasmPlugin"
        on.bump("3")
        assert is_plugin(await on.told())
        fetched = [event.image for event in on.trace if event.event == "agent.fetch" and event.span == "completed"]
        assert [image.rpartition(":")[2] for image in fetched if image] == ["1", "3"]


async def test_core_goes_away_and_discovery_catches_up(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(on="core-discovery", down={})
        on.bump("2")
        await on.event("discovery.mcp_disconnected")
        await on.board.clear("down")
        assert is_plugin(await on.told())


async def test_discovery_hears_a_refusal_that_envoy_never_spoke(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(on="discovery-agent", nack={"type": "ecds", "count": 1, "message": "no such module"})
        on.bump("2")
        assert is_plugin(await on.told())
        assert (await on.event("discovery.nack", error="no such module")).type_url == ECDS
        assert (await on.event("envoy.ack")).type_url == ECDS
        on.bump("3")
        assert is_plugin(await on.told())
        assert (await on.event("discovery.ack")).type_url == ECDS


async def test_envoy_loses_the_agent_and_comes_again(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(on="agent-envoy", disconnect={})
        assert (await on.client.ended())[0] is grpc.StatusCode.UNAVAILABLE
        async with ads_client(on.agent_envoy.address, Variant.DELTA) as on.client:
            await on.subscribe()
            assert is_plugin(await on.told())


async def test_the_agent_can_not_reach_the_registry_and_fails_open(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(name="cut", on="agent-registry", down={})
        on.bump("2")
        assert not is_plugin(await on.told())
        await on.board.clear("cut")
        on.bump("3")
        assert is_plugin(await on.told())


async def test_the_registry_fails_twice_and_the_agent_does_not_give_up(tmp_path: Path) -> None:
    async with chain(tmp_path) as on:
        await on.inject(on="registry", status={"code": 503, "count": 2}, match={"what": "blob"})
        on.bump("2")
        assert is_plugin(await on.told())
        await on.board.clear("all")
        assert (await on.event("fault.cleared")).data["hits"] == 2

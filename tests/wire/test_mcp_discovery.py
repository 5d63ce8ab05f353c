"""Discovery as a client of MCP: against a server made by hand, and against our Core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.core import CoreOptions
from sim.core.mcp import core
from sim.discovery import DebounceTimes, Discovery, DiscoveryOptions, discovery
from sim.manifests import HIGRESS_WASM, manifest_from
from sim.model import ECDS, LDS, SYSTEM_NAMESPACE, TYPE_PREFIX, gateway_node
from sim.profiles import load_profile
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.trace import Event, Trace
from sim.xds import Variant
from tests.golden_files import golden
from tests.independent import message
from tests.unit.discovery.worlds import GATEWAY, mcp_resource
from tests.wire.ads_peers import PATIENCE_S, AdsClient, McpServer, ads_client

PROFILE = load_profile("istio-1.27")
DEMO = f"extensions.istio.io/wasmplugin/{SYSTEM_NAMESPACE}.demo"
TYPES = len(PROFILE.mcp_types)


def plugin(tag: str, name: str = "demo", **spec: Any) -> mcp.Resource:
    return mcp_resource("WasmPlugin", f"{SYSTEM_NAMESPACE}/{name}", {"url": f"oci://r.example/p:{tag}", **spec})


def gateway() -> mcp.Resource:
    return mcp_resource("Gateway", *next(iter(GATEWAY.items())))


@asynccontextmanager
async def reading(address: str, trace: Trace) -> AsyncIterator[Discovery]:
    options = DiscoveryOptions(profile=PROFILE, mcp_address=address, debounce=DebounceTimes(after_s=0.001))
    async with discovery(options, trace) as part:
        yield part


@asynccontextmanager
async def proxy(part: Discovery) -> AsyncIterator[AdsClient]:
    """A gateway proxy that has subscribed to the demo plugin's configuration."""
    async with ads_client(part.address, Variant.DELTA) as client:
        request = client.request(ECDS, DEMO)
        node = gateway_node()
        request.node.id = node.id
        request.node.metadata.update({"LABELS": node.labels})
        await client.send(request)
        yield client


def image(response: Any) -> str:
    """The URL of the one plugin in an ECDS response, empty when there is none."""
    if not response.resources:
        return ""
    (item,) = response.resources
    config = message("envoy.config.core.v3.TypedExtensionConfig", item.resource.value).typed_config
    wasm = message("envoy.extensions.filters.http.wasm.v3.Wasm", config.value)
    uri: str = wasm.config.vm_config.code.remote.http_uri.uri
    return uri


async def event(trace: Trace, name: str, since: int = 0, **fields: Any) -> Event:
    def fits(found: Event) -> bool:
        return found.event == name and all(getattr(found, key) == value for key, value in fields.items())

    async with asyncio.timeout(PATIENCE_S):
        return await trace.wait_for(fits, since)


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/mcp.sock"


async def test_the_requests_are_those_of_the_captured_client(socket: str) -> None:
    server = McpServer()
    async with server.serving(socket), reading(socket, Trace()):
        await server.wait_for_requests(2 * TYPES)
    captured = golden("mcp-client-istiod-1.27.json")
    first, acks = server.requests[:TYPES], server.requests[TYPES:]
    assert [request.type_url for request in first] == [request["typeUrl"] for request in captured[:TYPES]]
    assert [request.node.id for request in first] == [r.get("node", {}).get("id", "") for r in captured[:TYPES]]
    assert all(request.response_nonce and not request.version_info for request in first)
    assert sorted(request.type_url for request in acks) == sorted(request.type_url for request in first)
    nonces = {str(number) for number in range(1, TYPES + 1)}
    assert {request.response_nonce for request in acks} == nonces
    assert all(request.version_info == f"v{request.response_nonce}" for request in acks)
    assert all(request.node.id == captured[TYPES]["node"]["id"] for request in acks)


async def test_nobody_is_served_before_every_type_was_answered(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with AsyncExitStack() as stack:
        # As istiod it waits for a server that is not there yet.
        entering = asyncio.create_task(stack.enter_async_context(reading(socket, trace)))
        server.resources = {"WasmPlugin": [plugin("1.0.0")], "Gateway": [gateway()]}
        await stack.enter_async_context(server.serving(socket))
        async with asyncio.timeout(PATIENCE_S):
            part = await entering
        async with proxy(part) as client:
            assert image(await client.receive()) == "oci://r.example/p:1.0.0"
        assert part.context.number == 1


async def test_changes_are_pushed_and_a_missing_plugin_is_gone(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with server.serving(socket), reading(socket, trace) as part, proxy(part) as client:
        assert image(await client.receive()) == ""
        for resources, expected in (
            ([plugin("1.0.0")], "oci://r.example/p:1.0.0"),
            ([plugin("2.0.0"), plugin("1.0.0", "other")], "oci://r.example/p:2.0.0"),
            ([plugin("1.0.0", "other")], ""),
        ):
            await server.set("WasmPlugin", resources)
            assert image(await client.receive()) == expected


async def test_a_restarted_server_is_found_again_and_the_state_is_kept_meanwhile(socket: str) -> None:
    server, trace = McpServer(), Trace()
    server.resources = {"WasmPlugin": [plugin("1.0.0")], "Gateway": [gateway()]}
    async with AsyncExitStack() as stack:
        async with server.serving(socket):
            part = await stack.enter_async_context(reading(socket, trace))
            client = await stack.enter_async_context(proxy(part))
            assert image(await client.receive()) == "oci://r.example/p:1.0.0"
        await event(trace, "discovery.mcp_disconnected")
        async with proxy(part) as late:
            assert image(await late.receive()) == "oci://r.example/p:1.0.0"

        again = McpServer()
        again.resources = server.resources
        seen = len(trace.events)
        async with again.serving(socket):
            await again.wait_for_requests(2 * TYPES)
            first = again.requests[:TYPES]
            assert all(request.response_nonce and not request.version_info for request in first)
            received = await event(trace, "discovery.received", seen, type_url="WasmPlugin")
            assert (received.data["changed"], received.data["removed"]) == ([], [])
            # The same state is no change, so the next push is that of what changes now.
            await again.set("WasmPlugin", [plugin("2.0.0")])
            assert image(await client.receive()) == "oci://r.example/p:2.0.0"
            assert part.context.number == 2


async def test_what_went_while_the_server_was_away_is_deleted(socket: str) -> None:
    trace, server = Trace(), McpServer()
    server.resources = {"WasmPlugin": [plugin("1.0.0")]}
    async with AsyncExitStack() as stack:
        async with server.serving(socket):
            part = await stack.enter_async_context(reading(socket, trace))
            client = await stack.enter_async_context(proxy(part))
            assert image(await client.receive()) == "oci://r.example/p:1.0.0"
        async with McpServer().serving(socket):
            assert image(await client.receive()) == ""


async def test_a_resource_that_cant_be_read_is_left_out_and_the_response_acknowledged(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with server.serving(socket), reading(socket, trace) as part, proxy(part) as client:
        await client.receive()
        await server.wait_for_requests(2 * TYPES)
        # One whose envelope is broken: a string that is not UTF-8 as its name.
        response = message(
            "envoy.service.discovery.v3.DiscoveryResponse", server.response("extensions.istio.io/v1alpha1/WasmPlugin")
        )
        response.resources.add(type_url=TYPE_PREFIX + "istio.mcp.v1alpha1.Resource", value=b"\x0a\x03\x0a\x01\xff")
        response.resources.add(
            type_url=TYPE_PREFIX + "istio.mcp.v1alpha1.Resource", value=plugin("1.0.0").SerializeToString()
        )
        await server.send_raw(response.SerializeToString())
        assert image(await client.receive()) == "oci://r.example/p:1.0.0"
        await server.wait_for_requests(2 * TYPES + 1)
        ack = server.requests[-1]
        assert ack.response_nonce == response.nonce
        assert not ack.HasField("error_detail")
        assert (await event(trace, "discovery.mcp_refused")).type_url == "extensions.istio.io/v1alpha1/WasmPlugin"


async def test_a_type_that_discovery_has_no_use_for_is_acknowledged(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with server.serving(socket), reading(socket, trace):
        await server.wait_for_requests(2 * TYPES)
        await server.set("EnvoyFilter", [mcp.Resource(metadata=mcp.Metadata(name="a/b"))])
        await server.wait_for_requests(2 * TYPES + 1)
        assert server.requests[-1].type_url == "networking.istio.io/v1alpha3/EnvoyFilter"


async def test_a_response_that_is_none_breaks_the_stream_and_not_discovery(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with server.serving(socket), reading(socket, trace) as part, proxy(part) as client:
        await client.receive()
        await server.wait_for_requests(2 * TYPES)
        await server.send_raw(b"\xff\xff\xff")
        disconnected = await event(trace, "discovery.mcp_disconnected")
        assert "no discovery response" in disconnected.data["reason"]
        await server.wait_for_requests(4 * TYPES)
        await server.set("WasmPlugin", [plugin("1.0.0")])
        assert image(await client.receive()) == "oci://r.example/p:1.0.0"


async def test_proxies_of_one_kind_share_an_encoding_and_differ_in_nonce(socket: str) -> None:
    server, trace = McpServer(), Trace()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server.serving(socket))
        part = await stack.enter_async_context(reading(socket, trace))
        clients = [await stack.enter_async_context(proxy(part)) for _ in range(20)]
        for client in clients:
            assert image(await client.receive()) == ""
        await server.set("WasmPlugin", [plugin("1.0.0")])
        responses = [await client.receive() for client in clients]
        assert {image(response) for response in responses} == {"oci://r.example/p:1.0.0"}
        assert {response.system_version_info for response in responses} == {part.context.version}
        assert len({response.nonce for response in responses}) == len(clients)
        # Nobody watches listeners here, so ECDS alone was encoded: while the debounce waited, and not again.
        assert part.context.number == 2
        assert part.context.encodings == 1


async def test_a_plugin_goes_from_core_to_a_proxy_and_the_listener_names_it() -> None:
    trace = Trace()
    metadata = {"name": "demo", "namespace": SYSTEM_NAMESPACE}
    manifest = {"apiVersion": HIGRESS_WASM, "kind": "WasmPlugin", "metadata": metadata}
    async with (
        core(CoreOptions(gateway_port=18080), trace) as source,
        reading(source.address, trace) as part,
        proxy(part) as client,
    ):
        assert image(await client.receive()) == ""
        listener = (await client.ask(LDS)).resources[0]
        assert DEMO.encode() not in listener.resource.value
        source.store.apply(manifest_from({**manifest, "spec": {"url": "oci://r.example/p:1.0.0"}}, "test"))
        pushes = [await client.receive(), await client.receive()]
        assert [push.type_url for push in pushes] == [LDS, ECDS]
        assert DEMO.encode() in pushes[0].resources[0].resource.value
        assert image(pushes[1]) == "oci://r.example/p:1.0.0"
        before = pushes[0].resources[0].resource.value

        source.store.apply(manifest_from({**manifest, "spec": {"url": "oci://r.example/p:2.0.0"}}, "test"))
        pushes = [await client.receive(), await client.receive()]
        assert pushes[0].resources[0].resource.value == before
        assert image(pushes[1]) == "oci://r.example/p:2.0.0"


async def test_leaving_discovery_with_open_streams_leaves_no_task(socket: str) -> None:
    server = McpServer()
    async with server.serving(socket):
        before = asyncio.all_tasks()
        clients = AsyncExitStack()
        async with reading(socket, Trace()) as part:
            client = await clients.enter_async_context(proxy(part))
            await client.receive()
        # What is left belongs to the server made by hand, which is still there.
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        assert not [task.get_name() for task in left if task.get_name().startswith(("ads-", "discovery-"))]
        await clients.aclose()

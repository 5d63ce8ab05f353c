"""Core's MCP, as istiod 1.27 was seen to use it (`golden/mcp-client-istiod-1.27.json`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf import json_format

from sim.core import CoreOptions, Key
from sim.core.mcp import Core, core
from sim.errors import EnvironmentProblem
from sim.manifests import HIGRESS_WASM, ISTIO_WASM, Manifest, manifest_from
from sim.model import SYSTEM_NAMESPACE
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.trace import Trace
from sim.xds import Variant
from tests.golden_files import golden
from tests.independent import discovery_message
from tests.wire.ads_peers import AdsClient, ads_client

WASM = "extensions.istio.io/v1alpha1/WasmPlugin"
KEY = Key(HIGRESS_WASM, "WasmPlugin", SYSTEM_NAMESPACE, "demo")

CAPTURED = [
    json_format.ParseDict(request, discovery_message("DiscoveryRequest"))
    for request in golden("mcp-client-istiod-1.27.json")
]
#: The four behind them are the beginning of its next stream.
FIRST, ACKS = CAPTURED[:15], CAPTURED[15:30]


def plugin(name: str, tag: str = "1.0.0", api: str = HIGRESS_WASM) -> Manifest:
    spec: dict[str, Any] = {"url": f"oci://r.example/p:{tag}"}
    metadata = {"name": name, "namespace": SYSTEM_NAMESPACE}
    return manifest_from({"apiVersion": api, "kind": "WasmPlugin", "metadata": metadata, "spec": spec}, "test")


def ingress() -> Manifest:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "echo", "port": {"number": 80}}}}
    content = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "echo", "namespace": "default"},
        "spec": {"rules": [{"host": "echo.example.com", "http": {"paths": [path]}}]},
    }
    return manifest_from(content, "test")


@asynccontextmanager
async def istiod(part: Core) -> AsyncIterator[tuple[AdsClient, dict[str, Any]]]:
    """The captured client on a new stream, all its first requests answered and acknowledged."""
    async with ads_client(part.address, Variant.SOTW) as client:
        for request in FIRST:
            await client.send(request)
        answers = [await client.receive() for _ in FIRST]
        for response in answers:
            await client.acknowledge(response)
        yield client, {response.type_url: response for response in answers}


def contents(response: Any) -> dict[str, ext.WasmPlugin]:
    """The WasmPlugins of a response by name."""
    found = {}
    for item in response.resources:
        assert item.type_url == "type.googleapis.com/istio.mcp.v1alpha1.Resource"
        resource = mcp.Resource.FromString(item.value)
        spec = ext.WasmPlugin()
        assert resource.body.Unpack(spec)
        found[resource.metadata.name] = spec
    return found


def test_the_captured_client_begins_each_type_with_a_nonce_and_without_a_version() -> None:
    # What the tests below rely on; a server that tells "initial" by an empty nonce would never answer.
    assert all(request.response_nonce and not request.version_info for request in FIRST)
    assert sorted(request.type_url for request in FIRST) == sorted({request.type_url for request in CAPTURED})
    assert all(request.version_info == request.response_nonce for request in ACKS)


async def test_every_requested_type_is_answered_an_empty_list_included() -> None:
    async with core(CoreOptions(), Trace()) as part:
        part.store.apply(plugin("demo"))
        async with istiod(part) as (_, answers):
            assert set(answers) == {request.type_url for request in FIRST}
            filled = {url.rpartition("/")[2] for url, response in answers.items() if response.resources}
            assert filled == {"WasmPlugin", "Gateway", "VirtualService", "ServiceEntry"}
            assert all(response.nonce and response.version_info for response in answers.values())


async def test_only_the_kinds_that_changed_are_pushed_after_the_acks() -> None:
    async with core(CoreOptions(), Trace()) as part, istiod(part) as (client, _):
        part.store.apply(plugin("demo"))
        first = await client.receive()
        assert {name: spec.url for name, spec in contents(first).items()} == {
            "higress-system/demo": "oci://r.example/p:1.0.0"
        }
        await client.acknowledge(first)
        part.store.apply(plugin("demo", "2.0.0"))
        second = await client.receive()
        assert second.type_url == WASM
        assert second.version_info != first.version_info
        assert contents(second)["higress-system/demo"].url == "oci://r.example/p:2.0.0"


async def test_a_deleted_plugin_is_missing_from_the_next_response() -> None:
    async with core(CoreOptions(), Trace()) as part:
        part.store.apply(plugin("demo"))
        part.store.apply(plugin("other"))
        async with istiod(part) as (client, answers):
            assert set(contents(answers[WASM])) == {"higress-system/demo", "higress-system/other"}
            part.store.delete(KEY)
            assert set(contents(await client.receive())) == {"higress-system/other"}


async def test_an_unchanged_object_pushes_nothing() -> None:
    async with core(CoreOptions(), Trace()) as part, istiod(part) as (client, _):
        part.store.apply(plugin("demo"))
        await client.receive()
        part.store.apply(plugin("demo"))
        part.store.apply(plugin("other"))
        # The next that comes is already the one for "other".
        assert set(contents(await client.receive())) == {"higress-system/demo", "higress-system/other"}


async def test_a_client_that_reconnects_gets_the_whole_state_again() -> None:
    async with core(CoreOptions(), Trace()) as part:
        async with istiod(part) as (client, _):
            part.store.apply(plugin("demo"))
            await client.receive()
        part.store.apply(plugin("other"))
        async with istiod(part) as (_, answers):
            assert set(contents(answers[WASM])) == {"higress-system/demo", "higress-system/other"}


async def test_two_clients_are_told_the_same_bytes() -> None:
    async with core(CoreOptions(), Trace()) as part, istiod(part) as (one, _), istiod(part) as (two, _):
        part.store.apply(plugin("demo"))
        pushes = [await one.receive(), await two.receive()]
        assert [item.value for item in pushes[0].resources] == [item.value for item in pushes[1].resources]
        assert pushes[0].nonce != pushes[1].nonce


async def test_a_nack_changes_nothing_and_is_traced() -> None:
    trace = Trace()
    async with core(CoreOptions(), trace) as part, istiod(part) as (client, _):
        part.store.apply(plugin("demo"))
        refused = await client.receive()
        refusal = client.request(WASM, response_nonce=refused.nonce)
        refusal.error_detail.message = "no"
        await client.send(refusal)
        nack = await trace.wait_for(lambda event: event.event == "core.nack")
        assert nack.data["error"] == "no"
        part.store.apply(plugin("demo", "2.0.0"))
        assert contents(await client.receive())["higress-system/demo"].url == "oci://r.example/p:2.0.0"


async def test_the_version_in_the_middle_of_a_type_is_the_clients_choice() -> None:
    async with core(CoreOptions(), Trace()) as part:
        part.store.apply(ingress())
        async with ads_client(part.address, Variant.SOTW) as client:
            old = await client.ask("networking.istio.io/v1alpha3/VirtualService")
            new = await client.ask("networking.istio.io/v1/VirtualService")
            assert [item.value for item in old.resources] == [item.value for item in new.resources]
            assert len(old.resources) == 1


async def test_an_ingress_is_pushed_as_gateway_route_and_service_and_leaves_plugins_alone() -> None:
    async with core(CoreOptions(), Trace()) as part, istiod(part) as (client, _):
        part.store.apply(ingress())
        kinds = {(await client.receive()).type_url.rpartition("/")[2] for _ in range(2)}
        assert "WasmPlugin" not in kinds
        assert kinds <= {"Gateway", "VirtualService", "ServiceEntry"}


async def test_an_istio_plugin_keeps_the_time_of_its_creation_and_a_converted_one_has_none() -> None:
    async with core(CoreOptions(), Trace()) as part:
        part.store.apply(plugin("converted"))
        part.store.apply(plugin("passed", api=ISTIO_WASM))
        async with istiod(part) as (_, answers):
            metadata = [mcp.Resource.FromString(item.value).metadata for item in answers[WASM].resources]
            assert {m.name.rpartition("/")[2]: m.HasField("create_time") for m in metadata} == {
                "converted": False,
                "passed": True,
            }


async def test_a_push_tells_the_trace_which_plugin_changed() -> None:
    trace = Trace()
    async with core(CoreOptions(), trace) as part, istiod(part) as (client, _):
        part.store.apply(plugin("demo"))
        await client.receive()
        pushes = [event for event in trace if event.event == "core.mcp_push" and event.data["reason"] == "push"]
        assert [(event.plugin, event.data["changed"]) for event in pushes] == [
            ("higress-system/demo", ["higress-system/demo"])
        ]


async def test_a_taken_port_is_a_problem_of_the_environment() -> None:
    async with core(CoreOptions(), Trace()) as part:
        try:
            async with core(CoreOptions(), Trace(), listen=part.address):
                raise AssertionError("two servers on one port")
        except EnvironmentProblem as problem:
            assert part.address in str(problem)

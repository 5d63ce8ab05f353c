"""The captured conversations with istiod 1.27, played against our Discovery step by step.

Every request of the capture is sent in its place, with our nonces and versions for the captured ones; at each mark the
configuration changes as it did there; what our Discovery answers must be the same messages in the same order.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from sim.discovery import DebounceTimes, Discovery, DiscoveryOptions, discovery
from sim.profiles import load_profile
from sim.trace import Trace
from sim.xds import Variant
from tests.golden_files import golden_lines
from tests.independent import discovery_message
from tests.unit.discovery.worlds import SERVICE, mcp_resource
from tests.wire.ads_peers import PATIENCE_S, AdsClient, McpServer, ads_client

REPOSITORY = "oci://127.0.0.1:15500/plugins/demo"
ONE, TWO = "higress-system/demo-1.0.0", "higress-system/two"
GATEWAY = {"servers": [{"port": {"number": 18080, "protocol": "HTTP", "name": "http"}, "hosts": ["*"]}]}

GOOD = {"url": f"{REPOSITORY}:1.0.0", "pluginConfig": {"k": "v"}}
#: The WasmPlugins from each mark of the capture on.
PLUGINS: dict[str, dict[str, dict[str, Any]]] = {
    "start": {ONE: GOOD},
    "tag-bump": {ONE: {**GOOD, "url": f"{REPOSITORY}:2.0.0"}},
    "config-change": {ONE: {**GOOD, "url": f"{REPOSITORY}:2.0.0", "pluginConfig": {"k": "w"}}},
    "add-second": {ONE: GOOD, TWO: GOOD},
    "pull-fails-open": {ONE: {**GOOD, "url": f"{REPOSITORY}:nope", "failStrategy": "FAIL_OPEN"}, TWO: GOOD},
    "not-wasm-fails-at-envoy": {ONE: {**GOOD, "url": "http://127.0.0.1:18095/bad.wasm"}, TWO: GOOD},
    "good-again": {ONE: GOOD, TWO: GOOD},
    "remove-second": {ONE: GOOD},
    "remove-all": {},
}
#: What a request can mean, as the trace tells it.
_MEANINGS = {"subscribe", "unsubscribe", "ack", "nack", "stale"}


class Player:
    """Our Discovery on one side, the captured Envoy on the other; `answered` and `meant` are what happened."""

    def __init__(self, lines: list[dict[str, Any]], variant: Variant, mcp_address: str, mcp: McpServer) -> None:
        # istiod refuses streams over a rate; such a one is closed before anything was answered, and not played.
        served = {line["stream"] for line in lines if line.get("dir") == "<<"}
        self.lines = [line for line in lines if "mark" in line or line["stream"] in served]
        self.variant = variant
        self.mcp = mcp
        self.trace = Trace()
        self.options = DiscoveryOptions(
            profile=load_profile("istio-1.27"),
            mcp_address=mcp_address,
            debounce=DebounceTimes(after_s=0.001),
        )
        self.ours: dict[str, str] = {"": ""}
        self.answered: list[Any] = []
        self.meant: list[tuple[str, str]] = []
        self._clients = AsyncExitStack()
        self._part = AsyncExitStack()
        self._discovery: Discovery | None = None
        self._client: AdsClient | None = None

    async def play(self) -> None:
        async with self._part, self._clients:
            for line in self.lines:
                match line:
                    case {"mark": "istiod-restart"}:
                        await self._part.aclose()
                        self._discovery = None
                    case {"mark": mark}:
                        await self.mcp.set("WasmPlugin", plugins(mark))
                    case {"event": "open"}:
                        await self._open()
                    case {"event": "close"}:
                        await self._clients.aclose()
                    case {"dir": ">>", "msg": message}:
                        await self._send(message)
                    case {"dir": "<<", "msg": message}:
                        await self._receive(message)

    async def _open(self) -> None:
        if self._discovery is None:
            self._discovery = await self._part.enter_async_context(discovery(self.options, self.trace))
        self._client = await self._clients.enter_async_context(ads_client(self._discovery.address, self.variant))

    async def _send(self, captured: dict[str, Any]) -> None:
        assert self._client is not None
        name = "DiscoveryRequest" if self.variant is Variant.SOTW else "DeltaDiscoveryRequest"
        request = json_format.ParseDict(captured, discovery_message(name))
        request.response_nonce = self.ours[request.response_nonce]
        if self.variant is Variant.SOTW:
            request.version_info = self.ours.get(request.version_info, request.version_info)
        seen = len(self.trace.events)
        await self._client.send(request)
        # The capture is one order of many; ours is to be this one, so each request is seen before the next.
        async with asyncio.timeout(PATIENCE_S):
            event = await self.trace.wait_for(lambda e: e.event.removeprefix("discovery.") in _MEANINGS, seen)
        self.meant.append((event.event.removeprefix("discovery."), request.type_url))

    async def _receive(self, captured: dict[str, Any]) -> None:
        assert self._client is not None
        response = await self._client.receive()
        self.answered.append(response)
        self.ours[captured["nonce"]] = response.nonce
        field = "version_info" if self.variant is Variant.SOTW else "system_version_info"
        self.ours.setdefault(captured[field], getattr(response, field))


def plugins(mark: str) -> list[Any]:
    return [mcp_resource("WasmPlugin", name, spec) for name, spec in PLUGINS[mark].items()]


def push_number(version: str) -> str:
    """The push of a version or nonce such as `2026-11-20T23:32:14Z/2…`: the part that is no time."""
    return version.partition("/")[2]


def as_captured(response: Any, variant: Variant) -> dict[str, Any]:
    if variant is Variant.SOTW:
        return {
            "type_url": response.type_url,
            "push": push_number(response.version_info),
            "resources": len(response.resources),
        }
    return {
        "type_url": response.type_url,
        "push": push_number(response.system_version_info),
        "resources": [{"name": item.name, "version": item.version} for item in response.resources],
        "removed_resources": list(response.removed_resources),
    }


def expected(message: dict[str, Any], variant: Variant) -> dict[str, Any]:
    field = "version_info" if variant is Variant.SOTW else "system_version_info"
    kept = {key: value for key, value in message.items() if key not in ("nonce", field)}
    return {**kept, "push": push_number(message[field])}


@pytest.fixture(params=list(Variant), ids=str)
async def played(request: pytest.FixtureRequest, tmp_path: Path) -> Player:
    variant: Variant = request.param
    mcp = McpServer()
    mcp.resources = {
        "WasmPlugin": plugins("start"),
        "Gateway": [mcp_resource("Gateway", "higress-system/gateway", GATEWAY)],
        "ServiceEntry": [mcp_resource("ServiceEntry", *next(iter(SERVICE.items())))],
    }
    async with mcp.serving(f"unix:{tmp_path}/mcp.sock") as address:
        player = Player(golden_lines(f"transcript-istio-1.27-{variant}.jsonl"), variant, address, mcp)
        await player.play()
    return player


async def test_our_discovery_says_what_istiod_said(played: Player) -> None:
    captured = [line["msg"] for line in played.lines if line.get("dir") == "<<"]
    assert len(captured) > 20
    assert [as_captured(response, played.variant) for response in played.answered] == [
        expected(message, played.variant) for message in captured
    ]
    # And it said nothing else, not even after the last of each stream.
    pushes = [event for event in played.trace if event.event == "discovery.push"]
    assert len(pushes) == len(captured)


async def test_each_request_means_what_it_meant_to_istiod(played: Player) -> None:
    requests = [line["msg"] for line in played.lines if line.get("dir") == ">>"]
    assert len(played.meant) == len(requests)
    meant = [kind for kind, _ in played.meant]
    assert meant.count("nack") == 1
    assert played.meant[[("error_detail" in message) for message in requests].index(True)][0] == "nack"
    # One is late, when the second plugin comes: in SotW Envoy's list of two, sent while a push was under way; in
    # delta the ACK of that push, which the answer to the subscription has overtaken.
    (late,) = [message for message, kind in zip(requests, meant, strict=True) if kind == "stale"]
    assert len(late.get("resource_names", ())) == (2 if played.variant is Variant.SOTW else 0)
    initial: set[tuple[int, str]] = set()
    for line, kind in zip((line for line in played.lines if line.get("dir") == ">>"), meant, strict=True):
        first_of = (line["stream"], line["msg"]["type_url"])
        assert first_of in initial or kind == "subscribe"
        initial.add(first_of)


async def test_a_tag_bump_pushes_the_listener_again_with_the_same_bytes(played: Player) -> None:
    def listeners(push: str) -> list[bytes]:
        """The listener's bytes in a push of the first Discovery."""
        return [
            getattr(item, "resource", item).value
            for response in played.answered
            if response.type_url.endswith("Listener") and as_captured(response, played.variant)["push"] == push
            for item in response.resources
        ]

    start, bump, change, second = (listeners(push) for push in ("1", "2", "3", "4"))
    assert start[0] == bump[0] == change[0]
    assert second[0] != start[0]

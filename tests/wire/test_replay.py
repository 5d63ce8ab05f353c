"""What was said on a hop is kept, and one side of it is played to the other again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.commands.replay import replay
from sim.core import CoreOptions
from sim.core.mcp import core
from sim.discovery import DebounceTimes, DiscoveryOptions, discovery
from sim.errors import EnvironmentProblem, InvalidInput
from sim.manifests import HIGRESS_WASM, manifest_from
from sim.model import ECDS, LDS, SYSTEM_NAMESPACE, gateway_node
from sim.profiles import Profile, load_profile
from sim.scenario.recording import Recorder, read_recording, recording_path
from sim.scenario.replay import Difference, Pace, play_client, play_server, scripts
from sim.scenario.replay.difference import MISSING, first_difference
from sim.trace import Trace
from sim.xds import Variant
from tests.wire.ads_peers import PATIENCE_S, AdsClient, ads_client

PROFILE = "istio-1.27"
DEMO = f"extensions.istio.io/wasmplugin/{SYSTEM_NAMESPACE}.demo"
QUICK = Pace(speed=None, within_s=5.0)


def manifest(tag: str) -> object:
    content = {
        "apiVersion": HIGRESS_WASM,
        "kind": "WasmPlugin",
        "metadata": {"name": "demo", "namespace": SYSTEM_NAMESPACE},
        "spec": {"url": f"oci://r.example/p:{tag}"},
    }
    return manifest_from(content, "test")


async def subscribe(client: AdsClient) -> None:
    request = client.request(ECDS, DEMO)
    node = gateway_node()
    request.node.id = node.id
    request.node.metadata.update({"LABELS": node.labels})
    await client.send(request)
    await client.acknowledge(await client.receive(), DEMO)
    await client.acknowledge(await client.ask(LDS))


@pytest.fixture(params=list(Variant), ids=str)
async def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run directory in which Core was read by Discovery, and Discovery by an agent, through one bump."""
    trace = Trace()
    with (
        Recorder(recording_path(tmp_path, "core-discovery")) as one,
        Recorder(recording_path(tmp_path, "discovery-agent")) as other,
    ):
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(core(CoreOptions(gateway_port=18080), trace))
            source.ads.tap = one.tap()
            source.store.apply(manifest("1.0.0"))  # type: ignore[arg-type]  # a Manifest
            options = DiscoveryOptions(load_profile(PROFILE), source.address, debounce=DebounceTimes(after_s=0.02))
            part = await stack.enter_async_context(discovery(options, trace))
            part.ads.tap = other.tap()
            client = await stack.enter_async_context(ads_client(part.address, request.param))
            await subscribe(client)
            source.store.apply(manifest("2.0.0"))  # type: ignore[arg-type]
            for _ in range(2):
                response = await client.receive()
                await client.acknowledge(response, *([DEMO] if response.type_url == ECDS else []))
            async with asyncio.timeout(PATIENCE_S):
                while sum(e.event == "discovery.ack" for e in trace.events) < 4:
                    await trace.wait_for(lambda e: e.event == "discovery.ack", since=len(trace.events))
    return tmp_path


async def replayed(run: Path, profile: Profile) -> tuple[list[Difference], list[Difference]]:
    """What our Discovery now asks Core, and sends the agent, otherwise than it did."""
    core_side = scripts(read_recording(recording_path(run, "core-discovery")))
    agent_side = scripts(read_recording(recording_path(run, "discovery-agent")))
    # Core's bump is held back until the agent has asked, as it was.
    async with play_server(core_side, "127.0.0.1:0", Pace(speed=1.0, within_s=5.0)) as played:
        options = DiscoveryOptions(profile, played.address, debounce=DebounceTimes(after_s=0.02))
        async with discovery(options, Trace()) as part:
            found = await play_client(agent_side, part.address, Pace(speed=None, within_s=5.0))
        return played.differences, found


async def test_our_discovery_says_the_same_again(run: Path) -> None:
    assert await replayed(run, load_profile(PROFILE)) == ([], [])


async def test_another_discovery_is_told_by_its_first_difference(run: Path) -> None:
    another = load_profile(PROFILE).model_copy(update={"failure_field": "fail_open"})
    asked, (difference,) = await replayed(run, another)
    assert asked == []
    assert difference.message == "server's ECDS, the 1st"
    assert difference.path == f"resources.{DEMO}.typed_config.config.failure_policy"
    assert (difference.recorded, difference.actual) == ("FAIL_CLOSED", MISSING)


async def test_a_client_that_asks_for_something_else_is_told_from_the_recorded_one(run: Path) -> None:
    recorded = scripts(read_recording(recording_path(run, "discovery-agent")))
    async with (
        play_server(recorded, "127.0.0.1:0", Pace(speed=None, within_s=0.5)) as played,
        ads_client(played.address, recorded[0].variant) as client,
    ):
        request = client.request(ECDS, "something.else")
        request.node.id = "x"
        await client.send(request)
        async with asyncio.timeout(PATIENCE_S):
            await played.done.wait()
    (difference,) = played.differences
    assert difference.message == "client's ECDS, the 1st"
    assert (difference.recorded, difference.actual) == (DEMO, "something.else")


async def test_a_client_that_is_one_too_many_is_sent_away(run: Path) -> None:
    async with play_server([], "127.0.0.1:0", QUICK) as played, ads_client(played.address, Variant.SOTW) as client:
        await client.send(client.request(LDS))
        code, details = await client.ended()
    assert (code.name, details) == ("UNAVAILABLE", "no sotw stream of the recording is left")


async def test_streams_of_a_part_that_was_started_again_are_told_apart(tmp_path: Path) -> None:
    path = recording_path(tmp_path, "discovery-agent")
    with Recorder(path) as recorder:
        for _ in range(2):
            tap = recorder.tap()
            tap(1, Variant.DELTA, "client", b"")
            tap(2, Variant.SOTW, "client", b"")
    assert [(line.stream, line.variant) for line in read_recording(path)] == [
        (1, Variant.DELTA), (2, Variant.SOTW), (3, Variant.DELTA), (4, Variant.SOTW),
    ]  # fmt: skip


def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path) -> None:
    path = recording_path(tmp_path, "agent-envoy")
    path.parent.mkdir()
    with pytest.raises(InvalidInput, match="there is no"):
        read_recording(path)
    path.write_text('{"t_ns": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        read_recording(path)
    assert f"{path}:1" in str(refused.value)


@pytest.mark.parametrize(
    ("recorded", "actual", "expected"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ("a.b[1]", 2, 3)),
        ({"a": 1}, {}, ("a", 1, MISSING)),
        ({}, {"a": 1}, ("a", MISSING, 1)),
        ({"a": [1]}, {"a": [1, 2]}, ("a[1]", MISSING, 2)),
        ({"a": [1, 2]}, {"a": [1]}, ("a[1]", 2, MISSING)),
        (1, 2, ("(all of it)", 1, 2)),
    ],
)
def test_the_first_difference_is_found_where_it_is(recorded: object, actual: object, expected: object) -> None:
    assert first_difference(recorded, actual) == expected


async def test_a_client_is_not_played_to_where_nobody_listens(run: Path) -> None:
    recorded = scripts(read_recording(recording_path(run, "discovery-agent")))
    with pytest.raises(EnvironmentProblem, match="nobody listens"):
        await play_client(recorded, "127.0.0.1:1", Pace(speed=None, within_s=0.2))


def test_replay_ends_where_nobody_connects(run: Path) -> None:
    ended = CliRunner().invoke(
        replay, [str(run), "--hop", "discovery-agent", "--listen", "127.0.0.1:0", "--within", "200ms"]
    )
    assert isinstance(ended.exception, EnvironmentProblem)
    assert "nobody connected" in str(ended.exception)

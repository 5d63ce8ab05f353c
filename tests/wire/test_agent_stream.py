"""The agent's streams: what passes, what is rewritten, what is refused, and how one side's end reaches the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2

from sim.model import CDS, ECDS, HTTP_RBAC, LDS, RDS
from sim.xds import Variant
from tests.unit.agent.resources import NAME, URL, extension, module, packed, wasm
from tests.wire.agent_rig import NODE_ID, UNKNOWN_FIELD, Rig, agent_rig, request, response, xds

MISSING = "oci://registry.example.com/team/missing:1"
both_variants = pytest.mark.parametrize("variant", list(Variant), ids=str)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with agent_rig(tmp_path) as made:
        made.shelf.modules[URL] = module(1)
        yield made


# -- what passes ----------------------------------------------------------------------------------------------------


@both_variants
@pytest.mark.parametrize("type_url", [CDS, LDS, RDS, "type.googleapis.com/envoy.of.tomorrow.Thing"])
async def test_everything_but_ecds_passes_byte_for_byte(rig: Rig, variant: Variant, type_url: str) -> None:
    envoy, upstream = await rig.connect(variant)
    content = {"x": any_pb2.Any(type_url=type_url, value=b"\xff is no protobuf")}
    body = UNKNOWN_FIELD + response(variant, type_url, content, removed=["y"])
    await upstream.send(body)
    assert await envoy.receive() == body


@both_variants
async def test_a_response_of_many_megabytes_passes(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    body = response(variant, CDS, {"x": any_pb2.Any(type_url=CDS, value=bytes(6_000_000))})
    await upstream.send(body)
    assert await envoy.receive() == body


@both_variants
async def test_requests_pass_as_envoy_wrote_them(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    written = [
        request(variant, CDS),
        request(variant, ECDS, ["a", "b"]),
        request(variant, ECDS, ["a", "b"], version_info="v1", nonce="n1"),
        request(variant, ECDS, ["a", "b"], version_info="v1", nonce="n2", error="no such file"),
        request(variant, "type.googleapis.com/envoy.of.tomorrow.Thing", nonce="?"),
    ]
    for body in written:
        await envoy.send(UNKNOWN_FIELD + body)
        assert await upstream.receive() == UNKNOWN_FIELD + body


@both_variants
async def test_envoys_words_are_heard_on_the_way(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await envoy.send(request(variant, LDS))
    await upstream.receive()
    await upstream.send(response(variant, LDS))
    await envoy.receive()
    await envoy.send(request(variant, LDS, nonce="n1", error="bad listener"))
    nack = await rig.trace.wait_for(lambda e: e.event == "envoy.nack")
    assert (nack.node_id, nack.type_url, nack.nonce) == (NODE_ID, LDS, "n1")
    assert nack.data["error"] == "bad listener"


async def test_each_envoy_stream_has_an_upstream_stream_of_its_own(rig: Rig) -> None:
    for number, variant in enumerate([Variant.SOTW, Variant.DELTA, Variant.SOTW]):
        envoy, upstream = await rig.connect(variant)
        assert upstream.variant == variant
        await upstream.send(response(variant, LDS, nonce=str(number)))
        assert (await envoy.told()).nonce == str(number)
        envoy.cancel()
        await upstream.closed.wait()


@pytest.mark.parametrize("second", list(Variant), ids=str)
@both_variants
async def test_a_new_envoy_stream_ends_the_one_before(rig: Rig, variant: Variant, second: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.send(response(variant, LDS))
    await envoy.told()
    other, other_upstream = await rig.connect(second)
    assert await envoy.status() == (grpc.StatusCode.OK, "")
    await upstream.closed.wait()
    await other_upstream.send(response(second, LDS, nonce="still here"))
    assert (await other.told()).nonce == "still here"


@both_variants
@pytest.mark.parametrize(
    "type_url", ["type.googleapis.com/istio.networking.nds.v1.NameTable", "type.googleapis.com/of.tomorrow.Thing", ""]
)
async def test_what_is_not_for_an_envoy_is_dropped(rig: Rig, variant: Variant, type_url: str) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.send(response(variant, type_url))
    await upstream.send(response(variant, LDS, nonce="after"))
    assert (await envoy.told()).nonce == "after"
    dropped = await rig.trace.wait_for(lambda e: e.event == "agent.drop")
    assert dropped.type_url == type_url


@both_variants
@pytest.mark.parametrize(
    ("code", "counted"),
    [
        (grpc.StatusCode.OK, "cancelled"),
        (grpc.StatusCode.CANCELLED, "cancelled"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "cancelled"),
        (grpc.StatusCode.UNAVAILABLE, "error"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "error"),
    ],
)
async def test_streams_and_messages_are_counted_as_the_real_agent_counts_them(
    rig: Rig, variant: Variant, code: grpc.StatusCode, counted: str
) -> None:
    envoy, upstream = await rig.connect(variant)
    await envoy.send(request(variant, LDS))
    await upstream.receive()
    for _ in range(2):
        await upstream.send(response(variant, LDS))
        await envoy.told()
    await upstream.end(code)
    await envoy.status()
    await rig.trace.wait_for(lambda e: e.event == "agent.stream_closed")
    found = {line for line in rig.agent.metrics.render().splitlines() if not line.startswith("#")}
    assert found == {
        'istio_agent_envoy_connection_terminations{type="cancelled"} 1',
        f'istio_agent_istiod_connection_terminations{{type="{counted}"}} 1',
        "istio_agent_xds_proxy_requests 1",
        "istio_agent_xds_proxy_responses 2",
    }


# -- how it ends ----------------------------------------------------------------------------------------------------


@both_variants
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.PERMISSION_DENIED]
)
async def test_envoy_is_told_how_discovery_failed(rig: Rig, variant: Variant, code: grpc.StatusCode) -> None:
    envoy, upstream = await rig.connect(variant)
    await envoy.send(request(variant, CDS))
    await upstream.receive()
    await upstream.end(code, "too many of you")
    assert await envoy.status() == (code, "too many of you")
    failed = await rig.trace.wait_for(lambda e: e.event == "agent.upstream_failed")
    assert failed.data["code"] == code.name


@both_variants
async def test_envoys_stream_ends_well_where_discoverys_did(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.end()
    assert (await envoy.status())[0] is grpc.StatusCode.OK


@both_variants
async def test_what_discovery_said_last_still_reaches_envoy(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.send(response(variant, LDS))
    assert (await envoy.told()).type_url == LDS
    await upstream.end(grpc.StatusCode.UNAVAILABLE)
    assert (await envoy.status())[0] is grpc.StatusCode.UNAVAILABLE


@both_variants
async def test_envoy_is_told_of_the_end_however_far_behind_it_is(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    large = [response(variant, LDS, {"x": any_pb2.Any(type_url=LDS, value=bytes([n]) * 2_000_000)}) for n in range(3)]
    for body in large:
        await upstream.send(body)
    await upstream.end(grpc.StatusCode.UNAVAILABLE)
    assert [await envoy.receive() for _ in large] == large
    assert (await envoy.status())[0] is grpc.StatusCode.UNAVAILABLE


@both_variants
async def test_discoverys_stream_ends_when_envoy_is_gone(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    envoy.cancel()
    await upstream.closed.wait()


@both_variants
async def test_discoverys_stream_ends_when_envoy_has_no_more_to_say(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await envoy.half_close()
    await upstream.closed.wait()
    assert (await envoy.status())[0] is grpc.StatusCode.OK


@both_variants
async def test_a_pull_goes_on_without_its_stream_and_is_there_for_the_next(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    gate = rig.shelf.gate("module", URL)
    await upstream.send(response(variant, ECDS, {NAME: wasm()}))
    await rig.shelf.requested(2)
    envoy.cancel()
    await upstream.closed.wait()
    await rig.trace.wait_for(lambda e: e.event == "agent.stream_closed")
    gate.set()
    await rig.trace.wait_for(lambda e: e.event == "agent.unpack" and e.span == "completed")
    again, upstream = await rig.connect(variant)
    await upstream.send(response(variant, ECDS, {NAME: wasm()}))
    assert (await again.told()).file(NAME) in rig.files()
    assert rig.shelf.log.count(f"module {URL}") == 1


@both_variants
async def test_an_agent_that_is_left_ends_a_pull_whose_stream_is_gone(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path) as rig:
        rig.shelf.modules[URL] = module(1)
        rig.shelf.gate("manifest", URL)
        envoy, upstream = await rig.connect(variant)
        await upstream.send(response(variant, ECDS, {NAME: wasm()}))
        await rig.shelf.requested()
        envoy.cancel()
        await upstream.closed.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("agent-")]


@both_variants
async def test_what_is_no_message_ends_the_stream_with_a_reason(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await envoy.send(b"\xff\xff\xff")
    code, details = await envoy.status()
    assert code is grpc.StatusCode.INTERNAL and details.startswith("not a discovery message: ")
    await upstream.closed.wait()
    envoy, upstream = await rig.connect(variant)
    await upstream.send(b"\xff\xff\xff")
    assert (await envoy.status())[0] is grpc.StatusCode.INTERNAL
    broken = [e for e in rig.trace.events if e.event == "agent.stream_broken"]
    assert len(broken) == 2 and all("not a discovery message" in e.data["error"] for e in broken)


@both_variants
async def test_an_envoy_that_does_not_read_holds_discovery_back(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    body = response(variant, LDS, {"x": any_pb2.Any(type_url=LDS, value=bytes(1_000_000))})
    count = 60
    forwarded = 0

    async def send_all() -> None:
        for _ in range(count):
            await upstream.send(body)

    sending = asyncio.create_task(send_all())
    # Until Envoy's socket, the agent's two places and Discovery's socket are full, something is forwarded.
    while not sending.done():
        before = forwarded
        try:
            async with asyncio.timeout(1):
                await rig.trace.wait_for(lambda e: e.event == "agent.forward", since=len(rig.trace.events))
        except TimeoutError:
            pass
        forwarded = sum(e.event == "agent.forward" for e in rig.trace.events)
        if forwarded == before:
            break
    assert not sending.done() and forwarded < count
    for _ in range(count):
        assert await envoy.receive() == body
    await sending


@both_variants
async def test_without_discovery_envoy_is_told_so(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, discovery_address=f"unix:{tmp_path}/nobody.sock") as rig:
        assert (await rig.envoy(variant).status())[0] is grpc.StatusCode.UNAVAILABLE


@both_variants
async def test_an_agent_that_is_left_ends_its_streams(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path) as rig:
        envoy, upstream = await rig.connect(variant)
        status = asyncio.create_task(envoy.status())
        await upstream.send(response(variant, LDS))
        await envoy.receive()
    await upstream.closed.wait()
    assert (await status)[0] is not grpc.StatusCode.OK


# -- ECDS -----------------------------------------------------------------------------------------------------------


@both_variants
async def test_an_ecds_response_is_rewritten_and_the_rest_of_it_is_kept(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    other = extension("other", {"@type": HTTP_RBAC})
    resources = {NAME: wasm(), "other": other}
    await upstream.send(
        UNKNOWN_FIELD + response(variant, ECDS, resources, version="v7", nonce="n7", removed=["gone", "away"])
    )
    body = await envoy.receive()
    assert UNKNOWN_FIELD in body
    raw = xds("DiscoveryResponse" if variant is Variant.SOTW else "DeltaDiscoveryResponse", body)
    assert (raw.type_url, raw.nonce) == (ECDS, "n7")
    if variant is Variant.SOTW:
        assert raw.version_info == "v7"
        first, second = raw.resources
    else:
        assert raw.system_version_info == "v7"
        assert [(r.name, r.version) for r in raw.resources] == [(n, f"version of {n}") for n in resources]
        assert list(raw.removed_resources) == ["gone", "away"]
        first, second = (item.resource for item in raw.resources)
    assert second.value == other.value
    assert b"/data/" in first.value
    assert URL.encode() not in first.value


@both_variants
async def test_an_empty_ecds_response_passes(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.send(response(variant, ECDS, nonce="empty", removed=["gone"]))
    told = await envoy.told()
    assert (told.nonce, told.resources) == ("empty", {})


@both_variants
async def test_other_types_do_not_wait_for_a_pull(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    gate = rig.shelf.gate("manifest", URL)
    await upstream.send(response(variant, ECDS, {NAME: wasm()}))
    await upstream.send(response(variant, LDS))
    assert (await envoy.told()).type_url == LDS
    gate.set()
    assert (await envoy.told()).file(NAME) is not None


@both_variants
@pytest.mark.parametrize(
    ("profile", "code"),
    [("higress-1.19", 0), ("higress", 0), ("istio-1.27", 13)],
)
async def test_a_response_that_the_agent_refuses_is_refused_in_envoys_place(
    tmp_path: Path, variant: Variant, profile: str, code: int
) -> None:
    bad = wasm(MISSING, name="bad", opens=False)
    if profile == "istio-1.27":
        # A failed pull is never refused here, but what can't be read is.
        bad = packed(ECDS, {"name": "bad"})
    async with agent_rig(tmp_path, profile) as rig:
        rig.shelf.modules[URL] = module(1)
        envoy, upstream = await rig.connect(variant)
        await envoy.send(request(variant, ECDS, [NAME, "bad"]))
        await upstream.receive()
        await upstream.send(response(variant, ECDS, {NAME: wasm()}, version="v1", nonce="n1"))
        await envoy.told()
        await envoy.send(request(variant, ECDS, version_info="v1", nonce="n1"))
        await upstream.receive()

        await upstream.send(response(variant, ECDS, {NAME: wasm(), "bad": bad}, version="v2", nonce="n2"))
        refusal = xds(
            "DiscoveryRequest" if variant is Variant.SOTW else "DeltaDiscoveryRequest", await upstream.receive()
        )
        assert (refusal.type_url, refusal.response_nonce, refusal.error_detail.code) == (ECDS, "n2", code)
        assert "bad" in refusal.error_detail.message
        assert not refusal.HasField("node")
        if variant is Variant.SOTW:
            assert refusal.version_info == "v1"
            assert not refusal.resource_names
        (told,) = [event for event in rig.trace if event.event == "agent.nack"]
        assert told.nonce == "n2"
        # The good one in it was held back too.
        await upstream.send(response(variant, LDS))
        assert (await envoy.told()).type_url == LDS


async def test_a_first_response_is_refused_without_a_version(tmp_path: Path) -> None:
    async with agent_rig(tmp_path, "higress") as rig:
        envoy, upstream = await rig.connect(Variant.SOTW)
        await envoy.send(request(Variant.SOTW, ECDS, [NAME]))
        await upstream.receive()
        await upstream.send(response(Variant.SOTW, ECDS, {NAME: wasm(MISSING)}))
        refusal = xds("DiscoveryRequest", await upstream.receive())
        assert (refusal.version_info, refusal.response_nonce) == ("", "n1")


@both_variants
async def test_a_failed_pull_of_one_plugin_leaves_the_others_alone(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    await upstream.send(response(variant, ECDS, {NAME: wasm(), "bad": wasm(MISSING, name="bad")}))
    told = await envoy.told()
    assert told.file(NAME) is not None
    assert told.resources["bad"]["typed_config"] == {"@type": HTTP_RBAC}


@both_variants
async def test_pulls_of_one_response_run_side_by_side(rig: Rig, variant: Variant) -> None:
    envoy, upstream = await rig.connect(variant)
    gate = rig.shelf.gate("manifest", URL)
    await upstream.send(response(variant, ECDS, {NAME: wasm(), "other": wasm(name="other")}))
    await rig.shelf.requested(2)
    gate.set()
    assert (await envoy.told()).resources.keys() == {NAME, "other"}


async def test_a_new_stream_does_not_wait_for_a_pull_of_the_one_before(rig: Rig) -> None:
    first, first_upstream = await rig.connect(Variant.DELTA)
    slow = "oci://registry.example.com/team/slow:1"
    rig.shelf.modules[slow] = module(2)
    gate = rig.shelf.gate("manifest", slow)
    await first_upstream.send(response(Variant.DELTA, ECDS, {NAME: wasm(slow)}))
    await rig.shelf.requested()
    second, second_upstream = await rig.connect(Variant.DELTA)
    await second_upstream.send(response(Variant.DELTA, ECDS, {NAME: wasm()}))
    assert (await second.told()).file(NAME) is not None
    gate.set()
    assert (await first.status())[0] is grpc.StatusCode.OK

"""What each xDS fault makes of one stream, message by message."""

from __future__ import annotations

import pytest

from sim.model import ECDS, LDS
from sim.scenario.faults.xds import Disconnect, DropAck, Duplicate, Nack, Reorder, StaleVersion
from sim.xds import Variant
from tests.independent import discovery_message
from tests.unit.scenario.faults.streams import Stream

BOTH = pytest.mark.parametrize("variant", list(Variant))
WASM_PLUGIN = "extensions.istio.io/v1alpha1/WasmPlugin"


def subscribed(variant: Variant) -> Stream:
    """A stream whose client asked for the extension `p` and took its first version."""
    stream = Stream(variant)
    stream.answer(stream.request(ECDS, "", "", "p"))
    stream.receive(ECDS, "v1", "n1")
    stream.answer(stream.ack(ECDS, "n1", "v1", "p"))
    return stream


@BOTH
def test_without_a_fault_every_byte_passes(variant: Variant) -> None:
    stream = Stream(variant)
    request, response = stream.request(ECDS, "", "", "p"), stream.response(ECDS, "v1", "n1")
    assert stream.conversation.request(request) == [request]
    assert stream.conversation.response(response) == [response]
    assert stream.conversation.node_id == "gateway-1"


@BOTH
def test_what_is_no_discovery_message_passes_too(variant: Variant) -> None:
    stream = Stream(variant)
    stream.inject(DropAck(type="ecds"))
    assert stream.conversation.request(b"\xff\xff") == [b"\xff\xff"]
    assert stream.conversation.response(b"\xff\xff") == [b"\xff\xff"]


@BOTH
def test_what_a_fault_does_not_mean_passes_byte_for_byte(variant: Variant) -> None:
    stream = subscribed(variant)
    for number, kind in enumerate((DropAck, Nack, Reorder, StaleVersion, Duplicate)):
        stream.inject(kind(type="ecds"), f"f{number}")
    response = stream.response(LDS, "v9", "n9")
    assert stream.conversation.response(response) == [response]
    ack = stream.ack(LDS, "n9", "v9")
    assert stream.conversation.request(ack) == [ack]


@BOTH
def test_a_dropped_ack_does_not_reach_the_server(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(DropAck(type="ecds", count=1))
    stream.receive(ECDS, "v2", "n2")
    assert stream.answer(stream.ack(ECDS, "n2", "v2", "p")) == []
    hit = stream.hits[0]
    assert (hit["type_url"], hit["nonce"], hit["stream"], hit["node_id"]) == (ECDS, "n2", 1, "gateway-1")
    stream.receive(ECDS, "v3", "n3")
    assert stream.answer(stream.ack(ECDS, "n3", "v3", "p"))[0].startswith("ack n3")


@BOTH
def test_only_mere_acks_are_dropped(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(DropAck(type="ecds"))
    stream.receive(ECDS, "v2", "n2")
    grown = stream.request(ECDS, "n2", "v2", *(("p", "q") if variant is Variant.SOTW else ("q",)))
    refused = stream.request(ECDS, "n2", "v1", *(("p", "q") if variant is Variant.SOTW else ()), error="no")
    foreign = stream.ack(ECDS, "2026-01-01 00:00:00", "", "p", "q")
    for body in (grown, refused, foreign):
        assert stream.conversation.request(body) == [body]
    assert stream.hits == []


def test_istiods_first_request_with_a_nonce_of_its_own_is_no_ack() -> None:
    stream = Stream(Variant.SOTW)
    stream.inject(DropAck(type="WasmPlugin"))
    first = stream.request(WASM_PLUGIN, "2026-11-21 02:55:11")
    assert stream.conversation.request(first) == [first]
    stream.receive(WASM_PLUGIN, "v1", "1")
    assert stream.answer(stream.ack(WASM_PLUGIN, "1", "v1")) == []


@BOTH
def test_an_ack_becomes_a_nack_with_the_version_that_was_accepted_before(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Nack(type="ecds", count=2, message="no such module"))
    sotw = variant is Variant.SOTW
    for version, nonce in (("v2", "n2"), ("v3", "n3")):
        stream.receive(ECDS, version, nonce)
        told = stream.answer(stream.ack(ECDS, nonce, version, "p"))
        # Neither was accepted, as far as the server heard.
        assert told == [f"nack {nonce} v1 p no such module" if sotw else f"nack {nonce} no such module"]
    stream.receive(ECDS, "v4", "n4")
    assert stream.answer(stream.ack(ECDS, "n4", "v4", "p")) == ["ack n4 v4 p" if sotw else "ack n4"]


@BOTH
def test_a_nack_of_a_fault_keeps_what_else_the_ack_said(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Nack(type="ecds"))
    stream.receive(ECDS, "v2", "n2")
    (body,) = stream.conversation.request(stream.ack(ECDS, "n2", "v2", "p"))
    read = discovery_message("DiscoveryRequest" if variant is Variant.SOTW else "DeltaDiscoveryRequest", body)
    assert (read.node.id, read.error_detail.code) == ("gateway-1", 13)
    assert b"odd" in body


def test_a_first_ack_is_refused_with_no_version() -> None:
    stream = Stream(Variant.SOTW)
    stream.inject(Nack(type="ecds", message="no"))
    stream.answer(stream.request(ECDS, "", "", "p"))
    stream.receive(ECDS, "v1", "n1")
    assert stream.answer(stream.ack(ECDS, "n1", "v1", "p")) == ["nack n1 p no"]


def test_a_client_that_comes_again_has_accepted_the_version_that_it_names() -> None:
    stream = Stream(Variant.SOTW)
    stream.inject(Nack(type="ecds", message="no"))
    stream.answer(stream.request(ECDS, "", "v7", "p"))
    stream.receive(ECDS, "v8", "n1")
    assert stream.answer(stream.ack(ECDS, "n1", "v8", "p")) == ["nack n1 v7 p no"]


@BOTH
def test_a_response_is_overtaken_by_the_next_whatever_its_type(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Reorder(type="ecds", count=1))
    assert stream.receive(ECDS, "v2", "n2") == []
    assert stream.receive(LDS, "v2", "l2") == ["Listener v2 l2", "TypedExtensionConfig v2 n2"]
    assert stream.receive(ECDS, "v3", "n3") == ["TypedExtensionConfig v3 n3"]


@BOTH
def test_a_response_overtaken_by_its_own_type_leaves_the_client_with_the_older_state(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Reorder(type="ecds", behind="ecds", count=1))
    assert stream.receive(ECDS, "v2", "n2") == []
    assert stream.receive(LDS, "v2", "l2") == ["Listener v2 l2"]
    assert stream.receive(ECDS, "v3", "n3") == ["TypedExtensionConfig v3 n3", "TypedExtensionConfig v2 n2"]
    # Both ACKs are passed on; which of them is stale is the server's to say.
    for nonce in ("n3", "n2"):
        assert stream.answer(stream.ack(ECDS, nonce, "v", "p"))[0].startswith(f"ack {nonce}")


@BOTH
def test_what_waits_for_another_type_keeps_its_order(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Reorder(type="ecds", behind="lds", count=1))
    assert stream.receive(ECDS, "v2", "n2") == []
    assert stream.receive(ECDS, "v3", "n3") == []
    assert len(stream.hits) == 1
    told = stream.receive(LDS, "v1", "l1")
    assert told == ["Listener v1 l1", "TypedExtensionConfig v2 n2", "TypedExtensionConfig v3 n3"]


@BOTH
def test_what_is_held_goes_out_when_the_fault_is_cleared(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Reorder(type="ecds"))
    stream.inject(Duplicate(type="ecds"), "twice")
    stream.receive(ECDS, "v2", "n2")
    assert stream.clear() == ["TypedExtensionConfig v2 n2"] * 2
    assert stream.clear() == []
    assert stream.receive(ECDS, "v3", "n3") == ["TypedExtensionConfig v3 n3"] * 2


@BOTH
def test_a_stale_version_is_the_last_one_under_the_new_nonce(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(StaleVersion(type="ecds", count=2))
    assert stream.receive(ECDS, "v2", "n2") == ["TypedExtensionConfig v1 n2"]
    assert stream.receive(ECDS, "v3", "n3") == ["TypedExtensionConfig v1 n3"]
    assert stream.receive(ECDS, "v4", "n4") == ["TypedExtensionConfig v4 n4"]
    assert [(hit["version_info"], hit["sent_version"]) for hit in stream.hits] == [("v2", "v1"), ("v3", "v1")]


@BOTH
def test_a_first_response_can_not_be_stale(variant: Variant) -> None:
    stream = Stream(variant)
    stream.inject(StaleVersion(type="ecds", count=1))
    assert stream.receive(ECDS, "v1", "n1") == ["TypedExtensionConfig v1 n1"]
    assert stream.receive(ECDS, "v2", "n2") == ["TypedExtensionConfig v1 n2"]


@BOTH
def test_a_duplicate_is_the_same_bytes_twice(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Duplicate(type="ecds", count=1))
    response = stream.response(ECDS, "v2", "n2")
    assert stream.conversation.response(response) == [response, response]
    assert stream.receive(ECDS, "v3", "n3") == ["TypedExtensionConfig v3 n3"]


@BOTH
def test_faults_act_one_after_the_other(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Duplicate(type="ecds"), "twice")
    stream.inject(Reorder(type="ecds"), "overtaken")
    # The second of the two overtakes the first.
    assert stream.receive(ECDS, "v2", "n2") == ["TypedExtensionConfig v2 n2"] * 2
    assert [hit["nonce"] for hit in stream.hits] == ["n2", "n2"]


@BOTH
def test_a_disconnect_ends_the_stream_that_is_open_and_no_later_one(variant: Variant) -> None:
    stream = subscribed(variant)
    assert stream.inject(Disconnect()) == ["UNAVAILABLE: ended by the fault f"]
    assert Stream(variant).inject(Disconnect(), to_open_stream=False) == []


@BOTH
def test_a_disconnect_may_wait_for_some_responses(variant: Variant) -> None:
    stream = subscribed(variant)
    fault = Disconnect(after=2, type="ecds", code="RESOURCE_EXHAUSTED")
    assert stream.inject(fault) == []
    assert stream.receive(ECDS, "v2", "n2") == ["TypedExtensionConfig v2 n2"]
    assert stream.receive(LDS, "v2", "l2") == ["Listener v2 l2"]
    assert stream.receive(ECDS, "v3", "n3") == [
        "TypedExtensionConfig v3 n3",
        "RESOURCE_EXHAUSTED: ended by the fault f",
    ]


@BOTH
def test_nothing_follows_the_end(variant: Variant) -> None:
    stream = subscribed(variant)
    stream.inject(Disconnect(after=1), "end")
    stream.inject(Duplicate(type="ecds"), "twice")
    told = stream.receive(ECDS, "v2", "n2")
    assert told == ["TypedExtensionConfig v2 n2"] * 2 + ["UNAVAILABLE: ended by the fault end"]


@pytest.mark.parametrize(
    ("wanted", "type_url"),
    [("ecds", ECDS), ("ECDS", ECDS), (LDS, LDS), ("WasmPlugin", WASM_PLUGIN), (WASM_PLUGIN, WASM_PLUGIN)],
)
def test_a_type_is_named_in_short_or_in_full(wanted: str, type_url: str) -> None:
    stream = Stream(Variant.SOTW)
    stream.inject(Duplicate(type=wanted))
    assert len(stream.receive(type_url, "v1", "n1")) == 2


@pytest.mark.parametrize("wanted", ["ecd", "wasmplugin", "xds", "", "Ünicode", "LDSS"])
def test_a_type_that_is_none_is_refused_with_those_there_are(wanted: str) -> None:
    with pytest.raises(ValueError, match="cds, eds, lds, rds, ecds"):
        Duplicate(type=wanted)


@BOTH
def test_nonces_of_long_ago_are_forgotten(variant: Variant) -> None:
    stream = subscribed(variant)
    for number in range(100):
        stream.receive(ECDS, f"v{number}", f"m{number}")
    stream.inject(DropAck(type="ecds"))
    assert stream.answer(stream.ack(ECDS, "m99", "v99", "p")) == []
    assert len(stream.answer(stream.ack(ECDS, "m0", "v0", "p"))) == 1

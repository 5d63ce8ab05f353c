"""A run's transcript is the same however the parts' work interleaved, and tells what was different."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.model import ECDS
from sim.scenario.compare import compare
from sim.scenario.transcript import Transcript, transcript
from sim.trace import Event
from tests.unit.scenario.recorded import IMAGE, PLUGIN, RESOURCE, Recorded, tag_bump


def told(run: Recorded) -> Transcript:
    return transcript(run.result, run.events, run.read)


EXPECTED = told(tag_bump())


@given(chance=st.randoms(use_true_random=False), port=st.integers(1024, 65535), token=st.text("bcd", min_size=1))
def test_neither_the_interleaving_nor_what_a_run_draws_shows(chance: random.Random, port: int, token: str) -> None:
    again = told(tag_bump(chance, port=port, token=token))
    assert again.lanes == EXPECTED.lanes
    assert list(again.lanes or ()) == list(EXPECTED.lanes or ())
    assert again.payloads == EXPECTED.payloads
    assert list(again.payloads or ()) == list(EXPECTED.payloads or ())
    assert again.verdicts == EXPECTED.verdicts


def test_a_rollout_has_the_lanes_of_its_change_its_pushes_and_its_module() -> None:
    assert EXPECTED.lanes is not None
    assert EXPECTED.lanes["rollouts[1] · change"] == [
        "core.apply configured",
        "core.convert converted",
        f"core.mcp_push push [{PLUGIN}]",
        f"discovery.received [{PLUGIN}]",
        "discovery.debounce [WasmPlugin]",
    ]
    assert EXPECTED.lanes["rollouts[0] · push"] == ["LDS"]
    assert EXPECTED.lanes["rollouts[1] · push"] == ["LDS", "ECDS"]
    assert EXPECTED.lanes["rollouts[0] · ECDS"] == [
        f"envoy.subscribe [{RESOURCE}]",
        f"discovery.push request [{RESOURCE}]",
        "agent.intercept",
        "agent.deliver",
        "envoy.ack",
        "discovery.ack",
    ]
    assert EXPECTED.lanes[f"rollouts[1] · module {PLUGIN}"] == [
        f"{event} {IMAGE}2.0.0" for event in ("agent.fetch", "agent.unpack", "agent.rewrite")
    ]
    assert EXPECTED.lanes["rollouts[1] · load"] == ["worker 0", "worker 1"]
    assert EXPECTED.lanes["start · LDS"][1] == "discovery.push request [0.0.0.0_<gateway-port>]"
    assert EXPECTED.lanes["deliveries"] == ["rollouts[0]", "rollouts[1]"]


def test_payloads_are_told_by_hop_without_what_a_run_draws() -> None:
    assert EXPECTED.payloads is not None
    manifest = EXPECTED.payloads[f"rollouts[1] · core.convert before · WasmPlugin {PLUGIN}"]
    assert "uid" not in manifest["metadata"]
    behind = EXPECTED.payloads[f"rollouts[1] · agent.rewrite after · {RESOURCE}"]
    code = behind["typed_config"]["config"]["vm_config"]["code"]
    assert code == {"local": {"filename": f"<module of {IMAGE}2.0.0>"}}
    listener = EXPECTED.payloads["start · discovery.push LDS sent · 0.0.0.0_<gateway-port>"]
    assert listener["address"] == {"port_value": "<gateway-port>"}


def test_another_configuration_is_told_at_every_hop_with_its_path() -> None:
    found = compare(EXPECTED, told(tag_bump(blocked="/admin"))).payloads
    assert found is not None
    by_place = {change.place: change for change in found}
    convert = by_place[f"rollouts[1] · core.convert before · WasmPlugin {PLUGIN}"]
    assert (convert.path, convert.before, convert.after) == (
        "spec.defaultConfig.block_urls[0]",
        "swagger.html",
        "/admin",
    )
    # In the extension the configuration is a text that holds JSON.
    delivered = by_place[f"rollouts[1] · agent.deliver ECDS delivered · {RESOURCE}"]
    assert delivered.path == "typed_config.config.configuration.value.block_urls[0]"
    assert not any(place.startswith(("start", "rollouts[0]")) for place in by_place)


def the(run: Recorded, event: str, number: int) -> Event:
    """The n-th event of a name."""
    return [each for each in run.events if each.event == event][number]


def without(run: Recorded, event: Event) -> Recorded:
    run.events.remove(event)
    for seq, each in enumerate(run.events):
        each.seq = seq
    return run


def lanes_changed(run: Recorded) -> set[str]:
    return {change.lane for change in compare(EXPECTED, told(run)).order or ()}


def test_a_nack_in_place_of_an_ack_changes_its_lane() -> None:
    run = tag_bump()
    answer = next(each for each in reversed(run.events) if each.event == "envoy.ack" and each.type_url == ECDS)
    answer.event, answer.data = "envoy.nack", {"error": "bad module"}
    found = compare(EXPECTED, told(run)).order
    assert found is not None
    (lane,) = [change for change in found if change.lane == "rollouts[1] · ECDS"]
    assert lane.after is not None
    assert "envoy.nack (bad module)" in lane.after


def test_an_unpack_that_did_not_happen_changes_its_lane() -> None:
    run = tag_bump()
    assert f"rollouts[1] · module {PLUGIN}" in lanes_changed(without(run, the(run, "agent.unpack", 1)))


def test_a_worker_that_did_not_get_the_module_changes_its_lane() -> None:
    run = tag_bump()
    assert "rollouts[1] · load" in lanes_changed(without(run, the(run, "envoy.worker_ready", -1)))


def test_an_older_delivery_after_a_newer_one_shows() -> None:
    run = tag_bump()
    early, late = the(run, "agent.deliver", 0), the(run, "agent.deliver", 1)
    early.nonce, late.nonce = late.nonce, early.nonce
    assert "deliveries" in lanes_changed(run)


def test_extensions_that_are_pushed_before_the_listener_show() -> None:
    run = tag_bump()
    pushes = [each for each in run.events if each.event == "discovery.push" and each.data["reason"] == "push"]
    listener, extension = pushes[-2:]
    run.events[listener.seq], run.events[extension.seq] = extension, listener
    listener.seq, extension.seq = extension.seq, listener.seq
    assert "rollouts[1] · push" in lanes_changed(run)


def test_the_second_file_of_one_image_is_another_module() -> None:
    run = tag_bump()
    for event in run.events:
        if event.image is not None:
            event.image = f"{IMAGE}1.0.0"
    found = told(run).payloads or {}
    assert [file_of(found[f"rollouts[{number}] · agent.rewrite after · {RESOURCE}"]) for number in (0, 1)] == [
        f"<module of {IMAGE}1.0.0>",
        f"<module of {IMAGE}1.0.0 #2>",
    ]


def file_of(extension: Any) -> str:
    file: str = extension["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"]
    return file


def test_without_a_trace_the_verdicts_are_left() -> None:
    alone = transcript(tag_bump().result)
    assert (alone.lanes, alone.payloads) == (None, None)
    assert alone.verdicts == EXPECTED.verdicts
    found = compare(EXPECTED, alone)
    assert (found.order, found.payloads, found.same) == (None, None, True)


def test_a_trace_of_another_run_is_refused() -> None:
    run = tag_bump()
    with pytest.raises(ValueError, match="the trace has no"):
        transcript(run.result, [Event(t_ns=1, event="run.started")], run.read)

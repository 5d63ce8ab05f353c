from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.report.html.page import page_data
from sim.report.html.run_files import read_run
from tests.unit.report.html_run import write_run


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, Any]:
    return page_data(read_run(write_run(tmp_path / "run")))


def the(shown: dict[str, Any], event: str, of_type: str | None = None) -> dict[str, Any]:
    found = [each for each in shown["items"] if each["ev"] == event and of_type in (None, each.get("type"))]
    assert found, event
    item: dict[str, Any] = found[0]
    return item


def test_a_span_is_one_event_with_a_beginning(shown: dict[str, Any]) -> None:
    fetches = [each for each in shown["items"] if each["ev"] == "agent.fetch"]
    assert [(each["s"], each["t"]) for each in fetches] == [(5100, 7000)]


def test_every_step_that_happened_is_told_in_order(shown: dict[str, Any]) -> None:
    told = [each for each in shown["items"] if each.get("told")]
    assert [each["t"] for each in told] == sorted(each["t"] for each in told)
    assert {each["step"] for each in told if "step" in each} == {1, 2, 3, 4, 6, 7, 8, 9}


def test_events_are_drawn_on_the_lane_of_who_acts(shown: dict[str, Any]) -> None:
    lanes = {each["ev"]: each["lane"] for each in shown["items"]}
    assert lanes["core.apply"] == "manifests"
    assert lanes["core.convert"] == "core"
    assert lanes["registry.request"] == "registry"
    assert lanes["envoy.worker_ready"] == "worker0"
    assert lanes["envoy.ack"] == "envoy"
    assert lanes["traffic.failed"] == "clients:users"
    assert set(lanes.values()) <= {lane["id"] for lane in shown["lanes"]}


def test_of_failures_in_a_row_each_is_marked_and_the_first_is_a_stop(shown: dict[str, Any]) -> None:
    failures = [each for each in shown["items"] if each["ev"] == "traffic.failed"]
    assert [each["bad"] for each in failures] == [True, True]
    assert [each.get("told") for each in failures] == [True, None]


def test_an_apply_brings_the_manifest(shown: dict[str, Any]) -> None:
    (entry,) = the(shown, "core.apply")["pay"]
    assert "matchRules" in shown["docs"][entry["doc"]]["spec"]


def test_the_conversion_is_held_against_what_it_converts(shown: dict[str, Any]) -> None:
    before, after = the(shown, "core.convert")["pay"]
    assert (before["role"], after["role"]) == ("before", "after")
    position, number = after["hop"]
    assert shown["items"][position]["ev"] == "core.convert"
    assert number == before["doc"]
    assert "_rules_" in shown["docs"][after["doc"]]["spec"]["pluginConfig"]


def test_each_hop_of_a_plugin_is_held_against_the_one_before(shown: dict[str, Any]) -> None:
    chain = [("core.mcp_push", None), ("discovery.push", "ECDS"), ("agent.rewrite", None), ("agent.deliver", None)]
    hops = [shown["items"][the(shown, *each)["pay"][0]["hop"][0]]["ev"] for each in chain]
    assert hops == ["core.convert", "core.mcp_push", "discovery.push", "agent.rewrite"]
    assert shown["items"][the(shown, "agent.forward")["pay"][0]["hop"][0]]["type"] == "LDS"


def test_of_several_resources_the_plugins_own_is_compared(shown: dict[str, Any]) -> None:
    (entry,) = the(shown, "agent.deliver")["pay"]
    assert len(shown["docs"][entry["doc"]]) == 2
    assert shown["docs"][entry["part"]]["name"] == "higress-system.request-block"
    assert entry["part"] == entry["hop"][1]


def test_each_worker_and_several_gateways_have_their_own_lanes(tmp_path: Path) -> None:
    state = {"ready": True, "running": True, "workers": 2}
    run = write_run(tmp_path / "run", gateways={"a": state, "b": {**state, "workers": 1}})
    ids = [lane["id"] for lane in page_data(read_run(run))["lanes"]]
    assert ids == [
        *("manifests", "core", "discovery", "registry"),
        *("agent:a", "envoy:a", "worker0:a", "worker1:a", "clients:users"),
        *("agent:b", "envoy:b", "worker0:b"),
    ]

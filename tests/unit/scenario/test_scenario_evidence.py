"""The trace around an expectation that was not true: which events, and at which times."""

from __future__ import annotations

from typing import Any

import pytest

from sim.errors import Location
from sim.model import ECDS, LDS
from sim.scenario.evidence import MAX_MOMENTS, Timeline
from sim.scenario.expect import compile_expectation
from sim.scenario.result import Moment
from sim.trace import Event, Trace

PLUGIN = "higress-system/block"
MS = 1_000_000


def at(trace: Trace, at_ms: float, name: str, **fields: Any) -> Event:
    return trace.emit(name, t_ns=round(at_ms * MS), **fields)


def step(trace: Trace, at_ms: float, index: int, text: str, number: str | None = None) -> None:
    at(trace, at_ms, "run.step", span="started", span_id=index + 1, index=index, step=text, number=number)


def rollout_events(trace: Trace, start_ms: float, image: str) -> None:
    """One change on its way through every part, with what is not on its way beside it."""
    nonce = f"nonce-{start_ms}"
    at(trace, start_ms, "core.apply", plugin=PLUGIN, image=image, change="configured")
    at(trace, start_ms + 1, "core.mcp_push", plugin=PLUGIN, changed=[PLUGIN])
    at(trace, start_ms + 2, "discovery.received", changed=[PLUGIN])
    at(trace, start_ms + 3, "discovery.debounce", span="completed", span_id=50)
    at(trace, start_ms + 3.5, "registry.request", method="GET", path="/v2/", status=200)
    at(trace, start_ms + 4, "discovery.push", type_url=ECDS, nonce=nonce, resources=["b"], images={PLUGIN: image})
    at(trace, start_ms + 5, "agent.intercept", type_url=ECDS, nonce=nonce)
    at(trace, start_ms + 6, "agent.rewrite", span="completed", span_id=51, nonce=nonce, plugin=PLUGIN, resource="b")
    at(trace, start_ms + 7, "agent.deliver", type_url=ECDS, nonce=nonce)
    at(trace, start_ms + 8, "envoy.ack", type_url=ECDS, nonce=nonce)
    at(trace, start_ms + 9, "traffic.first_response", load="users", version="1", status=200)
    at(trace, start_ms + 9, "traffic.first_response", load="users", version="1", status=200)


@pytest.fixture
def trace() -> Trace:
    """A run of two steps, each of which makes a rollout, and its end."""
    made = Trace()
    at(made, 0, "run.started", scenario="demo")
    at(made, 50, "envoy.start", span="completed", span_id=20)
    step(made, 100, 0, "apply block.yaml")
    rollout_events(made, 101, "oci://hub.example.com/block:1")
    step(made, 200, 1, "bump block 2", number="2.1")
    at(made, 201, "traffic.failed", load="users", error="status", status=503)
    rollout_events(made, 202, "oci://hub.example.com/block:2")
    at(made, 250, "traffic.connection_drained", load="users", connection=1)
    return made


CONTEXT: dict[str, Any] = {
    "duration_ms": 5,
    "rollouts": [
        {"plugin": PLUGIN, "t_ns": 101 * MS, "gateway": None, "effective_ms": 9, "acked": True},
        {"plugin": PLUGIN, "t_ns": 202 * MS, "gateway": None, "effective_ms": 900, "acked": True},
    ],
    "traffic": {"users": {"failed": 1, "connections_drained": 1, "by_version": {}}},
    "gateways": {"gateway": {"listener_updates": 1, "ready": True}},
}


def told(text: str, trace: Trace) -> list[Moment]:
    held = compile_expectation(text, Location("demo.yaml", 1)).evaluate(CONTEXT, trace.events)
    assert not held.passed
    return held.trace


def names(moments: list[Moment]) -> list[str]:
    return [moment.event for moment in moments]


def test_a_rollout_that_is_named_brings_its_own_way_through_the_parts(trace: Trace) -> None:
    moments = told("rollouts[0].effective_ms < 5", trace)
    assert names(moments) == [
        *("core.apply", "core.mcp_push"),
        *("discovery.push", "agent.intercept", "agent.rewrite", "agent.deliver", "envoy.ack", "traffic.first_response"),
    ]
    assert [moment.left_out for moment in moments] == [0, 0, 2, 0, 0, 0, 0, 0]
    assert {(moment.step, moment.doing) for moment in moments} == {("1", "apply block.yaml")}
    assert moments[-1].after_ms == 10.0


def test_of_all_rollouts_only_those_that_break_it_bring_theirs(trace: Trace) -> None:
    assert {moment.step for moment in told("rollouts.all(r, r.effective_ms < 100)", trace)} == {"2.1"}
    # What breaks it is first among the values too, so that a long list does not hide it.
    held = compile_expectation("rollouts.all(r, r.effective_ms < 100)", Location("demo.yaml", 1)).evaluate(CONTEXT)
    assert list(held.actual) == ["rollouts[1].effective_ms", "rollouts[0].effective_ms"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traffic.users.failed == 0", ["traffic.failed"]),
        ("traffic.users.connections_drained == 0", ["traffic.connection_drained"]),
        ("traffic.users.by_version != {}", ["traffic.first_response"] * 4),
        ("gateways.gateway.ready == false", ["envoy.start"]),
        ('events("registry.request").size() == 1', ["registry.request"] * 2),
    ],
)
def test_what_is_named_decides_which_events_are_told(text: str, expected: list[str], trace: Trace) -> None:
    assert names(told(text, trace)) == expected


def test_where_nothing_is_named_the_last_events_are_told(trace: Trace) -> None:
    moments = told("duration_ms < 5", trace)
    assert len(moments) == MAX_MOMENTS
    assert names(moments)[-3:] == ["traffic.first_response", "traffic.first_response", "traffic.connection_drained"]
    assert "run.step" not in names(moments)
    assert names(told('events("envoy.nack").size() == 1', trace)) == names(moments)


def test_of_many_events_the_first_and_the_last_are_told_and_the_rest_counted() -> None:
    trace = Trace()
    for number in range(20):
        at(trace, number, "registry.request", status=number)
    moments = told('events("registry.request").size() == 1', trace)
    assert [moment.text for moment in moments] == [f"status={number}" for number in (0, 1, 14, 15, 16, 17, 18, 19)]
    assert [moment.left_out for moment in moments] == [0, 0, 12, 0, 0, 0, 0, 0]
    assert sum(moment.left_out for moment in moments) + len(moments) == 20


def test_events_that_were_asked_for_are_not_crowded_out_by_a_rollouts(trace: Trace) -> None:
    moments = told('rollouts[0].acked && events("registry.request").size() == 1', trace)
    assert names(moments) == ["registry.request"] * 2


def test_a_moment_is_told_after_the_latest_step_and_before_the_first_one_before_it(trace: Trace) -> None:
    timeline = Timeline(trace.events)
    early, late = timeline.moment(trace.events[1]), timeline.moment(trace.events[-1])
    assert (early.step, early.after_ms) == ("1", -50.0)
    assert (late.step, late.after_ms, late.doing) == ("2.1", 50.0, "bump block 2")
    assert late.line() == "step 2.1 +50.0 ms traffic.connection_drained load=users connection=1"


def test_without_steps_a_moment_is_told_after_the_trace_began() -> None:
    trace = Trace()
    at(trace, 10, "run.started", scenario="demo")
    moment = Timeline(trace.events).moment(at(trace, 12.5, "agent.deliver", type_url=LDS))
    assert (moment.step, moment.after_ms, moment.line()) == (None, 2.5, "+2.5 ms agent.deliver LDS")


def test_a_long_field_is_cut_so_that_a_moment_stays_one_line() -> None:
    trace = Trace()
    made = at(trace, 0, "agent.fetch", span="failed", span_id=1, error="x" * 500, names=["y" * 500], stream=3)
    text = Timeline(trace.events).moment(made).text
    assert text.startswith("failed error=xxx")
    assert len(text) < 160
    assert "stream" not in text


def test_a_rollout_of_one_gateway_brings_nothing_of_another() -> None:
    trace = Trace()
    at(trace, 0, "core.apply", plugin=PLUGIN, image="i", change="created")
    at(trace, 1, "core.mcp_push", changed=[PLUGIN])
    at(trace, 2, "discovery.received", changed=[PLUGIN])
    at(trace, 3, "discovery.debounce", span="completed", span_id=50)
    for number, name in enumerate(("east", "west")):
        images = {PLUGIN: "i"}
        at(trace, 4, "discovery.push", type_url=ECDS, node_id=name, nonce=f"n{number}", images=images)
        at(trace, 5 + number, "agent.intercept", type_url=ECDS, node_id=name, nonce=f"n{number}", gateway=name)
    context = {"rollouts": [{"plugin": PLUGIN, "t_ns": 0, "gateway": "west", "acked": False}]}
    expectation = compile_expectation("rollouts[0].acked", Location("demo.yaml", 1))
    moments = expectation.evaluate(context, trace.events).trace
    assert [moment.after_ms for moment in moments if moment.event == "agent.intercept"] == [6.0]

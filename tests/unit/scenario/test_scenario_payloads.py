"""What crossed a hop, as expectations see it."""

from __future__ import annotations

from functools import partial
from typing import Any

from sim.errors import Location
from sim.scenario.expect import compile_expectation
from sim.scenario.result import Expectation
from sim.trace import Payload, Trace


def evaluated(text: str, **payloads: Any) -> Expectation:
    trace = Trace()
    rendered = {role: Payload(partial(payloads.get, role)) for role in payloads}
    trace.emit("agent.rewrite", plugin="ns/a", payloads=rendered)
    return compile_expectation(text, Location("s.yaml", 1)).evaluate({}, trace.events)


def test_an_expectation_looks_into_what_crossed_a_hop() -> None:
    after = {"typed_config": {"@type": "wasm", "files": ["/m/1.wasm"]}}
    seen = evaluated('events("agent.rewrite")[0].payloads.after.typed_config.files[0].endsWith(".wasm")', after=after)
    assert seen.passed, seen.error
    assert seen.actual == {'events("agent.rewrite")[0].payloads.after.typed_config.files[0]': "/m/1.wasm"}


def test_a_macro_runs_over_what_crossed() -> None:
    sent = [{"name": "cors"}, {"name": "router"}]
    text = 'events("agent.rewrite")[0].payloads.sent.map(f, f.name) == ["cors", "router"]'
    assert evaluated(text, sent=sent).passed
    assert not evaluated(text, sent=sent[::-1]).passed


def test_a_role_that_the_event_has_not_is_null() -> None:
    assert evaluated('events("agent.rewrite")[0].payloads.sent == null', after={}).passed
    assert evaluated('!has(events("agent.rewrite")[0].payloads.sent)', after={}).passed
    assert evaluated('has(events("agent.rewrite")[0].payloads.after)', after={}).passed


def test_a_key_that_is_not_there_is_named_with_those_that_are() -> None:
    seen = evaluated('events("agent.rewrite")[0].payloads.after.nmae == "x"', after={"name": "x"})
    assert not seen.passed
    assert seen.error is not None and "nmae" in seen.error and "did you mean name?" in seen.error


def test_a_payload_is_rendered_only_when_it_is_named() -> None:
    trace = Trace()

    def render() -> Any:
        raise AssertionError("rendered")

    trace.emit("agent.rewrite", payloads={"after": Payload(render)})
    seen = compile_expectation('events("agent.rewrite").size() == 1', Location("s.yaml", 1))
    assert seen.evaluate({}, trace.events).passed


def test_the_roles_alone_are_told_of_all_payloads() -> None:
    seen = evaluated('events("agent.rewrite")[0].payloads == null', before={"a": 1}, after={"a": 2})
    assert not seen.passed
    assert seen.actual == {'events("agent.rewrite")[0].payloads': ["before", "after"]}

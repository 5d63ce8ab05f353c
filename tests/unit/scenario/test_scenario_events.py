"""The function `events` of expectations: the trace in CEL, and what a failure tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from sim.errors import InvalidInput, Location
from sim.model import ECDS, LDS
from sim.scenario.expect import check_version_rule, compile_expectation, in_words
from sim.scenario.load import load_scenario
from sim.scenario.problems import InvalidScenario
from sim.scenario.result import Expectation, result_schema
from sim.trace import Trace

WHERE = Location("demo.yaml", 31, 5, "spec.expect[0]")
PLUGIN = "higress-system/block"
IMAGE = "oci://hub.example.com/block:"
MS = 1_000_000


class SteppedClock:
    """A millisecond later each time it is asked."""

    def __init__(self) -> None:
        self._now_ns = 5_000 * MS

    def monotonic_ns(self) -> int:
        self._now_ns += MS
        return self._now_ns


def begin(trace: Trace, index: int, text: str, number: str | None = None) -> None:
    trace.emit(
        "run.step", span="started", span_id=90 + index, index=index, step=text, where="demo.yaml:9", number=number
    )


@pytest.fixture
def trace() -> Trace:
    """Two pulls in two steps; the registry refuses the second twice, and then it fails."""
    made = Trace(SteppedClock())  # type: ignore[arg-type]  # nobody asks it for the wall clock
    made.emit("run.started", scenario="demo", profile="higress")
    begin(made, 0, "apply block.yaml")
    made.emit("core.apply", plugin=PLUGIN, image=IMAGE + "1", change="created")
    made.emit("discovery.push", type_url=LDS, version_info="1", resources=["gateway"])
    made.emit("discovery.push", type_url=ECDS, version_info="1", resources=["block"], images={PLUGIN: IMAGE + "1"})
    with made.span("agent.fetch", plugin=PLUGIN, image=IMAGE + "1") as span:
        made.emit("registry.request", method="GET", path="/v2/", status=200)
        span.add(size_bytes=100)
    begin(made, 1, "bump block 2", number="2.1")
    fetch = made.span("agent.fetch", plugin=PLUGIN, image=IMAGE + "2")
    for status in (503, 503, 404):
        made.emit("registry.request", method="GET", path="/v2/block/manifests/2", status=status)
    fetch.fail("404 Not Found")
    made.span("agent.fetch", plugin="other/plugin")
    return made


def hold(text: str, trace: Trace, context: dict[str, Any] | None = None) -> Expectation:
    return compile_expectation(text, WHERE).evaluate(context or {}, trace.events)


@pytest.mark.parametrize(
    "text",
    [
        'events("agent.fetch").size() == 2',
        'size(events("agent.fetch")) == 2',
        'events("agent.fetch", "started").size() == 3',
        'events("agent.fetch", "failed").size() == 1',
        'events("agent.fetch", "completed").size() == 1',
        'events("agent.*").size() == 2 && events("*.fetch").size() == 2 && events("agent.f?tch").size() == 2',
        'events("agent.nack") == []',
        'events("registry.request").filter(e, e.data.status == 503).size() == 2',
        'events("discovery.push").filter(e, e.type == "ECDS").size() == 1',
        'events("discovery.push")[0].type == "LDS" && events("discovery.push")[0].type_url.endsWith(".Listener")',
        'events("agent.fetch").all(e, e.type == null)',
        'events("discovery.push")[1].data.images["higress-system/block"] == "oci://hub.example.com/block:1"',
        'events("agent.fetch").map(e, e.span) == ["completed", "failed"]',
        'events("agent.fetch").exists_one(e, e.data.error != null && e.data.error.contains("404"))',
        'events("agent.fetch").filter(e, has(e.data.error)).size() == 1',
        'events("agent.fetch")[0].data.size_bytes == 100 && events("agent.fetch")[1].data.size_bytes == null',
        'events("*").all(e, e.node_id == null && e.event.startsWith(e.part + "."))',
        'events("agent.fetch")[1].t_ns - events("agent.fetch")[0].t_ns == 6 * 1000000',
        'events("discovery.push").filter(e, "block" in e.data.resources)[0].version_info == "1"',
    ],
)
def test_the_trace_can_be_asked(text: str, trace: Trace) -> None:
    held = hold(text, trace)
    assert held.error is None
    assert held.passed, held.actual


def test_the_events_of_a_check_are_those_so_far(trace: Trace) -> None:
    expectation = compile_expectation('events("agent.fetch").size() == 1', WHERE)
    assert expectation.evaluate({}, trace.events[:10]).passed
    assert not expectation.evaluate({}, trace.events).passed


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('events("agent.fetc").size() == 1', "there is no event agent.fetc:", "did you mean agent.fetch?"),
        ('events("agnt.*").size() == 1', "there is no event agnt.*:", "parts are run, "),
        ('events("fetch").size() == 1', "there is no event fetch:", "write part.operation"),
        ('events("agent.fetch", "strated").size() == 1', "there is no span strated", "did you mean started?"),
        ("events().size() == 1", "events() takes the name of an event in quotes", 'write events("agent.fetch")'),
        ("events(5).size() == 1", "events() takes the name of an event in quotes", 'write events("agent.fetch")'),
        ("events(scenario).size() == 1", "events() takes the name of an event in quotes", "spans are started"),
        ('events("a.b", "failed", 1) == []', "events() takes the name of an event in quotes", "spans are started"),
        ("events.size() == 1", "there is no events to look at", 'write events("agent.fetch")'),
        ('event("agent.fetch").size() == 1', "there is no function event()", "did you mean events?"),
        ('events("agent.fetch").event == 1', 'events("agent.fetch") is a list', 'events("agent.fetch")[0].event'),
        ('events("agent.fetch").all(e, e.imge == "x")', "e has no imge", "did you mean image?"),
        ('events("registry.request").filter(e, e.status == 503) == []', "e has no status", "it has t_ns, part"),
        ('events("registry.request").all(e, e.data.statu == 503)', "e.data has no statu", "did you mean status?"),
        ('events("agent.fetch")[0].data.status == 503', "has no status", "it has gateway, size_bytes, known, error"),
    ],
)
def test_what_the_trace_can_never_answer_is_refused_at_its_line(text: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_expectation(text, WHERE)
    assert message in refused.value.message
    assert hint in str(refused.value.hint)
    assert refused.value.where == WHERE


def test_fields_of_data_that_only_the_fault_knows_are_taken_as_they_are() -> None:
    assert compile_expectation('events("fault.hit").all(e, e.data.anything == 1)', WHERE).evaluate({}).passed


def test_a_version_rule_has_no_trace() -> None:
    with pytest.raises(InvalidInput, match=r"there is no function events\(\)"):
        check_version_rule('events("agent.fetch").size() == 1', WHERE)


def test_of_events_a_failure_tells_how_many_matched_and_the_first_few(trace: Trace) -> None:
    held = hold('events("registry.request").size() == 1', trace)
    assert held.actual == {
        'events("registry.request")': {
            "matched": 4,
            "first": [
                "step 1 +5.0 ms registry.request method=GET path=/v2/ status=200",
                "step 2.1 +2.0 ms registry.request method=GET path=/v2/block/manifests/2 status=503",
                "step 2.1 +3.0 ms registry.request method=GET path=/v2/block/manifests/2 status=503",
            ],
        }
    }
    assert in_words(held) == 'events("registry.request") = 4 matched'


def test_of_a_filter_a_failure_tells_what_was_left(trace: Trace) -> None:
    context = {"environment": {"workers": 500}}
    held = hold('events("registry.request").filter(e, e.data.status > environment.workers) == []', trace, context)
    path = 'events("registry.request").filter(e, e.data.status > environment.workers)'
    assert [held.actual[path]["matched"], held.actual["environment.workers"]] == [2, 500]
    assert [moment.text.endswith("status=503") for moment in held.trace] == [True, True]


def test_of_all_a_failure_tells_those_that_break_it(trace: Trace) -> None:
    held = hold('events("agent.fetch").all(e, e.span == "completed")', trace)
    ((path, told),) = held.actual.items()
    assert path == 'events("agent.fetch").filter(e, !(e.span == "completed"))'
    assert hold(f"{path}.size() == 1", trace).passed
    assert told["first"] == [
        "step 2.1 +5.0 ms agent.fetch failed higress-system/block hub.example.com/block:2 error=404 Not Found"
    ]


def test_of_exists_a_failure_tells_what_there_is(trace: Trace) -> None:
    held = hold('events("agent.fetch").exists(e, e.plugin == "other/plugin")', trace)
    assert [told["matched"] for told in held.actual.values()] == [2, 0]
    assert [moment.event for moment in held.trace] == ["agent.fetch", "agent.fetch"]


def test_a_place_that_no_event_has_is_told_with_those_that_there_are(trace: Trace) -> None:
    held = hold('events("agent.fetch")[2].image == "x"', trace)
    assert held.error == 'events("agent.fetch") has no [2]; the last is events("agent.fetch")[1]'
    assert held.actual['events("agent.fetch")']["matched"] == 2


def test_a_field_of_one_event_is_told_as_a_value(trace: Trace) -> None:
    held = hold('events("agent.fetch")[1].data.error == "503"', trace)
    assert held.actual == {'events("agent.fetch")[1].data.error': "404 Not Found"}


def test_a_failure_tells_the_line_as_it_stands_in_the_file(tmp_path: Path, trace: Trace) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text('  expect:\n  - events("agent.fetch").size() == 1   # one pull\n', encoding="utf-8")
    held = compile_expectation('events("agent.fetch").size() == 1', Location(str(file), 2, 5)).evaluate(
        {}, trace.events
    )
    assert held.where == f"{file}:2"
    assert held.line == '- events("agent.fetch").size() == 1   # one pull'
    assert hold("1 == 2", trace).line is None


def test_what_a_failure_tells_fits_the_published_schema(trace: Trace) -> None:
    held = hold('events("agent.*").all(e, e.plugin == null)', trace)
    schema = {**result_schema(), "$ref": "#/$defs/Expectation"}
    for key in ("type", "required", "properties", "additionalProperties"):
        schema.pop(key)
    jsonschema.Draft202012Validator(schema).validate(held.model_dump(mode="json"))
    assert held.trace


def test_what_has_passed_brings_no_trace_along(trace: Trace) -> None:
    assert hold('events("agent.fetch").size() == 2', trace).trace == []


SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
  steps:
"""


@pytest.mark.parametrize(
    ("step", "key", "hint"),
    [
        ("wait: {event: agent.fetc}", "spec.steps[0].wait.event", "did you mean agent.fetch?"),
        ("wait: {event: agent.*fetc}", "spec.steps[0].wait.event", "did you mean agent.fetch?"),
        ("check: events('agent.fetc').size() == 1", "spec.steps[0].check", "did you mean agent.fetch?"),
        (
            "repeat: {times: 2, steps: [{check: events('agent.fetc').size() == 1}]}",
            "spec.steps[0].repeat.steps[0].check",
            "",
        ),
    ],
)
def test_a_step_that_names_an_event_that_never_comes_is_refused(tmp_path: Path, step: str, key: str, hint: str) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(f"{SCENARIO}  - {step}\n", encoding="utf-8")
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(file)
    (problem,) = refused.value.problems
    assert problem.where is not None
    assert (problem.where.line, problem.where.key) == (6, key)
    assert "there is no event" in problem.message
    assert hint in str(problem.hint)

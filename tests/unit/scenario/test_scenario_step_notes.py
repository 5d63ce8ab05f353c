"""What is told of steps: in one line, by number, and of what stands in their way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from sim.errors import StepFailed
from sim.manifests import Document
from sim.scenario.describe import describe
from sim.scenario.places import placed
from sim.scenario.schema import AnyStep, Step
from sim.scenario.stage import Branch
from sim.scenario.steps import StepRunner
from sim.scenario.troubles import troubles
from sim.trace import Trace

STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ({"fault": {"on": "discovery-agent", "down": {}}}, "fault on=discovery-agent down={}"),
        ({"request": {"path": "/a"}}, "request path=/a method=GET timeout=5s"),
        ({"request": {"expect": {"status": 403}}}, 'request path=/ method=GET timeout=5s expect={"status": 403}'),
    ],
)
def test_a_line_says_what_was_written_and_no_more(step: dict[str, Any], line: str) -> None:
    assert describe(STEP.validate_python(step)) == line


async def test_a_step_within_steps_is_told_by_its_number_and_its_round() -> None:
    trace = Trace()
    stage = cast("Any", SimpleNamespace(pipeline=SimpleNamespace(trace=trace), loads={}))
    steps = [
        {"repeat": {"times": 2, "steps": [{"sleep": "0s"}, {"parallel": [{"load": LOAD}, [{"sleep": "0s"}]]}]}},
    ]
    document = Document("demo.yaml", {"spec": {"steps": steps}}, None)
    (one,) = placed([STEP.validate_python(step) for step in steps], document)
    with pytest.raises(StepFailed) as failed:
        await StepRunner(stage, cast("Any", None)).carry_out(one, Branch())
    assert failed.value.step == "1.1.2.1.1 (load traffic=nobody rate=1/s), round 1 of 2"


LOAD = {"traffic": "nobody", "rate": "1/s"}


def test_parts_that_are_down_and_faults_in_force_are_told_with_step_and_hits() -> None:
    trace = Trace()
    for number, target in enumerate(("core", "agent/west", "discovery")):
        with trace.span("run.step", index=number), trace.span("run.kill", target=target):
            pass
    with trace.span("run.start", target="discovery"):
        pass
    for name in ("slow", "away"):
        trace.emit("fault.injected", fault=name, kind="latency", on="agent-registry")
    trace.emit("fault.hit", fault="slow", kind="latency", on="agent-registry")
    trace.emit("fault.cleared", fault="away", kind="latency", on="agent-registry", hits=0)
    assert list(troubles(trace.events)) == [
        "Core is down since step 1",
        "the agent of west is down since step 2",
        "the fault slow on agent-registry is in force (1 hit)",
    ]

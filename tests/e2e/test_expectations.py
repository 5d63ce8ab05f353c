"""Expectations over the trace and thresholds, on a real run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # the package has no types
import pytest

from sim.scenario.result import result_schema
from sim.trace import read_trace
from sim.trace.names import COMMON, EVENTS
from tests.e2e.conftest import SCENARIOS, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]

SCENARIO = f"""\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {{name: expects, title: {{en: Two rounds between two versions}}}}
spec:
  debounce: {{after: 10ms, max: 1s}}
  images:
  - {{plugin: request-block, tag: 1.0.0}}
  - {{plugin: request-block, tag: 2.0.0}}
  traffic:
    users: {{rate: 100/s, connections: 4}}
  steps:
  - apply: {SCENARIOS / "tag-bump" / "request-block.yaml"}
  - wait: {{effective: higress-system/request-block}}
  - check: events("agent.fetch").size() == 1
  - repeat:
      times: 2
      steps:
      - bump: {{plugin: higress-system/request-block, tag: 2.0.0}}
      - wait: {{effective: higress-system/request-block}}
      - bump: {{plugin: higress-system/request-block, tag: 1.0.0}}
      - wait: {{effective: higress-system/request-block}}
EXTRA_STEP
  expect:
  - events("agent.fetch").size() == 2
  - events("registry.request").filter(e, e.data.status >= 500).size() == 0
  - events("discovery.push").filter(e, e.type == "ECDS").size() == size(rollouts)
  - events("agent.stream_closed").size() == 0 && events("envoy.stop").size() == 0
  thresholds:
    effective_ms:
    - count == 5
    - {{over: {{change: image}}, must: [count == 4, p(95) < 1m]}}
    stages_ms.fetch: count == 2
"""


@pytest.fixture
def result(tmp_path: Path, ecdsim: Run) -> Callable[[str, int], dict[str, Any]]:
    """Run the scenario with a further step; gives its result, which fits the published schema."""

    def run(step: str, status: int) -> dict[str, Any]:
        file = tmp_path / "scenario.yaml"
        file.write_text(SCENARIO.replace("EXTRA_STEP", step), encoding="utf-8")
        ended = ecdsim("run", file, "-q", "-o", "json")
        assert ended.status == status, ended.stderr
        jsonschema.validate(ended.result, result_schema())
        return ended.result

    return run


def test_what_was_expected_of_the_trace_and_of_all_rollouts_together_holds(
    result: Callable[[str, int], dict[str, Any]],
) -> None:
    made = result("  - sleep: 1ms", 0)
    assert [each["passed"] for each in made["expectations"]] == [True] * 5
    assert [(each["actual"], each["count"]) for each in made["thresholds"]][:2] == [(5, 5), (4, 4)]
    assert made["thresholds"][2]["distribution"]["p95"] == made["thresholds"][2]["actual"]
    unknown = {
        f"{event.event}: {field}"
        for event in read_trace(Path(made["directory"]))
        if (own := EVENTS[event.event]) is not None
        for field in event.data.keys() - {*own, *COMMON, "payloads"}
    }
    assert unknown == set(), "add them to sim/trace/names.py"


def test_a_check_that_fails_ends_the_run_and_tells_the_trace_around_it(
    result: Callable[[str, int], dict[str, Any]],
) -> None:
    made = result('  - check: events("agent.fetch").size() == 1  # and no other', 1)
    assert made["outcome"] == "failed"
    failed = made["expectations"][1]
    assert failed["line"] == '- check: events("agent.fetch").size() == 1  # and no other'
    assert failed["actual"]['events("agent.fetch")']["matched"] == 2
    assert [(moment["event"], moment["step"]) for moment in failed["trace"]] == [
        ("agent.fetch", "2"),
        ("agent.fetch", "4.1.2"),
    ]
    assert made["error"]["hint"] == 'events("agent.fetch") = 2 matched'
    assert [each["passed"] for each in made["thresholds"]] == [True] * 4

"""How the terminal tells what was to be true of a run."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from sim.report.terminal import print_report
from sim.scenario.result import Distribution, Expectation, Moment, Result, Threshold
from tests.unit.report.results import result


def report(made: Result, width: int = 100) -> list[str]:
    file = io.StringIO()
    print_report(Console(file=file, width=width, color_system=None), made, [])
    lines = file.getvalue().splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith(("expectations", "thresholds"))]
    return lines[starts[0] :]


def moment(step: str | None, after_ms: float, event: str, text: str = "", left_out: int = 0) -> Moment:
    doing = None if step is None else f"bump {step}"
    return Moment(t_ns=0, step=step, doing=doing, after_ms=after_ms, event=event, text=text, left_out=left_out)


FETCHES = [moment("2", 101.25, "agent.fetch", "a/b image:1"), moment("3.1", 4.0, "agent.fetch", "a/b image:2", 7)]


def failed(**changes: object) -> Expectation:
    facts: dict[str, object] = {
        "that": 'events("agent.fetch").size() == 1',
        "passed": False,
        "actual": {'events("agent.fetch")': {"matched": 2, "first": [each.line() for each in FETCHES]}},
        "where": "demo/scenario.yaml:31",
        "line": '- events("agent.fetch").size() == 1  # one pull',
        "trace": FETCHES,
    }
    return Expectation.model_validate({**facts, **changes})


def test_a_failed_expectation_is_told_with_its_line_and_the_trace_around_it() -> None:
    assert report(result(outcome="failed", expectations=[failed()]))[:12] == [
        "expectations  0 of 1 hold",
        '  ✗ events("agent.fetch").size() == 1',
        '      events("agent.fetch") matched 2',
        '      demo/scenario.yaml:31  - events("agent.fetch").size() == 1  # one pull',
        "      in the trace",
        "        step 2  bump 2",
        "          +101.2 ms  agent.fetch a/b image:1",
        "        … 7 events between",
        "        step 3.1  bump 3.1",
        "            +4.0 ms  agent.fetch a/b image:2",
        "",
        "FAILED · 1 of 1 expectation failed · 5.42 s · runs/tag-bump-20250101T100000Z",
    ]


def test_events_that_the_trace_around_does_not_show_are_listed_with_the_value() -> None:
    lines = report(result(outcome="failed", expectations=[failed(trace=[])]))
    assert lines[2:5] == [
        '      events("agent.fetch") matched 2',
        "        step 2 +101.2 ms agent.fetch a/b image:1",
        "        step 3.1 +4.0 ms agent.fetch a/b image:2",
    ]
    assert "in the trace" not in "\n".join(lines)


def test_a_step_of_the_next_round_has_its_own_heading() -> None:
    rounds = [moment("2.1", 5.0, "agent.deliver"), moment("2.1", 9.0, "envoy.ack"), moment("2.1", 5.0, "agent.deliver")]
    lines = report(result(outcome="failed", expectations=[failed(trace=rounds)]))
    assert [line.strip() for line in lines].count("step 2.1  bump 2.1") == 2


def test_before_the_first_step_times_are_negative_and_without_steps_there_is_no_heading() -> None:
    lines = report(result(outcome="failed", expectations=[failed(trace=[moment(None, -1234.5, "run.started")])]))
    at = lines.index("      in the trace")
    assert lines[at + 1] == "          -1,234.5 ms  run.started"


def test_of_very_many_values_the_rest_is_counted() -> None:
    values = {f"rollouts[{number}].acked": True for number in range(40)}
    lines = report(result(outcome="failed", expectations=[failed(actual=values, trace=[])]))
    assert [line for line in lines if "acked is true" in line] == lines[2:14]
    assert lines[14] == "      … 28 more values in result.json"


@pytest.mark.parametrize("width", [60, 100])
def test_long_events_are_wrapped_and_never_wider_than_the_terminal(width: int) -> None:
    long = [moment("2", 1.0, "agent.fetch", "word " * 40), moment("2", 2.0, "envoy.log", "字" * 150)]
    lines = report(result(outcome="failed", expectations=[failed(trace=long, line=None)]), width)
    assert max(cell_len(line) for line in lines[:-1]) <= width
    assert "\n".join(lines).count("word") == 40


HOSTILE = "[red]x[/red] \x1b[31m"


def test_what_events_say_can_neither_style_nor_steer_the_terminal() -> None:
    trace = [moment("2", 1.0, "agent.fetch", HOSTILE).model_copy(update={"doing": HOSTILE})]
    actual = {'events("agent.fetch")': {"matched": 1, "first": [HOSTILE]}}
    shown = "\n".join(report(result(expectations=[failed(trace=trace, actual=actual, line=HOSTILE)])))
    assert "\x1b" not in shown
    assert shown.count("[red]x[/red] \\x1b[31m") == 4


DISTRIBUTION = Distribution(min=101.2, avg=120.0, med=115.0, p95=180.1, max=1203.4)


def threshold(that: str, actual: float | None, *, passed: bool = True, **changes: object) -> Threshold:
    facts: dict[str, object] = {
        "metric": "effective_ms",
        "that": that,
        "passed": passed,
        "actual": actual,
        "count": 20,
        "rollouts": 20,
        "distribution": DISTRIBUTION,
        "where": "demo/scenario.yaml:34",
    }
    return Threshold.model_validate({**facts, **changes})


def test_thresholds_stand_under_the_distribution_of_what_they_are_about() -> None:
    over = {"change": "image"}
    thresholds = [
        threshold("p(95) < 500ms", 180.1),
        threshold("max < 1s", 1203.4, passed=False),
        threshold("count >= 20", 20),
        threshold("med < 1s", 115.0, over=over, count=17),
        threshold(
            "max < 1s", None, metric="stages_ms.fetch", passed=False, count=0, distribution=None,
            error="there is no sample: why",
        ),
    ]  # fmt: skip
    assert report(result(outcome="failed", thresholds=thresholds)) == [
        "thresholds  3 of 5 hold",
        "  effective_ms",
        "    count 20 · min 101.2 ms · med 115.0 ms · p(95) 180.1 ms · max 1.20 s",
        "    ✓ p(95) < 500ms  is 180.1 ms",
        "    ✗ max < 1s  is 1.20 s",
        "        demo/scenario.yaml:34",
        "    ✓ count >= 20  is 20",
        "  effective_ms · change image  17 of 20 rollouts",
        "    count 17 · min 101.2 ms · med 115.0 ms · p(95) 180.1 ms · max 1.20 s",
        "    ✓ med < 1s  is 115.0 ms",
        "  stages_ms.fetch  0 of 20 rollouts",
        "    ✗ max < 1s",
        "        there is no sample: why",
        "        demo/scenario.yaml:34",
        "",
        "FAILED · 2 of 5 thresholds failed · 5.42 s · runs/tag-bump-20250101T100000Z",
    ]


@pytest.mark.parametrize(
    ("that", "actual", "noted"),
    [
        ("rollouts.all(r, r.acked)", {"rollouts": []}, True),
        ('events("agent.fetch").all(e, e.ok)', {'events("agent.fetch")': {"matched": 0, "first": []}}, True),
        ("rollouts.all(r, r.acked)", {"rollouts[0].acked": True}, False),
        ("size(rollouts) == 0", {"size(rollouts)": 0, "rollouts": []}, False),
    ],
)
def test_what_holds_of_all_of_nothing_is_marked(that: str, actual: dict[str, object], noted: bool) -> None:
    lines = report(result(expectations=[failed(that=that, passed=True, actual=actual, trace=[])]))
    assert any("0 items" in line for line in lines) is noted

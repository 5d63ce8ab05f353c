from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from sim.model import ECDS, LDS
from sim.report.milestones import Milestones
from sim.report.progress import Progress
from sim.trace import Trace
from tests.unit.report.results import IMAGE, PLUGIN, event

SHOW_CURSOR = "\x1b[?25h"
HIDE_CURSOR = "\x1b[?25l"


def plain_console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=80), file


def live_console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=80, height=40, force_terminal=True, color_system=None), file


def bump(trace: Trace) -> None:
    """A tag bump from the manifest to the first response, 1 ms a stage."""
    ms = iter(range(0, 100_000_000, 1_000_000))
    trace.emit("core.apply", t_ns=next(ms), plugin=PLUGIN, image=IMAGE + "2.0.0")
    trace.emit("core.convert", t_ns=next(ms), span="completed", plugin=PLUGIN)
    trace.emit("discovery.received", t_ns=next(ms), type_url="extensions.istio.io/v1alpha1/WasmPlugin")
    trace.emit("discovery.debounce", t_ns=next(ms), span="completed")
    trace.emit("discovery.push", t_ns=next(ms), type_url=ECDS)
    trace.emit("agent.intercept", t_ns=next(ms), type_url=ECDS)
    for name in ("agent.fetch", "agent.unpack", "agent.rewrite"):
        trace.emit(name, t_ns=next(ms), span="completed", plugin=PLUGIN)
    trace.emit("agent.deliver", t_ns=next(ms), type_url=ECDS)
    trace.emit("envoy.worker_ready", t_ns=next(ms), worker=0)
    trace.emit("traffic.first_response", t_ns=next(ms), load="users", version="2.0.0")


def test_without_a_terminal_there_is_a_line_for_each_step_and_the_milestones() -> None:
    console, file = plain_console()
    trace = Trace()
    with Progress(console, trace) as progress:
        progress.on_step(1, 2, "apply request-block.yaml")
        progress.on_step(2, 2, "bump to 2.0.0")
        bump(trace)
    shown = file.getvalue()
    lines = shown.splitlines()
    assert lines[0] == "[1/2] apply request-block.yaml"
    assert lines[1].startswith("[1/2] done after ")
    assert lines[2] == "[2/2] bump to 2.0.0"
    assert f"{PLUGIN}: " in shown
    assert "applied registry.local/plugins/request-block:2.0.0" in shown
    for milestone in ("convert 1.00 ms", "push 2.00 ms", "fetch 1.00 ms", "effective after 11.0 ms"):
        assert milestone in shown
    assert lines[-1].startswith("[2/2] done after ")
    assert not {"\r", "\x1b"} & set(shown)


def test_a_response_by_another_version_than_the_images_makes_no_rollout_effective() -> None:
    for shown_by_traffic, effective in (("2.0.0", True), ("another", False)):
        console, file = plain_console()
        trace = Trace()
        with Progress(console, trace, versions={IMAGE + "2.0.0": shown_by_traffic}):
            bump(trace)
        assert ("effective after" in file.getvalue()) == effective


def test_milestones_of_one_rollout_share_a_line_so_that_there_are_few() -> None:
    console, file = plain_console()
    trace = Trace()
    with Progress(console, trace):
        for _ in range(50):
            bump(trace)
    assert len(file.getvalue().splitlines()) <= 60


def test_a_step_that_an_exception_ended_is_not_called_done() -> None:
    console, file = plain_console()
    with pytest.raises(KeyboardInterrupt), Progress(console, Trace()) as progress:
        progress.on_step(1, 2, "wait")
        raise KeyboardInterrupt
    assert file.getvalue().splitlines()[-1].startswith("[1/2] stopped after ")


def test_the_first_failed_request_of_a_load_is_told_once() -> None:
    console, file = plain_console()
    with Progress(console, Trace()) as progress:
        for failed in (0, 1, 2):
            progress.on_traffic("users", 200.0, {"1.0.0": 10}, failed)
    assert file.getvalue().count("users: the first failed request") == 1


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_a_live_view_gives_the_terminal_back_however_it_ends(error: type[BaseException] | None) -> None:
    console, file = live_console()
    stdout, stderr = sys.stdout, sys.stderr
    try:
        with Progress(console, Trace(), live=True) as progress:
            progress.on_step(1, 1, "wait")
            assert sys.stdout is stdout
            if error is not None:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert file.getvalue().rindex(SHOW_CURSOR) > file.getvalue().rindex(HIDE_CURSOR)
    assert sys.stderr is stderr


def test_the_live_view_shows_steps_stages_and_the_version_mix() -> None:
    console, file = live_console()
    trace = Trace()
    with Progress(console, trace, live=True) as progress:
        progress.on_step(1, 2, "apply")
        progress.on_step(2, 2, "bump")
        progress.on_traffic("users", 199.6, {"1.0.0": 60, "2.0.0": 40}, 3)
        bump(trace)
    shown = file.getvalue()
    for words in (
        "✔ 1/2  apply",
        "bump",
        "✔ convert 1.00 ms",
        "✔ first_response 1.00 ms",
        "effective after 11.0 ms",
    ):
        assert words in shown
    assert "200/s  3 failed" in shown
    assert "1.0.0 60 %" in shown
    assert "2.0.0 40 %" in shown


@pytest.mark.parametrize("live", [False, True])
def test_hostile_names_stay_harmless_while_the_run_goes_on(live: bool) -> None:
    console, file = live_console() if live else plain_console()
    trace = Trace()
    with Progress(console, trace, live=live) as progress:
        progress.on_step(1, 1, "[red]x[/red]\x1b[31m")
        progress.on_traffic("[b]\x1b[31m", 1.0, {"\x1b[31m": 1}, 1)
        trace.emit("core.apply", plugin="\x1b[31m", image="\x1b[31m")
        trace.emit("envoy.nack", type_url=ECDS, error="\x1b[31m")
    assert "\x1b[31m" not in file.getvalue()
    assert "[red]x[/red]\\x1b[31m" in file.getvalue()


def test_leaving_ends_the_subscription_to_the_trace() -> None:
    console, file = plain_console()
    trace = Trace()
    with Progress(console, trace):
        pass
    bump(trace)
    assert file.getvalue() == ""


def test_forced_colours_in_a_file_do_not_make_it_a_terminal() -> None:
    console, file = live_console()
    with Progress(console, Trace()) as progress:
        progress.on_step(1, 1, "wait")
    assert HIDE_CURSOR not in file.getvalue()


def test_a_terminal_that_went_away_does_not_hide_why_the_run_ended() -> None:
    console, file = plain_console()
    with pytest.raises(RuntimeError, match="the reason"), Progress(console, Trace()) as progress:
        progress.on_step(1, 1, "wait")
        file.close()
        raise RuntimeError("the reason")


def test_a_failed_pull_marks_its_stage_and_says_what_stands_in_its_place() -> None:
    milestones = Milestones()
    milestones.take(event(0, "core.apply", plugin=PLUGIN))
    milestones.take(event(1, "agent.fetch", span="started", plugin=PLUGIN))
    assert milestones.rollouts[0].running == "fetch"
    milestones.take(event(2, "agent.fetch", span="failed", plugin=PLUGIN, data={"error": "404"}))
    said = milestones.take(event(3, "agent.replace", plugin=PLUGIN, data={"replacement": "allow_all"}))
    assert milestones.rollouts[0].failed == "fetch"
    assert [made.trouble for made in said] == [True]
    assert milestones.rollouts[0].troubles == [
        "fetch failed: 404",
        "allow-all in its place, the plugin is NOT active",
    ]


def test_events_of_another_plugin_or_type_move_nothing() -> None:
    milestones = Milestones()
    milestones.take(event(0, "core.apply", plugin=PLUGIN))
    assert milestones.take(event(1, "core.convert", span="completed", plugin="other/plugin")) == []
    assert milestones.take(event(1, "discovery.received", type_url="networking.istio.io/v1alpha3/Gateway")) == []
    assert milestones.take(event(1, "envoy.nack", type_url=LDS)) == []
    assert milestones.rollouts[0].stages() == []


def test_a_response_before_the_module_was_delivered_is_not_the_new_version() -> None:
    milestones = Milestones()
    for at_ms, name, type_url in (
        (-1, "agent.deliver", ECDS),
        (0, "core.apply", None),
        (1, "agent.deliver", LDS),
        (2, "traffic.first_response", None),
    ):
        milestones.take(event(at_ms, name, type_url=type_url, plugin=PLUGIN if name == "core.apply" else None))
    assert milestones.rollouts[0].stages() == []
    assert not milestones.rollouts[0].over


def test_a_worker_that_envoys_log_tells_of_late_counts_when_it_switched() -> None:
    milestones = Milestones()
    milestones.take(event(0, "core.apply", plugin=PLUGIN))
    milestones.take(event(5, "agent.deliver", type_url=ECDS))
    milestones.take(event(9, "traffic.first_response", data={"version": "2.0.0"}))
    milestones.take(event(8, "envoy.worker_ready", data={"worker": 0}))
    milestones.take(event(12, "envoy.worker_ready", data={"worker": 1}))
    assert milestones.rollouts[0].stages() == [("deliver", 5.0), ("load", 3.0), ("first_response", 1.0)]


def test_a_newer_change_of_the_same_plugin_takes_the_place_of_the_older() -> None:
    milestones = Milestones()
    for at_ms, plugin in enumerate((PLUGIN, "other/plugin", PLUGIN)):
        milestones.take(event(at_ms, "core.apply", plugin=plugin))
    assert [rollout.plugin for rollout in milestones.rollouts] == ["other/plugin", PLUGIN]


def test_what_is_noted_of_a_step_is_a_line_below_it() -> None:
    console, file = plain_console()
    trace = Trace()
    with Progress(console, trace) as progress:
        progress.on_step(1, 1, "bump to 2.0.0")
        with trace.span("run.step", index=0) as span:
            span.add(note="changes nothing")
    assert file.getvalue().splitlines()[:2] == ["[1/1] bump to 2.0.0", "      changes nothing"]

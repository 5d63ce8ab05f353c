from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from rich.console import Console

from sim.report.terminal import print_report
from sim.scenario.result import ErrorReport, Expectation, Latency, Result, WorkerSwitch
from sim.trace import Event
from tests.unit.report.results import IMAGE, PLUGIN, event, listener_events, result, rollout, stages, traffic


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest) -> int:
    assert isinstance(request.param, int)
    return request.param


def report(made: Result, width: int, events: Sequence[Event] = (), *, terminal: bool = False) -> list[str]:
    file = io.StringIO()
    print_report(Console(file=file, width=width, force_terminal=terminal, color_system=None), made, list(events))
    return file.getvalue().splitlines()


def line(lines: list[str], *words: str) -> str:
    """The first line that contains all `words`."""
    found = [each for each in lines if all(word in each for word in words)]
    assert found, f"no line has {words}:\n" + "\n".join(lines)
    return found[0]


def test_a_tag_bump_shows_each_step_with_its_time(width: int) -> None:
    lines = report(result(), width)
    assert line(lines, PLUGIN, "new image", "rollouts[0]")
    assert line(lines, "registry.local/plugins/request-block:1.0.0 → 2.0.0")
    assert "0.41 ms" in line(lines, "  1  Core converts")
    assert "101.2 ms" in line(lines, "  2  Core → Discovery")
    assert line(lines, "mcp 0.90 ms · debounce 100.3 ms")
    assert "9.10 ms" in line(lines, "  6  the agent intercepts ECDS")
    assert "6.20 ms" in line(lines, "  7  the agent pulls the image")
    assert "1.30 ms" in line(lines, "  8  the agent unpacks")
    assert "11.6 ms" in line(lines, "  9  Envoy loads")
    assert "129.8 ms" in line(lines, "effective")
    assert "131.2 ms" in line(lines, "settled")
    assert lines[-1] == "PASSED · 5.42 s · runs/tag-bump-20250101T100000Z"


def test_on_a_tag_bump_the_listener_steps_say_why_they_have_no_time(width: int) -> None:
    lines = report(result(), width)
    for step in ("  3  Discovery sends LDS", "  4  the agent passes LDS on"):
        assert line(lines, step).split(step)[1].split() == ["–", "same", "bytes,", "listener", "untouched"]
    assert "–  subscribed already" in line(lines, "  5  Envoy subscribes")


def test_bars_follow_each_other_on_the_rollouts_own_axis(width: int) -> None:
    lines = report(result(), width)
    starts = [
        min(position for position, character in enumerate(line(lines, step)) if character in "█▓▏")
        for step in (
            "  1  Core",
            "  2  Core",
            "  6  the agent",
            "  7  the agent",
            "  8  the agent",
            "  9  Envoy",
        )
    ]
    assert starts == sorted(starts)
    # 112 of 130 ms had passed when the pull began.
    assert (starts[3] - starts[0]) / (width - starts[0]) == pytest.approx(0.85, abs=0.06)


def test_when_the_listener_changes_its_steps_show_their_moments(width: int) -> None:
    added = rollout(**{"change": "add", "from": None, "to": IMAGE + "1.0.0", "listener_updates": 1})
    lines = report(result(rollouts=[added]), width, listener_events(IMAGE + "1.0.0"))
    assert "+101.9 ms" in line(lines, "  3  ", "◆")
    assert "+102.9 ms" in line(lines, "  4  ", "◆")
    assert "+108.9 ms" in line(lines, "  5  ", "◆")
    assert line(lines, "listener", "updated once")


def test_moments_are_taken_from_the_rollouts_own_apply() -> None:
    first = rollout(**{"change": "add", "from": None, "to": IMAGE + "1.0.0", "listener_updates": 1})
    second = rollout(change="other", listener_updates=1, t_ns=2_000_000_000)
    early = [event(-500, "discovery.push", type_url="other"), *listener_events(IMAGE + "1.0.0")]
    late = [event(1000, "core.apply", plugin=PLUGIN, image=IMAGE + "2.0.0")]
    late += [
        event(1003, "discovery.push", type_url=listener_events("")[1].type_url, plugin=None),
        event(1001, "discovery.push", type_url=listener_events("")[1].type_url, plugin="other/plugin"),
    ]
    moments = [each for each in report(result(rollouts=[first, second]), 120, early + late) if "  3  " in each]
    assert ["+101.9 ms" in moments[0], "+3.00 ms" in moments[1]] == [True, True]


def test_a_cached_configuration_change_says_where_the_module_came_from(width: int) -> None:
    changed = rollout(
        **{
            "change": "config",
            "from": IMAGE + "2.0.0",
            "cached": True,
            "stages_ms": stages(fetch=None, unpack=None),
            "settled_ms": None,
        }
    )
    lines = report(result(rollouts=[changed]), width)
    assert line(lines, PLUGIN, "new configuration")
    assert "  registry.local/plugins/request-block:2.0.0" in lines
    pulled = line(lines, "  7  the agent pulls the image")
    assert pulled.endswith("–  from the cache")
    assert line(lines, "rewrite 0.30 ms · deliver 0.20 ms")
    assert "–" in line(lines, "settled")


def test_workers_switch_one_by_one_and_one_that_never_did_is_a_dash(width: int) -> None:
    assert "worker 0 at +127.6 ms · worker 1 –" in line(report(result(), width), "     workers ")


def test_many_workers_are_broken_between_not_inside(width: int) -> None:
    many = rollout(workers=[WorkerSwitch(worker=n, ready_ms=100.0 + n) for n in range(16)])
    lines = report(result(rollouts=[many]), width)
    for number in range(16):
        assert line(lines, f"worker {number} at +{100 + number}.0 ms")


def test_a_failed_pull_replaced_by_allow_all_says_the_plugin_is_not_active(width: int) -> None:
    failed = rollout(
        stages_ms=stages(fetch=30.0, unpack=None, rewrite=None, deliver=None, load=None, first_response=None),
        effective_ms=None,
        settled_ms=None,
        workers=[],
        error="GET /v2/plugins/request-block/manifests/2.0.0: 404",
        replaced_by="allow_all",
    )
    lines = report(result(rollouts=[failed], outcome="failed"), width)
    assert line(lines, "✗ the plugin is NOT active: the agent put allow-all in its place")
    assert line(lines, "✗ the pull failed")
    assert line(lines, "error", "404")
    assert "allow-all in the plugin's place" in line(lines, "  8  ")
    assert "traffic never saw it" in line(lines, "effective", "–")
    assert line(lines, "answer", "ACK by Envoy, of the replacement")
    assert lines[-1].startswith("FAILED · 5.42 s")


def test_a_plugin_whose_versions_nothing_tells_apart_is_not_called_unseen(width: int) -> None:
    untold = rollout(effective_ms=None, settled_ms=None, traffic_tells=False)
    assert line(report(result(rollouts=[untold]), width), "effective", "traffic can't tell its versions")


def test_deny_all_in_place_says_that_requests_are_refused(width: int) -> None:
    failed = rollout(replaced_by="deny_all", error="no such tag", effective_ms=None)
    assert line(report(result(rollouts=[failed]), width), "NOT active", "deny-all")


def test_a_nack_by_envoy_is_at_step_nine_and_says_what_stays(width: int) -> None:
    nacked = rollout(
        acked=False,
        nacked=True,
        error="Unable to create Wasm plugin",
        stages_ms=stages(load=None, first_response=None),
        effective_ms=None,
    )
    lines = report(result(rollouts=[nacked]), width)
    assert "–  ✗ NACK by Envoy" in line(lines, "  9  ")
    assert line(lines, "answer", "NACK by Envoy")
    assert line(lines, "error", "Unable to create Wasm plugin")
    assert line(lines, "✗ the new version is NOT active: Envoy keeps what it had.")


def test_a_nack_by_the_agent_is_not_blamed_on_envoy(width: int) -> None:
    nacked = rollout(
        acked=False,
        nacked=True,
        error="no such tag",
        stages_ms=stages(fetch=None, unpack=None, rewrite=None, deliver=None, load=None, first_response=None),
        effective_ms=None,
    )
    lines = report(result(rollouts=[nacked]), width)
    assert line(lines, "answer", "NACK by the agent")
    assert "✗ the pull failed" in line(lines, "  7  ")
    assert "NACK to Discovery" in line(lines, "  8  ")
    assert "did not happen" in line(lines, "  9  ")


def test_traffic_that_lost_nothing_says_so_in_one_line(width: int) -> None:
    lines = report(result(), width)
    assert line(lines, "traffic users", "✓ no request failed, no connection broke")
    assert line(lines, "by version", "1.0.0 1,200 (60 %) · 2.0.0 800 (40 %)")
    assert line(lines, "latency", "p50 0.41 ms · p99 3.20 ms · max 14.2 ms")
    assert line(lines, "longest gap", "12.1 ms")


def test_traffic_that_lost_something_counts_it(width: int) -> None:
    hurt = traffic(failed=3, connections_broken=1, connections_drained=8)
    lines = report(result(traffic={"users": hurt}), width)
    assert line(lines, "✗ 3 of 2,000 requests failed, 1 connection broke, 8 were drained")


def test_what_was_not_measured_is_a_dash_and_never_zero(width: int) -> None:
    silent = traffic(
        requests=5,
        failed=5,
        by_version={},
        by_status={},
        longest_gap_ms=None,
        latency_ms=Latency(p50=None, p99=None, max=None),
    )
    empty = rollout(
        stages_ms=stages(**dict.fromkeys(type(stages()).model_fields)),
        effective_ms=None,
        settled_ms=None,
        workers=[],
        acked=False,
        listener_updates=None,
    )
    lines = report(result(rollouts=[empty], traffic={"users": silent}), width)
    assert line(lines, "latency", "p50 – · p99 – · max –")
    assert line(lines, "longest gap  –")
    assert not [each for each in lines if "0 ms" in each or "0.00" in each]
    assert all("–" in line(lines, f"  {number}  ") for number in range(1, 10))
    assert line(lines, "answer", "–", "neither ACK nor NACK")


def test_a_failed_expectation_shows_what_it_saw_and_where_it_stands(width: int) -> None:
    expectations = [
        Expectation(that="traffic.users.failed == 0", passed=True, actual={}, where="tag-bump.yaml:30"),
        Expectation(
            that="rollouts[0].effective_ms < rollouts[0].settled_ms",
            passed=False,
            actual={"rollouts[0].effective_ms": 129.81, "rollouts[0].settled_ms": None},
            where="scenarios/tag-bump.yaml:31",
            error="null has no order",
        ),
    ]
    lines = report(result(outcome="failed", expectations=expectations), width)
    assert line(lines, "expectations", "1 of 2 hold")
    assert "  ✓ traffic.users.failed == 0" in lines
    at = lines.index("  ✗ rollouts[0].effective_ms < rollouts[0].settled_ms")
    assert lines[at + 1].strip() == "rollouts[0].effective_ms is 129.81"
    assert lines[at + 2].strip() == "rollouts[0].settled_ms is – (null: it did not happen)"
    assert lines[at + 3].strip() == "null has no order"
    assert lines[at + 4].strip() == "scenarios/tag-bump.yaml:31"
    assert lines[-1].startswith("FAILED · 1 of 2 expectations failed")


def test_an_error_shows_the_part_its_log_tail_and_what_to_do(width: int) -> None:
    error = ErrorReport(
        message="exit status 139",
        part="envoy",
        where="tag-bump.yaml:14",
        log_tail="[info] starting\n[critical] Caught Segmentation fault\n",
        hint="Look at envoy.log in the run directory.",
    )
    lines = report(result(outcome="error", rollouts=[], traffic={}, error=error), width)
    assert line(lines, "error in envoy", "exit status 139")
    assert line(lines, "hint  Look at envoy.log in the run directory.")
    assert line(lines, "tag-bump.yaml:14")
    assert lines.index("    [critical] Caught Segmentation fault") == lines.index("    [info] starting") + 1
    assert lines[-1].startswith("ERROR · 5.42 s")


HOSTILE = "[red]x[/red] \x1b[31m \x9b2J \u202e a\rb"
HARMLESS = "[red]x[/red] \\x1b[31m \\x9b2J \\u202e a b"


@pytest.mark.parametrize("terminal", [False, True])
def test_strings_from_outside_can_neither_style_nor_steer_the_terminal(terminal: bool) -> None:
    made = result(
        scenario=HOSTILE,
        profile=HOSTILE,
        outcome="error",
        rollouts=[rollout(**{"plugin": HOSTILE, "from": None, "to": HOSTILE, "error": HOSTILE})],
        traffic={HOSTILE: traffic(by_version={HOSTILE: 1}, by_status={HOSTILE: 1})},
        expectations=[Expectation(that=HOSTILE, passed=False, actual={HOSTILE: HOSTILE}, where=HOSTILE)],
        error=ErrorReport(message=HOSTILE, part=HOSTILE, where=HOSTILE, log_tail=HOSTILE, hint=HOSTILE),
        directory=HOSTILE,
    )
    shown = "\n".join(report(made, 300, terminal=terminal))
    assert "\x1b[31m" not in shown
    assert not {"\x9b", "\u202e", "\r"} & set(shown)
    if not terminal:
        assert "\x1b" not in shown
        assert shown.count(HARMLESS) >= 12


def test_no_line_is_wider_than_the_terminal_whatever_the_names_are(width: int) -> None:
    long = rollout(plugin="higress-system/" + "限流插件" * 30, error="没有这个标签 " * 40)
    lines = report(result(rollouts=[long], traffic={"用户" * 60: traffic()}), width, terminal=True)
    # The last line may be longer: a path is to be copied in one piece.
    assert (
        max(cell_len(each.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "")) for each in lines[:-1])
        <= width
    )


def test_the_run_directory_stays_in_one_piece(width: int) -> None:
    directory = "/home/teacher/" + "very-long/" * 20
    assert report(result(directory=directory), width)[-1].endswith(directory)


def test_an_encoding_without_arrows_gets_ascii() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as file:
        print_report(Console(file=file, width=80), result(scenario="更新"), [])
        shown = raw.getvalue().decode("ascii")
    assert "request-block:1.0.0 > 2.0.0" in shown
    assert "PASSED - 5.42 s" in shown


def test_a_run_in_which_no_plugin_changed_says_so(width: int) -> None:
    assert line(report(result(rollouts=[]), width), "No rollout")


def test_a_module_under_the_abi_shim_is_told(width: int) -> None:
    apply = event(0, "core.apply", plugin=PLUGIN, image=IMAGE + "2.0.0")
    shim = event(112, "agent.shim", plugin=PLUGIN, data={"abi": "0.2.100", "shim_abi": "0.2.1"})
    assert "ABI 0.2.100 shimmed to 0.2.1" in line(report(result(), width, [apply, shim]), "     module")
    assert not any("shimmed" in each for each in report(result(), width, [apply]))

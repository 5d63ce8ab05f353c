"""The report in a real browser, opened from disk as a user opens it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sim.report.html import write_page
from tests.e2e.chromium import Tab, chromium_tab
from tests.e2e.conftest import SCENARIOS, Ended
from tests.needs import needed_program
from tests.unit.report.html_run import write_run

Run = Callable[..., Ended]


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    program = needed_program("chromium", "THE REPORT IS NOT OPENED IN A BROWSER")
    async with chromium_tab(program, tmp_path / "chromium") as opened:
        yield opened


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The URL of a report of a small run."""
    return write_page(write_run(tmp_path / "run")).as_uri()


async def test_a_run_leaves_a_report_that_opens_from_disk(ecdsim: Run, tab: Tab, tmp_path: Path) -> None:
    ended = ecdsim("run", SCENARIOS / "tag-bump", "-o", "json", "-q")
    assert ended.result["rollouts"], ended.stderr
    (file,) = (tmp_path / "runs").glob("*/report.html")
    assert file.stat().st_size < 1_500_000
    await tab.open(f"{file.as_uri()}#e=12")
    assert tab.console == []
    position, _, total = (await tab.text("#position")).partition("/")
    assert position == "12"
    assert int(total) > 30
    assert await tab.value("document.querySelectorAll('.chapters button').length") == 9
    loaded = "performance.getEntriesByType('resource').filter(each => !each.name.startsWith('data:'))"
    assert await tab.value(f"{loaded}.length") == 0
    # Something was drawn: not every pixel is transparent.
    drawn = "new Uint32Array(document.getElementById('base').getContext('2d').getImageData(0, 0, 800, 400).data.buffer)"
    assert await tab.value(f"{drawn}.filter(pixel => pixel).length") > 1000


async def test_a_link_leads_to_its_event_and_what_it_changed(report: str, tab: Tab) -> None:
    await tab.open(f"{report}#e=2")
    assert tab.console == []
    assert (await tab.text("#position")).startswith("2/")
    assert await tab.text("#event h2") == "core.convert"
    assert await tab.text(".chapters [aria-current] .number") == "1"
    assert "_rules_" in await tab.text("#payload")
    assert await tab.value("document.querySelectorAll('#payload .line.added').length") > 0


async def test_keys_step_through_the_run_and_the_link_follows(report: str, tab: Tab) -> None:
    await tab.open(report)
    await tab.press("Home", "ArrowRight", "ArrowRight")
    assert (await tab.text("#position")).startswith("3/")
    assert await tab.value("location.hash") == "#e=3"
    await tab.press("ArrowLeft")
    assert await tab.value("location.hash") == "#e=2"
    await tab.press("End")
    position, _, total = (await tab.text("#position")).partition("/")
    assert position == total
    await tab.press("8")
    assert await tab.text("#event h2") == "agent.rewrite"
    await tab.press(" ")
    assert await tab.value("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    await tab.press(" ")
    assert await tab.value("document.getElementById('play').getAttribute('aria-label')") == "Play"
    await tab.press("+", "+", "-", "0")
    assert tab.console == []


async def test_the_current_event_is_told_to_a_screen_reader(report: str, tab: Tab) -> None:
    await tab.open(f"{report}#e=2")
    assert "core.convert" in await tab.text("[aria-live=polite]")
    controls = "[...document.querySelectorAll('button, select, input')]"
    named = "each.labels?.length || each.ariaLabel || each.textContent.trim()"
    assert await tab.value(f"{controls}.filter(each => !({named})).length") == 0


async def test_a_link_past_the_end_leads_to_the_last_event(report: str, tab: Tab) -> None:
    await tab.open(f"{report}#e=4711")
    position, _, total = (await tab.text("#position")).partition("/")
    assert position == total


async def test_the_page_speaks_chinese_and_leaves_the_protocols_words(report: str, tab: Tab) -> None:
    await tab.open(f"{report}?lang=zh#e=3")
    assert tab.console == []
    assert await tab.value("document.documentElement.lang") == "zh-CN"
    assert await tab.text("h1") == "更新镜像版本"
    assert await tab.text("#event h2") == "core.mcp_push WasmPlugin"


async def test_markup_in_a_run_does_nothing(tmp_path: Path, tab: Tab) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    run = write_run(
        tmp_path / "hostile", plugin=f"ns/{hostile}", image=f"oci://x/{hostile}:1", text=hostile, scenario=hostile
    )
    await tab.open(f"{write_page(run).as_uri()}#e=8")
    await tab.press("End", "Home")
    assert tab.console == []
    assert await tab.value("document.title") == f"{hostile} · passed · ecdsim"
    assert await tab.value("document.querySelectorAll('img').length") == 0
    assert await tab.value("document.scripts.length") == 2


async def test_two_runs_are_laid_over_each_other(tmp_path: Path, tab: Tab, ecdsim: Run) -> None:
    run, other = (write_run(tmp_path / name) for name in "ab")
    ended = ecdsim("report", run, "--against", other, "-o", tmp_path / "both.html")
    assert (ended.status, ended.stdout.strip()) == (0, str(tmp_path / "both.html"))
    await tab.open((tmp_path / "both.html").as_uri())
    assert tab.console == []
    assert "×1.00" in await tab.text("#compare table")
    assert await tab.value("document.querySelectorAll('.bars.b').length") == 9


async def test_a_run_that_ended_before_it_began_is_shown(tmp_path: Path, tab: Tab) -> None:
    run = write_run(tmp_path / "early", rollouts=[], traffic={}, outcome="error")
    (run / "trace.jsonl").unlink()
    (run / "traffic.json").unlink()
    await tab.open(write_page(run).as_uri())
    await tab.press("ArrowRight", " ", "+")
    assert tab.console == []
    assert await tab.text("#position") == "0/0"


def test_a_report_that_can_not_be_written_is_an_error_of_the_environment(tmp_path: Path, ecdsim: Run) -> None:
    run = write_run(tmp_path / "run")
    (run / "report.html").mkdir()
    ended = ecdsim("report", run)
    assert ended.status == 3
    assert "can't write" in ended.stderr


def test_what_is_no_run_ends_with_2(tmp_path: Path, ecdsim: Run) -> None:
    ended = ecdsim("report", tmp_path)
    assert ended.status == 2
    assert "no result.json" in ended.stderr

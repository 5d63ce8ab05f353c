"""The live page in a real browser: what it shows of the feed, and that the reader keeps place, focus and scrolling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sim.report.html import page_data
from sim.report.html.run_files import read_run
from tests.e2e.chromium import Tab, chromium_tab
from tests.e2e.live_server import LiveServer, live_server, state
from tests.needs import needed_program
from tests.unit.report.html_run import write_long_run

Runs = Callable[[int], dict[str, Any]]


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    program = needed_program("chromium", "THE LIVE PAGE IS NOT OPENED IN A BROWSER")
    async with chromium_tab(program, tmp_path / "chromium") as opened:
        yield opened


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(write_long_run(tmp_path / "run", bumps=2, responses=200)) as serving:
        yield serving


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """The data of the same run after so many bumps."""

    def make(bumps: int) -> dict[str, Any]:
        return page_data(read_run(write_long_run(tmp_path / f"after-{bumps}", bumps, responses=200)))

    return make


async def opened(tab: Tab, server: LiveServer, fragment: str = "") -> None:
    await tab.open(f"{server.url}{fragment}")
    await server.tell("state", state())
    await tab.until("document.querySelector('.card')")


def position(text: str) -> tuple[int, int]:
    here, _, total = text.partition("/")
    return int(here), int(total)


async def test_it_says_that_it_is_live_and_asks_nobody_but_its_server(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    await tab.until("document.getElementById('link').textContent === 'live'")
    assert tab.console == []
    loaded = await tab.value("performance.getEntriesByType('resource').map(each => each.name)")
    assert all(name.startswith(("data:", f"http://127.0.0.1:{server.port}/api/")) for name in loaded)


async def test_a_reader_at_the_end_is_taken_to_what_is_new(tab: Tab, server: LiveServer, runs: Runs) -> None:
    await opened(tab, server)
    here, total = position(await tab.text("#position"))
    assert here == total
    await server.tell("run", runs(3))
    await tab.until(f"Number(document.getElementById('position').textContent.split('/')[1]) > {total}")
    now, more = position(await tab.text("#position"))
    assert now == more
    assert await tab.value("document.getElementById('scope').value") == "2"
    assert await tab.value("document.querySelectorAll('#times .rollout').length") == 3
    assert await tab.value("getComputedStyle(document.getElementById('news')).visibility") == "hidden"


async def test_a_reader_elsewhere_stays_and_a_button_leads_to_what_is_new(
    tab: Tab, server: LiveServer, runs: Runs
) -> None:
    await opened(tab, server, "#e=2")
    await server.tell("run", runs(3))
    await tab.until("getComputedStyle(document.getElementById('news')).visibility === 'visible'")
    assert (await tab.text("#position")).startswith("2/")
    assert await tab.text("#event h2") == "core.convert"
    assert await tab.text("#news") == "16 new events ▸▸"
    await tab.click("#news")
    here, total = position(await tab.text("#position"))
    assert here == total
    assert await tab.value("getComputedStyle(document.getElementById('news')).visibility") == "hidden"


async def test_what_the_reader_does_survives_a_new_run(tab: Tab, server: LiveServer, runs: Runs) -> None:
    await opened(tab, server, "#e=20")
    await tab.choose("#scope", "whole")
    await tab.press("+", "+")
    await tab.value("document.querySelector('[data-choice=payload]').click()")
    await tab.value("document.querySelector('#events summary').click()")
    await tab.value("document.getElementById('payload').scrollTop = 7, scrollTo(0, 600)")
    await tab.value("document.querySelector('#payload pre').focus({preventScroll: true})")
    kept = """JSON.stringify([
        scrollY, document.getElementById('payload').scrollTop, document.getElementById('scope').value,
        document.querySelector('#payload pre') === document.activeElement,
        document.getElementById('event-list').open, document.getElementById('payload').textContent,
        document.querySelector('[data-choice=payload]').ariaPressed,
    ])"""
    before = await tab.value(kept)
    await server.tell("run", runs(4))
    await tab.until("getComputedStyle(document.getElementById('news')).visibility === 'visible'")
    assert await tab.value(kept) == before
    assert await tab.value("document.querySelectorAll('#events tbody tr').length") == 64
    assert tab.console == []


async def test_a_window_that_moves_on_takes_the_reader_to_what_is_left(
    tab: Tab, server: LiveServer, runs: Runs
) -> None:
    await opened(tab, server, "#e=2")
    later = runs(4)
    cut = next(n for n, item in enumerate(later["items"]) if item.get("r") == [2])
    later["items"] = [{key: value for key, value in item.items() if key != "pay"} for item in later["items"][cut:]]
    for item in later["items"]:
        if "r" in item:
            item["r"] = [number - 2 for number in item["r"]]
    for columns in (later["result"]["rollouts"], later["applied"], later["stages"]):
        del columns[:2]
    await server.tell("run", later)
    await tab.until("document.querySelectorAll('#times .rollout').length === 2")
    assert (await tab.text("#position")).startswith("1/")
    assert await tab.value("document.getElementById('scope').value") == "whole"
    assert tab.console == []


async def test_responses_are_drawn_as_they_come(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    await tab.choose("#scope", "now")
    drawn = """(() => {
        const base = document.getElementById('base');
        const pixels = new Uint32Array(base.getContext('2d').getImageData(0, 0, base.width, base.height).data.buffer);
        return pixels.filter(pixel => pixel === 0xff00b2ff || pixel === 0xffb27200).length;
    })()"""
    before = await tab.value(drawn)
    columns = {"t0": 25_000_000, "t_us": [10_000] * 400, "versions": ["1.0.0"], "version": [[0, 400]], "failed": []}
    rows = {"connection": [n % 8 for n in range(400)], "rows": {str(n): n for n in range(8)}, "row_count": 8}
    await server.tell("dots", {"users": {**columns, **rows}})
    await tab.until(f"{drawn} > {before} + 200")


async def test_the_strip_shows_rate_versions_and_failures(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    failed = server.data["result"]["traffic"]["users"]["failed"]
    rate = {"rate_per_s": 199.8, "by_version": {"1.0.0": 75, "2.0.0": 25}, "failed": 3}
    await server.tell("rate", {"users": rate})
    await tab.until("document.querySelector('.rate')")
    assert await tab.text(".rate") == "200/s"
    assert await tab.text(".shares") == "1.0.0 75 %2.0.0 25 %"
    await server.tell("rate", {"users": {**rate, "failed": 1}})
    await tab.until(f"document.querySelector('.fails').textContent === '✕ {failed + 4} failed'")


async def test_a_lost_connection_is_told_and_the_page_recovers(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    await server.stop()
    await tab.until("document.getElementById('link').textContent === 'connection lost'")
    assert "Trying again" in await tab.text("#trouble")
    await server.start()
    await server.tell("state", state(parts=[{"part": "registry", "running": False}]))
    await tab.until("document.getElementById('link').textContent === 'live'")
    assert await tab.value("document.getElementById('trouble').hidden")
    await tab.until("document.querySelector('[data-room=parts]').textContent.includes('registry')")


async def test_a_server_that_stays_away_is_told_to_be_gone(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    await server.stop()
    await tab.until("document.getElementById('link').textContent === 'server gone'")
    assert "does not answer any more" in await tab.text("#trouble")
    await server.start()
    await tab.click("[data-act=tryNow]")
    await tab.until("document.getElementById('link').textContent === 'live'")


async def test_a_server_that_was_started_anew_is_told_apart(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    await server.stop()
    server.token = "another-token"
    await server.start()
    await tab.until("document.getElementById('trouble').textContent.includes('started anew')")


async def test_a_link_leads_to_the_console_and_back(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server, "#console")
    assert await tab.value("document.getElementById('main').hidden")
    assert not await tab.value("document.getElementById('console').hidden")
    await tab.click("#tab-player")
    await tab.until("!document.getElementById('main').hidden")
    assert await tab.value("document.getElementById('base').width") > 300
    await tab.value("location.hash = '#e=3'")
    await tab.until("document.getElementById('position').textContent.startsWith('3/')")
    await tab.click("#tab-console")
    await tab.until("!document.getElementById('console').hidden")
    assert await tab.value("location.hash") == "#console"


async def test_controls_stay_where_they_are_whatever_is_told(tab: Tab, server: LiveServer, runs: Runs) -> None:
    await opened(tab, server)
    places = """JSON.stringify(
        [...document.querySelectorAll('.controls > *, .stops-bar button, .strip, .top > *, #scope')].map(each => {
            const box = each.getBoundingClientRect();
            return [each.id || each.className, box.x, box.y, box.width, box.height];
        })
    )"""
    await server.tell("rate", {"users": {"rate_per_s": 9.5, "by_version": {"1.0.0": 5}, "failed": 0}})
    await tab.until("document.querySelector('.rate')?.textContent === '9.5/s'")
    before = await tab.value(places)
    long = "a reason that goes on and on " * 20
    await server.tell("rate", {"users": {"rate_per_s": 12345.6, "by_version": {"1.0.0": 5, "2.0.0": 6}, "failed": 7}})
    await server.tell(
        "state",
        state(
            stops={"on": True, "next": 8, "waiting": [8]},
            deeds=[{"n": 0, "by": "page", "text": "bump", "state": "failed", "error": long}],
        ),
    )
    await tab.until("document.querySelector('.stops .upNext')")
    await tab.press("ArrowLeft")
    await server.tell("run", runs(3))
    await tab.until("getComputedStyle(document.getElementById('news')).visibility === 'visible'")
    after = await tab.value(places)
    assert after == before


async def test_it_speaks_chinese_and_every_control_has_a_name(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server)
    unnamed = """[...document.querySelectorAll('button, select, input, textarea, a')]
        .filter(each => !(each.labels?.length || each.ariaLabel || each.textContent.trim()) && !each.ariaHidden)
        .map(each => each.outerHTML)"""
    for expected in ("单步模式", "Step mode"):
        await tab.click("#language")
        assert await tab.text("[data-act=stopsOn]") == expected
        await tab.value("document.querySelector('[data-act=createPlugin]').click()")
        assert await tab.value(unnamed) == []
    assert tab.console == []


async def test_what_was_typed_survives_another_language(tab: Tab, server: LiveServer) -> None:
    await opened(tab, server, "#console")
    await tab.write("form[data-act=push] [name=tag]", "9.9.9")
    await tab.choose("form.fault [name=kind]", "status")
    await tab.write("[data-attribute=code]", "503")
    await tab.click("[data-act=configurePlugin]")
    await tab.write("#yaml", "block_urls: [/mine]")
    await tab.click("#language")
    assert await tab.value("document.querySelector('form[data-act=push] [name=tag]').value") == "9.9.9"
    assert await tab.value("document.querySelector('[data-attribute=code]').value") == "503"
    assert await tab.value("document.getElementById('yaml').value") == "block_urls: [/mine]"


async def test_markup_from_the_server_does_nothing(tab: Tab, server: LiveServer) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'"

    def spoilt(value: Any) -> Any:
        if isinstance(value, str):
            return hostile if value not in KEPT else value
        if isinstance(value, list):
            return [spoilt(each) for each in value]
        return {key: spoilt(each) for key, each in value.items()} if isinstance(value, dict) else value

    said = state(
        deeds=[{"n": 0, "by": "x", "text": "x", "state": "failed", "error": "x"}],
        faults=[{"name": "x", "kind": "x", "on": "x", "hits": 1}],
        stops={"on": True, "next": 3, "waiting": [6]},
    )
    answer = (400, {"error": {"message": hostile, "hint": hostile, "where": hostile}})
    server.answers = {
        "step": answer,
        "check": (200, {"problems": [{"message": hostile, "hint": hostile, "where": hostile}]}),
        "save": (200, {"files": {hostile: hostile}, "directory": hostile}),
    }
    await opened(tab, server, "#console")
    title = await tab.value("document.title")
    await server.tell("state", spoilt(said))
    await server.tell("rate", {hostile: {"rate_per_s": 1, "by_version": {hostile: 1}, "failed": 1}})
    await tab.until("document.querySelector('.card h3').textContent.includes('img')")
    await tab.click("[data-act=configurePlugin]")
    await tab.click("form[data-act=push] button")
    await tab.click("[data-act=saveScenario]")
    await tab.until("document.querySelector('.saved code') && document.querySelector('#problems .bad')")
    await tab.until("document.querySelector('[data-place=push]').textContent.includes('img')")
    await tab.click("#language")
    assert await tab.value("document.querySelectorAll('img').length") == 0
    assert await tab.value("document.scripts.length") == 2
    assert await tab.value("document.title") == title
    assert [told for told in tab.console if "owned" in str(told) or "Security" in str(told)] == []


#: What the page goes by, and does not show.
KEPT = {"done", "todo", "failed", "running", "string", "integer", "null"}

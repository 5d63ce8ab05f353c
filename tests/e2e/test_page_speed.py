"""A report of ten thousand events: no frame of scrolling, scrubbing or zooming takes the page more than 50 ms.

What is held against the 50 ms is the processor time of the page's main thread from one animation frame to the next. On
a machine that has nothing else to do that is the frame's own time; on a busy one, it is the page's share of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sim.report.html import write_page
from tests.e2e.chromium import Tab, chromium_tab
from tests.e2e.live_server import LiveServer, live_server, state
from tests.needs import needed_program
from tests.unit.report.html_run import write_long_run

LONGEST_MS = 50
#: A frame that is slow because of the page is slow every time.
PASSES = 3

#: Calls `each` with 0, 1, 2, … in as many animation frames. The first frames are those of the protocol's own work.
DRIVE = """
window.drive = (frames, each) => new Promise(done => {
    let frame = -3;
    const tick = () => {
        if (frame >= 0) each(frame);
        if (++frame < frames + 3) requestAnimationFrame(tick); else done(true);
    };
    requestAnimationFrame(tick);
});
window.el = id => document.getElementById(id);
window.scrub = value => { el('scrub').value = value; el('scrub').dispatchEvent(new Event('input')); };
window.look = value => { el('scope').value = value; el('scope').dispatchEvent(new Event('change')); };
window.zooms = document.querySelectorAll('[aria-label=zoom] button');
window.wheel = by => el('canvases').dispatchEvent(new WheelEvent('wheel', {deltaX: by, deltaY: 0}));
window.page = () => document.documentElement.scrollHeight;
true
"""
#: What is done before, and in each frame.
GESTURES = {
    "scrub from rollout to rollout": ("scrub(1)", "scrub(1 + frame * 80)"),
    "scrub within some rollouts": ("scrub(4000)", "scrub(4000 + frame)"),
    "choose the whole run and one rollout": ("look('0')", "look(frame % 2 ? '0' : 'whole')"),
    "scrub through the whole run": ("look('whole')", "scrub(1 + frame * 80)"),
    "zoom": ("look('whole')", "zooms[frame % 40 < 20 ? 1 : 0].click()"),
    "pan": ("look('whole'); for (let i = 0; i < 6; i++) zooms[1].click()", "wheel(frame < 60 ? 60 : -60)"),
    "scrub on a linear axis": ("zooms[2].click(); el('scale-linear').click()", "scrub(1 + frame * 80)"),
    "scrub through every event": ("el('all').checked || el('all').click()", "scrub(1 + frame * 80)"),
    "scroll the page": ("el('event-list').open = true", "scrollTo(0, page() * frame / 120)"),
    "scroll the list of events": ("el('events').scrollIntoView()", "scrollBy(0, 120)"),
    "scroll back": ("0", "scrollTo(0, page() * (120 - frame) / 120)"),
}


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    program = needed_program("chromium", "THE REPORT'S SPEED IS NOT MEASURED")
    async with chromium_tab(program, tmp_path / "chromium") as opened:
        yield opened


async def test_ten_thousand_events_scroll_and_scrub_without_a_slow_frame(tmp_path: Path, tab: Tab) -> None:
    report = write_page(write_long_run(tmp_path / "run", bumps=630, responses=20_000))
    await tab.open(report.as_uri())
    assert int((await tab.text("#position")).partition("/")[2]) > 10_000
    await tab.value(DRIVE)
    slow = {}
    for name, (before, each) in GESTURES.items():
        worst = []
        for _ in range(PASSES):
            await tab.value(f"{before}; drive(2, frame => 0)")
            events = await tab.traced(f"drive(120, frame => {{ {each}; }})")
            worst.append(max(frames_ms(events)))
            if worst[-1] <= LONGEST_MS:
                break
        print(f"{name}: {min(worst):.1f} ms")
        if min(worst) > LONGEST_MS:
            slow[name] = worst
    assert slow == {}
    assert tab.console == []


async def test_a_live_page_takes_what_it_is_told_without_a_slow_frame(tmp_path: Path, tab: Tab) -> None:
    async with live_server(write_long_run(tmp_path / "run", bumps=20, responses=20_000)) as server:
        await tab.open(server.url)
        await server.tell("state", state())
        await tab.value(DRIVE)
        await tab.value("look('whole')")
        worst = []
        for number in range(PASSES):
            # Twenty seconds of the feed, in two.
            telling = asyncio.create_task(tell_20_s(server, number), name="telling")
            events = await tab.traced("drive(150, frame => 0)")
            await telling
            worst.append(max(frames_ms(events)))
        print(f"what is told: {min(worst):.1f} ms")
        assert min(worst) <= LONGEST_MS


async def tell_20_s(server: LiveServer, number: int) -> None:
    items = server.data["items"]
    for second in range(20):
        # The last event comes anew each time, so that there is something to draw.
        last = {**items[-1], "t": items[-1]["t"] + number * 20 + second}
        await server.tell("run", {**server.data, "items": [*items[:-1], last]})
        for half in (0, 1):
            columns = {"t0": 100_000_000 + (number * 40 + second * 2 + half) * 500_000, "t_us": [5000] * 100}
            versions = {"versions": ["1.0.0"], "version": [[0, 100]], "failed": [], "row_count": 8}
            connections = {"connection": [n % 8 for n in range(100)], "rows": {str(n): n for n in range(8)}}
            await server.tell("dots", {"users": {**columns, **versions, **connections}})
            await server.tell("rate", {"users": {"rate_per_s": 200, "by_version": {"1.0.0": 100}, "failed": 0}})
            await server.tell("state", state(parts=[{"part": "core", "running": half == 0}]))
            await asyncio.sleep(0.05)


async def test_long_lists_are_in_the_page_only_where_they_are_looked_at(tmp_path: Path, tab: Tab) -> None:
    report = write_page(write_long_run(tmp_path / "run", bumps=100, responses=100))
    await tab.open(report.as_uri())
    await tab.value("document.querySelector('#events summary').click()")
    rows = "document.querySelectorAll('#events tbody tr:not(.filler)').length"
    await tab.value("document.getElementById('events').scrollIntoView()")
    await tab.until("document.querySelector('#events tbody').textContent.includes('core.apply')")
    assert await tab.value(rows) < 100
    assert await tab.value("document.querySelectorAll('#times .waterfall').length") < 60
    await tab.value("scrollTo(0, document.documentElement.scrollHeight)")
    await tab.until("[...document.querySelectorAll('#events td a')].some(link => link.textContent === '1600')")
    assert await tab.value(rows) < 100
    await tab.value("document.querySelector('#times article:last-of-type').scrollIntoView()")
    await tab.until("document.querySelector('#times article:last-of-type .waterfall')")


def frames_ms(events: list[dict[str, Any]]) -> list[float]:
    """The main thread's processor time from each animation frame to the next."""
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    own = [event for event in events if event.get("ph") == "X" and (event["pid"], event["tid"]) in main]
    begins = sorted(event["ts"] for event in own if event["name"] == "FireAnimationFrame")
    tasks = [event for event in own if event["name"].endswith("RunTask") and "tdur" in event]
    assert len(begins) > 100, "the page's frames are not in the trace"
    assert tasks, "the processor time of the page's tasks is not in the trace"
    # A task belongs to the frame that it begins in, or that begins in it. The first frames belong to the protocol.
    return [
        sum(task["tdur"] for task in tasks if begin <= task["ts"] + task["dur"] < end) / 1000
        for begin, end in pairwise(begins[3:-2])
    ]

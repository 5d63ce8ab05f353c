"""A live page that is open for ten minutes under 200 requests a second, told in quick motion, holds its memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.chromium import Tab, chromium_tab
from tests.e2e.live_server import LiveServer, live_server, state
from tests.needs import needed_program
from tests.unit.report.html_run import write_long_run

#: What the feed tells twice a second, in ten minutes.
PIECES = 1200
#: By then the buffers are full: at 200 responses a second 20,000 are a hundred seconds.
FULL = 300
MOST_BYTES = 20_000_000
#: What may be more at the end; 90,000 responses that were kept would be 1,440,000 bytes.
MORE_BYTES = 1_000_000


class Held(NamedTuple):
    """What the page holds after its garbage was collected."""

    bytes: int
    nodes: int
    listeners: int
    documents: int


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    program = needed_program("chromium", "THE LIVE PAGE'S MEMORY IS NOT MEASURED")
    async with chromium_tab(program, tmp_path / "chromium") as opened:
        yield opened


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(write_long_run(tmp_path / "run", bumps=20, responses=2000)) as serving:
        yield serving


async def test_ten_minutes_of_traffic_and_rollouts_do_not_add_up(tab: Tab, server: LiveServer) -> None:
    windows = [server.data, *(later(server.data, seconds) for seconds in (100, 200, 300))]
    await tab.open(server.url)
    await server.tell("state", state())
    await tab.value("document.querySelector('#events summary').click()")
    await tab.choose("#scope", "whole")
    for piece in range(FULL):
        await told(tab, server, piece, windows)
    early = await held(tab)
    for piece in range(FULL, PIECES):
        await told(tab, server, piece, windows)
    late = await held(tab)
    print(early, late)
    assert late.bytes < MOST_BYTES
    assert late.bytes - early.bytes < MORE_BYTES
    assert late.nodes - early.nodes < 300
    assert late.listeners - early.listeners < 10
    assert late.documents == early.documents
    assert tab.console == []


def later(data: dict[str, Any], seconds: int) -> dict[str, Any]:
    """The same rollouts, so much later: what a window of the latest rollouts has by then."""
    us = seconds * 1_000_000
    items = [{**item, **{key: item[key] + us for key in ("t", "s") if key in item}} for item in data["items"]]
    rollouts = [{**each, "t_ns": each["t_ns"] + us * 1000} for each in data["result"]["rollouts"]]
    return {
        **data,
        "items": items,
        "applied": [t + us for t in data["applied"]],
        "result": {**data["result"], "rollouts": rollouts},
        "dots": {"users": dots(us, 5000)},
    }


def dots(start_us: int, count: int) -> dict[str, Any]:
    return {
        "t0": start_us,
        "t_us": [5000] * count,
        "versions": ["1.0.0", "2.0.0"],
        "version": [[0, count // 2], [1, count - count // 2]],
        "failed": [[0, "timeout"]],
        "connection": [n % 8 for n in range(count)],
        "rows": {str(n): n for n in range(8)},
        "row_count": 8,
    }


async def told(tab: Tab, server: LiveServer, piece: int, windows: list[dict[str, Any]]) -> None:
    """Half a second of the feed; now and then everything at once, and a wait until the page has taken it."""
    await server.tell("dots", {"users": dots(400_000_000 + piece * 500_000, 100)})
    by_version = {"1.0.0": piece % 100, "2.0.0": 100 - piece % 100}
    await server.tell("rate", {"users": {"rate_per_s": 100 + piece, "by_version": by_version, "failed": 1}})
    if piece % 5 == 0:
        deeds = [
            {"n": n, "by": "page", "text": f"bump {n}", "state": "done", "error": None}
            for n in range(max(0, piece - 50), piece)
        ]
        stops = {"on": True, "next": piece // 5 % 9 + 1, "waiting": [piece // 5 % 9 + 1]}
        await server.tell("state", state(deeds=deeds, stops=stops))
    if piece % 10 == 0:
        await server.tell("run", windows[piece // 10 % len(windows)])
        await tab.until(f"document.querySelector('.rate')?.textContent === '{100 + piece}/s'")


async def held(tab: Tab) -> Held:
    await tab.ask("HeapProfiler.enable")
    for _ in range(3):
        await tab.ask("HeapProfiler.collectGarbage")
    heap = await tab.ask("Runtime.getHeapUsage")
    counted = await tab.ask("Memory.getDOMCounters")
    used = round(heap["usedSize"] + heap.get("backingStorageSize", 0))
    return Held(used, counted["nodes"], counted["jsEventListeners"], counted["documents"])

"""The README's pictures of both pages: `python -m tests.screenshots` runs a scenario, opens the pages, and takes them.

Needs Chromium (Debian's package chromium). Writes docs/images/report.png and docs/images/live.png.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.e2e.chromium import Tab, chromium_tab

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SCENARIO = ROOT / "scenarios" / "tag-bump"
_SIM = (sys.executable, "-m", "sim")


async def report(tab: Tab, runs: Path) -> None:
    """The report of a tag bump, at the moment when the agent has rewritten the URL."""
    process = await asyncio.create_subprocess_exec(
        *(*_SIM, "run", str(SCENARIO), "-q", "-o", "json", "--runs-dir", str(runs)), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    directory = Path(json.loads(told)["directory"])
    await tab.open(f"{(directory / 'report.html').resolve().as_uri()}?lang=en")
    await tab.until("document.querySelector('#position')")
    await tab.value("document.body.focus()")
    await tab.press("8", "ArrowRight")
    await _take(tab, "report.png")


async def live(tab: Tab, runs: Path) -> None:
    """The live page, a rollout held before the sixth step."""
    process = await asyncio.create_subprocess_exec(
        *(*_SIM, "up", str(SCENARIO), "--step", "-o", "json", "--runs-dir", str(runs)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        facts = json.loads(await process.stdout.readline())
        await tab.open(f"{facts['page']}&lang=en")
        token = facts["page"].rpartition("token=")[2]
        await _post(tab, token, "scenario", {"next": True})
        for step in range(1, 6):
            await _waits(tab, token, step)
            await _post(tab, token, "stops", {"step": True})
        await _waits(tab, token, 6)
        # Until the page has drawn what is held.
        await asyncio.sleep(1.5)
        await _take(tab, "live.png")
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def _post(tab: Tab, token: str, action: str, body: object) -> None:
    await tab.value(f"""fetch('/api/{action}', {{method: 'POST', body: {json.dumps(json.dumps(body))},
        headers: {{Authorization: 'Bearer {token}'}}}}).then(answer => answer.status)""")


async def _waits(tab: Tab, token: str, step: int) -> None:
    """Until something waits at this step, as the feed tells it."""
    await tab.value(f"""new Promise(done => {{
        const feed = new EventSource('/api/live?token={token}');
        feed.addEventListener('state', event => {{
            if (JSON.parse(event.data).stops.waiting.some(waits => waits >= {step})) {{ feed.close(); done(true); }}
        }});
    }})""")


async def _take(tab: Tab, name: str) -> None:
    await tab.ask("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
    await tab.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    picture = await tab.ask("Page.captureScreenshot", format="png")
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / name).write_bytes(base64.b64decode(picture["data"]))


async def main() -> int:
    """Take both."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("there is no chromium; install Debian's package of that name", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as scratch:
        async with chromium_tab(Path(chromium), Path(scratch) / "profile") as tab:
            await report(tab, Path(scratch) / "runs")
            await live(tab, Path(scratch) / "runs")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

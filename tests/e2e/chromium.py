"""A headless Chromium that opens pages, clicks, types and tells what its console said, over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--window-size=1280,720"),
)
#: What a key needs beside its name to do what it does by default.
_KEYS: dict[str, dict[str, Any]] = {
    "Enter": {"text": "\r", "windowsVirtualKeyCode": 13},
    "Tab": {"windowsVirtualKeyCode": 9},
    " ": {"text": " ", "windowsVirtualKeyCode": 32},
}
_TOLD = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Tab:
    """One page. `console` is what was logged or thrown since it was opened."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.console: list[Any] = []
        self._socket = socket
        self._asked = 0

    async def open(self, url: str) -> None:
        """Go there; done when the page was loaded, its script included. Another fragment of a page loads nothing."""
        await self.ask("Page.navigate", url="about:blank")
        await self.event("Page.loadEventFired")
        self.console.clear()
        await self.ask("Page.navigate", url=url)
        await self.event("Page.loadEventFired")

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        number = self._asked
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            told = await self._receive()
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    async def value(self, expression: str) -> Any:
        """What the expression is in the page."""
        told = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def text(self, selector: str) -> str:
        found = await self.value(f"document.querySelector({selector!r})?.textContent")
        assert found is not None, f"no {selector}"
        return str(found)

    async def press(self, *keys: str) -> None:
        for key in keys:
            typed = _KEYS.get(key) or ({"text": key} if len(key) == 1 else {})
            await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **typed)
            await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def until(self, expression: str, timeout_s: float = 30) -> None:
        """Done as soon as the expression is true in the page."""
        look = f"""new Promise(done => {{
            const look = () => {{ if ({expression}) done(true); else setTimeout(look, 15); }};
            look();
        }})"""
        try:
            async with asyncio.timeout(timeout_s):
                await self.value(look)
        except TimeoutError:
            raise AssertionError(f"never came true: {expression}; the console said {self.console}") from None

    async def click(self, selector: str) -> None:
        """Click in the middle of the element, as the mouse does it."""
        found = f"document.querySelector({selector!r})"
        box = await self.value(f"""(() => {{
            const element = {found};
            if (!element) return null;
            element.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        assert box is not None, f"no {selector}"
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    async def write(self, selector: str, text: str) -> None:
        """Type the text into a field, in place of what is in it."""
        await self.value(f"(field => {{ field.focus(); field.select(); }})(document.querySelector({selector!r}))")
        await self.ask("Input.insertText", text=text)

    async def choose(self, selector: str, value: str) -> None:
        """Choose an option, as the keyboard would."""
        await self.value(f"""(list => {{
            list.value = {value!r};
            for (const name of ['input', 'change']) list.dispatchEvent(new Event(name, {{bubbles: true}}));
        }})(document.querySelector({selector!r}))""")

    async def traced(self, expression: str) -> list[dict[str, Any]]:
        """What the browser's own trace has of the time in which the expression is worked out."""
        config = {"includedCategories": ["toplevel", "devtools.timeline"]}
        await self.ask("Tracing.start", transferMode="ReturnAsStream", traceConfig=config)
        await self.value(expression)
        await self.ask("Tracing.end")
        stream = (await self.event("Tracing.tracingComplete"))["stream"]
        text = b""
        while True:
            piece = await self.ask("IO.read", handle=stream, size=1 << 22)
            text += base64.b64decode(piece["data"]) if piece.get("base64Encoded") else piece["data"].encode()
            if piece["eof"]:
                break
        await self.ask("IO.close", handle=stream)
        events: list[dict[str, Any]] = json.loads(text)["traceEvents"]
        return events

    async def event(self, method: str) -> dict[str, Any]:
        """The next event of this kind: its parameters."""
        while True:
            told = await self._receive()
            if told.get("method") == method:
                params: dict[str, Any] = told.get("params", {})
                return params

    async def _receive(self) -> dict[str, Any]:
        told: dict[str, Any] = await self._socket.receive_json()
        if told.get("method") in _TOLD:
            self.console.append(told["params"])
        return told


@asynccontextmanager
async def chromium_tab(program: Path, profile: Path) -> AsyncIterator[Tab]:
    """A browser of one's own while inside, with its profile in that folder."""
    process = await asyncio.create_subprocess_exec(
        program, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        address = await _address(process.stderr)
        drained = asyncio.create_task(process.stderr.read(), name="chromium-stderr")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json") as answer:
                targets = await answer.json()
            url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Runtime", "Log", "Page"):
                    await tab.ask(f"{domain}.enable")
                yield tab
        process.terminate()
        await drained
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _address(stderr: asyncio.StreamReader) -> str:
    async with asyncio.timeout(60):
        while line := (await stderr.readline()).decode(errors="replace"):
            if found := re.search(r"ws://([^/]+)/", line):
                return found[1]
    raise AssertionError("Chromium ended before it listened")

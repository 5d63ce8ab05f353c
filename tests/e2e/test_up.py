"""`ecdsim up` by its addresses: what may be done to it, by whom, and what is left when it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.scenario.load import load_scenario
from tests.e2e.conftest import ROOT, SCENARIOS
from tests.e2e.test_command_line import processes_of
from tests.needs import needed_program

pytestmark = pytest.mark.e2e

PLUGIN = "higress-system/request-block"


@dataclass
class Up:
    """A running `ecdsim up`. `facts` are what it printed."""

    facts: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return str(self.facts["page"]).partition("/?")[0]

    @property
    def token(self) -> str:
        return str(self.facts["page"]).rpartition("token=")[2]

    async def post(self, action: str, body: object) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.address}/api/{action}", json=body, headers=headers) as answer,
        ):
            decoded: dict[str, Any] = await answer.json()
            return answer.status, decoded

    async def get(self, path: str) -> str:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.address}{path}", headers=headers) as answer,
        ):
            assert answer.status == 200
            return await answer.text()

    async def told(self) -> AsyncIterator[tuple[str, Any]]:
        """What the feed tells, event by event."""
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_read=30), read_bufsize=2**24
            ) as session,
            session.get(f"{self.address}/api/live?token={self.token}") as answer,
        ):
            kind = ""
            async for line in answer.content:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    kind = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    yield kind, json.loads(text.removeprefix("data: "))

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state of which this is true."""
        async for kind, data in self.told():
            if kind == "state" and holds(data):
                return dict(data)
        raise AssertionError("the feed ended")


@contextmanager
def up(*arguments: str | Path, runs: Path, cwd: Path = ROOT) -> Iterator[Up]:
    words = [sys.executable, "-m", "sim", "up", "-o", "json", "--runs-dir", str(runs), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Up(json.loads(process.stdout.readline()), process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def status_of(state: dict[str, Any], plugin: str = PLUGIN) -> str | None:
    return next((str(each["status"]) for each in state["plugins"] if each["plugin"] == plugin), None)


async def test_it_is_driven_by_the_page_and_leaves_a_report_and_nothing_else(tmp_path: Path) -> None:
    with up(SCENARIOS / "tag-bump", runs=tmp_path) as here:
        assert await here.post("scenario", {"next": True}) == (200, {})
        await here.until(lambda state: status_of(state) == "effective")
        assert (await here.post("step", {"push": {"plugin": "request-block", "tag": "3.0.0"}}))[0] == 202
        await here.until(lambda s: any("3.0.0" in each["tags"] for each in s["images"]))
        assert (await here.post("step", {"bump": {"plugin": PLUGIN, "tag": "3.0.0"}}))[0] == 202
        state = await here.until(lambda s: s["plugins"][0]["tag"] == "3.0.0" and status_of(s) == "effective")
        assert [deed["state"] for deed in state["deeds"]] == ["done", "done", "done"]
        # What it refuses says where and why.
        code, refused = await here.post("step", {"bump": {"plugin": "higress-system/nobody", "tag": "1"}})
        assert (code, "there is no WasmPlugin" in refused["error"]["message"]) == (400, True)
        code, refused = await here.post("apply", {"yaml": "kind: WasmPlugin\napiVersion: x/v1\n"})
        assert (code, refused["error"]["where"]) == (400, "line 2")
        assert (await here.post("check", {"yaml": "kind: ["}))[1]["problems"][0]["message"]
        assert (await here.post("enable", {"plugin": PLUGIN, "enabled": False}))[0] == 202
        await here.until(lambda s: not s["plugins"][0]["enabled"])
        assert (await here.post("config", {"plugin": PLUGIN, "yaml": "block_urls: [/x]\n"}))[0] == 202
        state = await here.until(lambda s: "/x" in s["plugins"][0]["config_yaml"])
        saved = json.loads(await here.get("/api/save"))["files"]
        metrics = await here.get("/metrics")
        page = await here.get(f"/?token={here.token}")
        process = here.process
    assert process.returncode == 0
    assert {"pilot_xds_pushes", "istio_agent_wasm_cache_entries", "envoy_server_live"} <= set(
        re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE)
    )
    assert "Content-Security-Policy" in page
    directory = Path(here.facts["directory"])
    assert (directory / "report.html").exists() and not (directory / "kubeconfig").exists()
    again = tmp_path / "again"
    again.mkdir()
    for name, text in saved.items():
        (again / name).write_text(text, encoding="utf-8")
    assert [step.kind for step in load_scenario(again).scenario.spec.steps if step.kind not in ("wait", "sleep")][
        :3
    ] == [*("apply", "push", "bump")]
    assert not processes_of(tmp_path)


async def test_a_watched_folder_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    manifest = (SCENARIOS / "tag-bump" / "request-block.yaml").read_text(encoding="utf-8")
    (folder / "plugin.yaml").write_text(manifest, encoding="utf-8")
    with up("--manifests", folder, runs=tmp_path / "runs") as here:
        await here.until(lambda state: status_of(state) == "effective")
        (folder / "plugin.yaml").write_text(manifest.replace(":1.0.0", ":2.0.0"), encoding="utf-8")
        state = await here.until(lambda s: s["plugins"][0]["tag"] == "2.0.0" and status_of(s) == "effective")
        assert {deed["by"] for deed in state["deeds"]} == {"folder"}
        (folder / "plugin.yaml").unlink()
        await here.until(lambda state: not state["plugins"])


async def test_a_stock_kubectl_rolls_a_plugin_out(tmp_path: Path) -> None:
    kubectl = needed_program("kubectl", "A KUBECTL IS NOT TRIED ON ecdsim up", package="kubernetes-client")
    with up(SCENARIOS / "tag-bump", runs=tmp_path) as here:

        def ask(*words: str) -> str:
            return subprocess.run(
                [kubectl, "--kubeconfig", here.facts["kubeconfig"], "--cache-dir", str(tmp_path / "cache"), *words],
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout

        assert "created" in ask("apply", "-f", "scenarios/tag-bump/request-block.yaml")
        await here.until(lambda state: status_of(state) == "effective")
        patch = {"spec": {"url": "oci://registry.local/plugins/request-block:2.0.0"}}
        assert "patched" in ask("patch", "wasmplugin", "request-block", "--type=merge", "-p", json.dumps(patch))
        state = await here.until(lambda s: s["plugins"][0]["tag"] == "2.0.0" and status_of(s) == "effective")
        assert {deed["by"] for deed in state["deeds"]} == {"kubectl"}
        assert "deleted" in ask("delete", "wasmplugin", "request-block")
        await here.until(lambda state: not state["plugins"])


async def test_markup_in_whatever_comes_in_is_data_on_the_page(tmp_path: Path) -> None:
    markup = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    manifest = (SCENARIOS / "tag-bump" / "request-block.yaml").read_text(encoding="utf-8")
    with up(runs=tmp_path) as here:
        text = manifest.replace("swagger.html", json.dumps(markup))
        assert (await here.post("apply", {"yaml": text}))[0] == 202
        await here.until(lambda state: status_of(state) == "effective")
        page = await here.get(f"/?token={here.token}")
    assert markup not in page
    assert page.count("</script>") == 2

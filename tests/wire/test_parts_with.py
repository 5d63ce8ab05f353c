"""`ecdsim run --with`: a run that uses parts that run already, a real Envoy at its end."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.envoy import reserved_port
from tests.needs import needed_envoy
from tests.part_process import ROOT, part_process

pytestmark = pytest.mark.e2e

LOOK = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: look, title: {en: Only look}}
spec:
  gateway: {port: PORT, workers: 1}
  images:
  - {plugin: request-block, tag: 1.0.0}
  steps:
  - request: {path: /swagger.html, within: 20s, expect: {status: 403}}
  - request: {path: /, expect: {headers: {x-request-block-version: 1.0.0}}}
  expect:
  - size(rollouts) == 0
"""
#: An image that comes after its plugin: the real agent never tries again.
LATE = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: late, title: {en: The image is late}}
spec:
  profile: istio-1.27
  fixed: FIXED
  gateway: {workers: 1}
  debounce: {after: 1ms}
  steps:
  - apply: {file: block.yaml, missing: true}
  - wait: {event: agent.replace, within: 10s}
  - push: {plugin: request-block, tag: 1.0.0}
  - request: {path: /swagger.html, within: 8s, expect: {status: 403}}
"""
ALWAYS = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/request-block:1.0.0
  imagePullPolicy: Always
  failStrategy: FAIL_OPEN
  defaultConfig: {block_urls: [swagger.html]}
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/request-block:1.0.0
  defaultConfig: {block_urls: [swagger.html]}
"""


@pytest.fixture(scope="module", autouse=True)
def envoy_is_there() -> None:
    needed_envoy("RUNS WITH OTHER PARTS ARE NOT TESTED")


async def ecdsim_run(scenario: Path, runs: Path, *more: str) -> tuple[int, Any, str]:
    """Exit status, result (None without one) and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sim", "run", str(scenario), "--runs-dir", str(runs), "-q", "-o", "json", *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    assert "Traceback" not in errors.decode()
    return process.returncode, json.loads(output) if output else None, errors.decode()


async def test_images_go_to_a_registry_that_runs_already(tmp_path: Path) -> None:
    async with part_process("registry", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "registry") as part:
        address = (await part.ready())["listen"]
        status, result, errors = await ecdsim_run(
            ROOT / "scenarios" / "tag-bump", tmp_path / "runs", "--with", f"registry={address}"
        )
        assert (status, result["outcome"]) == (0, "passed"), errors
        url = f"http://{address}/v2/plugins/request-block/tags/list"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert set((await answer.json())["tags"]) == {"1.0.0", "2.0.0"}
        assert [line for line in part.log if "path=/v2/plugins/request-block/manifests/2.0.0" in line and "GET" in line]


@pytest.mark.parametrize("replaced", ["core", "discovery"])
async def test_a_core_that_runs_already_tells_what_there_is(tmp_path: Path, replaced: str) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    with reserved_port() as port:
        pass
    (tmp_path / "scenario.yaml").write_text(LOOK.replace("PORT", str(port)))
    listen = ("--listen", "127.0.0.1:0")
    async with part_process("registry", *listen, "--data-dir", tmp_path / "registry") as registry_part:
        registry = (await registry_part.ready())["listen"]
        (manifests / "block.yaml").write_text(PLUGIN)
        async with (
            answering() as upstream,
            part_process(
                *("core", *listen, "--manifests", manifests, "--gateway-port", port, "--upstream", upstream)
            ) as core_part,
        ):
            mcp = (await core_part.ready())["listen"]
            using = ["--with", f"registry={registry}"]
            if replaced == "core":
                status, result, errors = await ecdsim_run(tmp_path, tmp_path / "runs", *using, "--with", f"core={mcp}")
            else:
                async with part_process("discovery", "--mcp", mcp, *listen) as discovery_part:
                    ads = (await discovery_part.ready())["listen"]
                    using += ["--with", f"discovery={ads}"]
                    status, result, errors = await ecdsim_run(tmp_path, tmp_path / "runs", *using)
                    assert await discovery_part.stop() == (0, "")
            assert (status, result["outcome"]) == (0, "passed"), errors


class answering:  # noqa: N801
    """An HTTP server that answers 200; its address."""

    async def __aenter__(self) -> str:
        from aiohttp import web

        async def ok(_: web.Request) -> web.Response:
            return web.Response(text="hello")

        app = web.Application()
        app.router.add_get("/{path:.*}", ok)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


@pytest.mark.parametrize("part", ["core", "discovery", "registry"])
async def test_a_part_that_does_not_answer_ends_with_3_and_how_to_start_it(tmp_path: Path, part: str) -> None:
    with reserved_port() as port:
        address = f"127.0.0.1:{port}"
        (tmp_path / "scenario.yaml").write_text(LOOK.replace("PORT", "18080"))
        status, result, errors = await ecdsim_run(tmp_path, tmp_path / "runs", "--with", f"{part}={address}")
    assert (status, result) == (3, None)
    assert f"no {part} answers at {address}" in errors
    assert f"ecdsim {part} --listen {address}" in errors
    assert not (tmp_path / "runs").exists()


async def test_steps_that_change_manifests_are_refused_before_anything_starts(tmp_path: Path) -> None:
    status, result, errors = await ecdsim_run(
        ROOT / "scenarios" / "tag-bump", tmp_path / "runs", "--with", "core=127.0.0.1:1"
    )
    assert (status, result) == (2, None)
    assert "scenario.yaml:" in errors and "a step apply changes manifests" in errors
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("in_scenario", "words", "status"),
    [
        ("[]", (), 1),
        ("[failed-always]", (), 0),
        ("[]", ("--fixed", "failed-always"), 0),
        ("[stale-overtakes-new]", ("--fixed", "failed-always"), 0),
    ],
    ids=["nowhere", "in the scenario", "on the command line", "with another in the scenario"],
)
async def test_a_bug_is_fixed_where_the_scenario_or_the_command_line_says_so(
    tmp_path: Path, in_scenario: str, words: tuple[str, ...], status: int
) -> None:
    (tmp_path / "scenario.yaml").write_text(LATE.replace("FIXED", in_scenario))
    (tmp_path / "block.yaml").write_text(ALWAYS)
    ended = await ecdsim_run(tmp_path, tmp_path / "runs", *words)
    assert ended[0] == status, ended[2]

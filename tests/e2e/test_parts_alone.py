"""The four parts as processes of their own, chained, with a real Envoy at the end."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from sim.envoy import BootstrapOptions, EnvoyOptions, envoy, find_envoy, probe_envoy, reserved_port
from sim.model import gateway_node
from sim.oci import build_image, push
from sim.trace import Trace
from sim.wasm import bundled, stamp
from tests.part_process import PartProcess, part_process

pytestmark = pytest.mark.e2e

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://REGISTRY/plugins/request-block:TAG
  defaultConfig: {block_urls: [swagger.html]}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@asynccontextmanager
async def ready(*words: object) -> AsyncIterator[tuple[PartProcess, str]]:
    """A part and where it listens; it ends with 0 when told to."""
    async with part_process(*words) as part:
        yield part, (await part.ready())["listen"]
        assert await part.stop() == (0, "")
        assert "Traceback" not in "\n".join(part.log)


async def answered_by(port: int, version: str | None) -> None:
    """Until the gateway answers with this version of the plugin."""
    header = bundled("request-block").version_header
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/") as answer:
                    if answer.status == 200 and answer.headers.get(header) == version:
                        return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("profile", ["higress", "istio-1.27"])
async def test_a_saved_tag_bump_arrives_through_the_four_parts_alone(folder: Path, profile: str) -> None:
    manifests = folder / "manifests"
    manifests.mkdir()
    binary = await probe_envoy(find_envoy())
    async with AsyncExitStack() as stack:
        gateway_port = stack.enter_context(reserved_port())
        upstream_port = stack.enter_context(reserved_port())

        async def part(*words: object) -> tuple[PartProcess, str]:
            return await stack.enter_async_context(ready(*words))

        _, registry = await part("registry", "--listen", "127.0.0.1:0", "--data-dir", folder / "registry")
        for tag in ("1.0.0", "2.0.0"):
            image = build_image(stamp(bundled("request-block").module, tag))
            await push(image, f"{registry}/plugins/request-block:{tag}", registry)
        _, mcp = await part(
            *("core", "--listen", "127.0.0.1:0", "--manifests", manifests, "--watch"),
            *("--gateway-port", gateway_port, "--upstream", f"127.0.0.1:{upstream_port}"),
        )
        _, ads = await part("discovery", "--mcp", mcp, "--listen", "127.0.0.1:0", "--profile", profile)
        agent, xds = await part(
            *("agent", "--discovery", ads, "--listen", f"unix:{folder}/xds.sock"),
            *("--data-dir", folder / "modules", "--profile", profile, "--bootstrap", folder / "envoy.json"),
        )
        await stack.enter_async_context(
            envoy(
                EnvoyOptions(
                    binary=binary,
                    bootstrap=BootstrapOptions(
                        node=gateway_node(),
                        xds_address=xds,
                        delta=profile == "istio-1.27",
                        upstream_port=upstream_port,
                    ),
                    directory=folder,
                    workers=1,
                ),
                Trace(),
            )
        )
        await answered_by(gateway_port, None)
        file = manifests / "block.yaml"
        file.write_text(PLUGIN.replace("REGISTRY", registry).replace("TAG", "1.0.0"))
        await answered_by(gateway_port, "1.0.0")
        file.write_text(PLUGIN.replace("REGISTRY", registry).replace("TAG", "2.0.0"))
        await answered_by(gateway_port, "2.0.0")
        file.unlink()
        await answered_by(gateway_port, None)
        await agent.said("event=agent.deliver")


async def test_envoy_accepts_the_bootstrap_that_the_agent_writes(folder: Path) -> None:
    async with ready(
        *("agent", "--discovery", "127.0.0.1:1", "--listen", f"unix:{folder}/xds.sock"),
        *("--data-dir", folder / "modules", "--bootstrap", folder / "envoy.json"),
    ):
        binary = await probe_envoy(find_envoy())
        process = await asyncio.create_subprocess_exec(
            *(binary.path, "--mode", "validate", "-c", folder / "envoy.json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

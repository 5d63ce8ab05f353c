"""`proxy-config` over a real Envoy's admin interface, over the Discovery before it, and over the directory of a run."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sim.envoy import BootstrapOptions, EnvoyOptions, envoy, find_envoy, probe_envoy, reserved_port
from sim.model import gateway_node
from sim.oci import build_image, push
from sim.trace import Trace
from sim.wasm import bundled, stamp
from tests.e2e.conftest import ROOT, SCENARIOS, Ended
from tests.part_process import part_process

pytestmark = pytest.mark.e2e

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://REGISTRY/plugins/request-block:TAG
  defaultConfig: {block_urls: [swagger.html]}
"""
NAME = "higress-system.block"
WASM = "envoy.extensions.filters.http.wasm.v3.Wasm"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


async def rows(*words: object) -> list[list[str]]:
    """The words of each row that `ecdsim` prints under its header; none when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sim", *map(str, words)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    stdout, _ = await process.communicate()
    return [line.split() for line in stdout.decode().splitlines()[1:]]


async def until(found: Callable[[list[list[str]]], bool], *words: object) -> list[list[str]]:
    """Those rows, as soon as they are as wanted."""
    async with asyncio.timeout(30):
        while not found(seen := await rows(*words)):
            pass
        return seen


async def test_envoy_has_a_file_where_discovery_has_an_image(folder: Path) -> None:
    binary = await probe_envoy(find_envoy())
    manifests = folder / "manifests"
    manifests.mkdir()
    async with AsyncExitStack() as stack:
        port = stack.enter_context(reserved_port())
        upstream_port = stack.enter_context(reserved_port())

        async def start(*words: object) -> dict[str, str]:
            part = await stack.enter_async_context(part_process(*words))
            return await part.ready()

        registry = (await start("registry", "--listen", "127.0.0.1:0", "--data-dir", folder / "registry"))["listen"]
        image = build_image(stamp(bundled("request-block").module, "1.0.0"))
        await push(image, f"{registry}/plugins/request-block:1.0.0", registry)
        (manifests / "block.yaml").write_text(PLUGIN.replace("REGISTRY", registry).replace("TAG", "1.0.0"))
        core = await start(
            *("core", "--listen", "127.0.0.1:0", "--manifests", manifests, "--watch"),
            *("--gateway-port", port, "--upstream", f"127.0.0.1:{upstream_port}"),
        )
        discovery = await start(
            *("discovery", "--mcp", core["listen"], "--listen", "127.0.0.1:0", "--debug-listen", "127.0.0.1:0")
        )
        agent = await start(
            *("agent", "--discovery", discovery["listen"], "--listen", f"unix:{folder}/xds.sock"),
            *("--data-dir", folder / "modules"),
        )
        options = BootstrapOptions(
            node=gateway_node(), xds_address=agent["listen"], delta=False, upstream_port=upstream_port
        )
        running = await stack.enter_async_context(
            envoy(EnvoyOptions(binary=binary, bootstrap=options, directory=folder, workers=1), Trace())
        )
        admin = ("--admin", running.admin.address)
        over_discovery = ("--discovery-debug", discovery["debug"])

        (row,) = await until(bool, "pc", "ecds", *admin, "-o", "wide")
        assert row[:2] == [NAME, WASM]
        assert row[2].startswith(f"{folder}/modules/") and row[2].endswith(".wasm")
        (row,) = await rows("pc", "ecds", *over_discovery, "-o", "wide")
        assert row[:3] == [NAME, WASM, f"oci://{registry}/plugins/request-block:1.0.0"]

        # Both views tell of the same listener, routes and clusters; Envoy also has those of its bootstrap.
        for kind, own in (("listeners", str(upstream_port)), ("routes", "upstream"), ("clusters", "xds-grpc")):
            in_envoy = await rows("pc", kind, *admin)
            sent = await rows("pc", kind, *over_discovery)
            assert sent and [each for each in in_envoy if each not in sent and own not in each] == []
            assert all(each in in_envoy for each in sent)
        status = await until(lambda seen: str(seen).count("SYNCED") == 5, "ps", *over_discovery)
        assert status[0][0] == "gateway-1.higress-system"

        # The image is missing: Discovery sends it, the agent refuses it, Envoy keeps what it had.
        (manifests / "block.yaml").write_text(PLUGIN.replace("REGISTRY", registry).replace("TAG", "2.0.0"))
        await until(lambda seen: "ERROR" in str(seen), "ps", *over_discovery)
        (row,) = await rows("pc", "ecds", *over_discovery, "-o", "wide")
        assert row[2].endswith(":2.0.0")
        (row,) = await rows("pc", "ecds", *admin, "-o", "wide")
        assert row[2].endswith(".wasm")
        (manifests / "block.yaml").unlink()
        await until(lambda seen: seen == [], "pc", "ecds", *over_discovery)


def test_a_run_directory_is_as_good_as_a_dump(ecdsim: Callable[..., Ended], tmp_path: Path) -> None:
    assert ecdsim("run", SCENARIOS / "first-plugin", "--quiet", "-o", "json").status == 0
    (directory,) = (tmp_path / "runs").iterdir()
    ended = ecdsim("pc", "ec", "-f", directory)
    assert ended.status == 0
    assert WASM in ended.stdout.splitlines()[1]
    listeners = ecdsim("pc", "listeners", "-f", directory / "config_dump.json").stdout
    assert "Route: http." in listeners and "Inline Route: /*" in listeners
    (directory / "config_dump.json").unlink()
    ended = ecdsim("pc", "ec", "-f", directory)
    assert (ended.status, ended.stdout) == (2, "")

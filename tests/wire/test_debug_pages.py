"""The debug ports of Core and Discovery, parts as processes, and what proxy-status and proxy-config make of them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.model import CDS, ECDS, LDS
from sim.xds import Variant
from tests.part_process import ROOT, PartProcess, part_process
from tests.wire.ads_peers import PATIENCE_S, AdsClient, ads_client

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/block:TAG
  imagePullSecret: pull
  defaultConfig: {a: 1}
"""
NODE = "router~127.0.0.1~{}.higress-system~higress-system.svc.cluster.local"
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"


@dataclass
class World:
    """A Core and a Discovery with their debug addresses."""

    manifests: Path
    core: PartProcess
    discovery: PartProcess
    ads: str
    core_debug: str
    discovery_debug: str

    def bump(self, tag: str) -> None:
        (self.manifests / "block.yaml").write_text(PLUGIN.replace("TAG", tag))

    async def get(self, path: str, *, core: bool = False) -> tuple[int, str, str]:
        """Status, content type and body."""
        address = self.core_debug if core else self.discovery_debug
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
            return answer.status, answer.content_type, await answer.text()

    async def data(self, path: str, *, core: bool = False) -> Any:
        status, kind, body = await self.get(path, core=core)
        assert (status, kind) == (200, "application/json"), body
        return json.loads(body)

    async def state(self, type_url: str) -> dict[str, str]:
        """What syncz says of one type of the one proxy."""
        (proxy,) = await self.data("/debug/syncz")
        found: dict[str, str] = proxy["resources"][type_url]
        return found


@asynccontextmanager
async def world(tmp_path: Path, profile: str = "istio-1.27") -> AsyncIterator[World]:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "block.yaml").write_text(PLUGIN.replace("TAG", "1"))
    async with AsyncExitStack() as stack:

        async def start(*words: object) -> tuple[PartProcess, dict[str, Any]]:
            part = await stack.enter_async_context(part_process(*words, "--debug-listen", "127.0.0.1:0"))
            return part, await part.ready()

        core, core_ready = await start("core", "--listen", "127.0.0.1:0", "--manifests", manifests, "--watch")
        assert core_ready.keys() == {"part", "ready", "listen", "debug"}
        discovery, ready = await start(
            *("discovery", "--mcp", core_ready["listen"], "--listen", "127.0.0.1:0", "--profile", profile)
        )
        assert ready.keys() == {"part", "ready", "listen", "debug"}
        yield World(manifests, core, discovery, ready["listen"], core_ready["debug"], ready["debug"])
        for part in (discovery, core):
            assert await part.stop() == (0, "")
            assert "Traceback" not in "\n".join(part.log)


async def subscribe(client: AdsClient, type_url: str, *names: str, pod: str = "gw-1", **metadata: str) -> Any:
    """Ask for a type and give its first response, which is not acknowledged."""
    request = client.request(type_url, *names)
    request.node.id = NODE.format(pod)
    request.node.metadata.update({"LABELS": {"higress": "higress-system-higress-gateway"}, **metadata})
    await client.send(request)
    return await client.receive()


async def ecdsim(*words: object) -> tuple[int, str, str]:
    """Run the command line: its exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sim", *map(str, words)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def states(world: World, *more: str) -> dict[str, str]:
    """What proxy-status prints for the one proxy, by column; ages are left out."""
    status, out, _ = await ecdsim("ps", *more, "--discovery-debug", world.discovery_debug)
    assert status == 0
    header, row = out.splitlines()
    cells = [cell.strip().partition(" (")[0] for cell in row.split("     ") if cell.strip()]
    return dict(zip(header.split(), cells, strict=True))


def specs(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], Any]:
    """The specs by kind, namespace and name."""
    return {(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"] for each in objects}


async def test_core_shows_what_it_serves_and_discovery_what_it_received(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        served = await here.data("/debug/configz", core=True)
        received = await here.data("/debug/configz")
        by_kind = {each["kind"]: each for each in served}
        assert by_kind["WasmPlugin"]["spec"]["pluginConfig"] == {"a": 1}
        assert by_kind["WasmPlugin"]["spec"]["selector"] == {
            "matchLabels": {"higress": "higress-system-higress-gateway"}
        }
        assert specs(served) == specs(received)
        # Under the versions that the profile asks for.
        versions = {each["kind"]: each["apiVersion"] for each in received}
        assert versions["Gateway"] == "networking.istio.io/v1"
        assert versions["WasmPlugin"] == "extensions.istio.io/v1alpha1"
        here.bump("2")
        await here.discovery.said("event=discovery.debounce")
        plugins = [each for each in await here.data("/debug/configz") if each["kind"] == "WasmPlugin"]
        assert [each["spec"]["url"] for each in plugins] == ["oci://registry.local/plugins/block:2"]
        assert [each["metadata"]["resourceVersion"] for each in plugins] == ["2"]


@pytest.mark.parametrize("variant", list(Variant))
async def test_syncz_tells_what_was_sent_and_acknowledged(tmp_path: Path, variant: Variant) -> None:
    async with world(tmp_path) as here, ads_client(here.ads, variant) as client:
        assert await here.data("/debug/syncz") == []
        first = await subscribe(client, CDS, CLUSTER_ID="Kubernetes", ISTIO_VERSION="1.27.0")
        (proxy,) = await here.data("/debug/syncz")
        assert proxy.keys() == {
            *("cluster_id", "proxy", "proxy_type", "istio_version"),
            *("cluster_sent", "resources"),
        }
        assert (proxy["proxy"], proxy["proxy_type"]) == ("gw-1.higress-system", "router")
        assert (proxy["cluster_id"], proxy["istio_version"]) == ("Kubernetes", "1.27.0")
        assert proxy["cluster_sent"] == first.nonce
        assert proxy["resources"].keys() == {CDS}
        assert proxy["resources"][CDS].keys() == {"sent", "sentTime"}
        found = await states(here)
        assert (found.pop("NAME"), found.pop("ISTIOD")) == ("gw-1.higress-system", here.discovery_debug)
        assert (found.pop("CLUSTER"), found.pop("VERSION")) == ("Kubernetes", "1.27.0")
        assert found == {"CDS": "STALE", **dict.fromkeys(["LDS", "EDS", "RDS", "ECDS"], "IGNORED")}
        await client.acknowledge(first)
        await here.discovery.said("event=discovery.ack", "type=CDS")
        (proxy,) = await here.data("/debug/syncz")
        assert proxy["cluster_acked"] == proxy["cluster_sent"] == first.nonce
        assert (await states(here, "gw-1"))["CDS"] == "SYNCED"
        assert await here.data("/debug/syncz?namespace=elsewhere") == []
        assert len(await here.data("/debug/syncz?namespace=higress-system")) == 1


async def test_a_bump_is_stale_until_it_is_acknowledged_and_an_error_once_it_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here, ads_client(here.ads, Variant.DELTA) as client:
        name = "extensions.istio.io/wasmplugin/higress-system.block"
        first = await subscribe(client, ECDS, name)
        await client.acknowledge(first)
        await here.discovery.said("event=discovery.ack", "type=ECDS")
        assert (await states(here))["ECDS"] == "SYNCED"
        here.bump("2")
        second = await client.receive()
        assert (await states(here))["ECDS"] == "STALE"
        told = await here.state(ECDS)
        assert (told["sent"], told["acked"], "lastError" in told) == (second.nonce, first.nonce, False)
        refusal = client.request(ECDS, response_nonce=second.nonce)
        refusal.error_detail.message = "no such module"
        await client.send(refusal)
        await here.discovery.said("event=discovery.nack", "type=ECDS")
        assert (await states(here))["ECDS"] == "ERROR"
        assert (await here.state(ECDS))["lastError"] == "no such module"
        _, _, complaint = await ecdsim("ps", "--discovery-debug", here.discovery_debug)
        assert complaint == "gw-1.higress-system refused ECDS: no such module\n"
        here.bump("3")
        await client.acknowledge(await client.receive())
        await here.discovery.said("event=discovery.ack", f"nonce={(await here.state(ECDS))['sent']}")
        assert (await states(here))["ECDS"] == "SYNCED"


async def test_ecdsz_shows_a_proxys_filters_without_their_secrets(tmp_path: Path) -> None:
    async with world(tmp_path) as here, ads_client(here.ads, Variant.SOTW) as client:
        assert (await here.get("/debug/ecdsz"))[0] == 400
        status, _, told = await here.get("/debug/ecdsz?proxyID=gw-1")
        assert (status, told) == (404, "no proxy gw-1 is connected to this Discovery; connected: none\n")
        await subscribe(client, LDS)
        assert await here.data("/debug/ecdsz?proxyID=gw-1.higress-system") == {"configs": []}
        await subscribe(client, ECDS, "extensions.istio.io/wasmplugin/higress-system.block")
        status, _, told = await here.get("/debug/ecdsz")
        assert status == 400 and "gw-1.higress-system" in told
        # As in istiod, a part of the connection's ID is enough.
        for proxy in ("gw-1.higress-system", "gw-1", "gw-1.higress-system-1"):
            (found,) = (await here.data(f"/debug/ecdsz?proxyID={proxy}"))["configs"]
            assert found["@type"] == WASM
            assert found["config"]["name"] == "higress-system.block"
            code = found["config"]["vmConfig"]["code"]
            assert code["remote"]["httpUri"]["uri"] == "oci://registry.local/plugins/block:1"
            variables = found["config"]["vmConfig"]["environmentVariables"]["keyValues"]
            assert variables["ISTIO_META_WASM_IMAGE_PULL_SECRET"] == "<Redacted>"
        by_type = await here.data("/debug/config_dump?proxyID=gw-1&types=lds,ecds")
        assert [each["@type"].rpartition(".")[2] for each in by_type["configs"]] == ["Listener", "Wasm"]


async def test_proxy_config_reads_what_discovery_sends(tmp_path: Path) -> None:
    name = "extensions.istio.io/wasmplugin/higress-system.block"
    async with world(tmp_path) as here, ads_client(here.ads, Variant.DELTA) as client:
        status, out, told = await ecdsim("pc", "ec", "--discovery-debug", here.discovery_debug)
        assert (status, out) == (2, "") and "has no proxies" in told
        for type_url in (CDS, LDS):
            await subscribe(client, type_url)
        await subscribe(client, ECDS, name)
        dump = await here.data("/debug/config_dump?proxyID=gw-1&include_eds")
        sections = [each["@type"].rpartition(".")[2].removesuffix("ConfigDump") for each in dump["configs"]]
        assert sections == [
            *("Bootstrap", "Clusters", "Endpoints", "Listeners", "ScopedRoutes", "Routes", "Secrets", "Ecds")
        ]
        pc = ("--discovery-debug", here.discovery_debug)
        status, out, _ = await ecdsim("pc", "ecds", "gw-1", "-o", "wide", *pc)
        assert status == 0
        assert out.splitlines()[1].split()[:3] == [
            *(name, WASM.partition("/")[2], "oci://registry.local/plugins/block:1")
        ]
        status, out, _ = await ecdsim("pc", "listeners", *pc)
        assert out.splitlines()[1].split() == ["127.0.0.1", "80", "ALL", "Route:", "http.80"]
        status, out, _ = await ecdsim("pc", "clusters", "gw-1.higress-system", *pc)
        assert [line.split()[0] for line in out.splitlines()[1:]] == [
            *("BlackHoleCluster", "upstream.higress-system.svc.cluster.local")
        ]
        # Routes were not asked for; that is no error, there are none.
        assert (await ecdsim("pc", "routes", *pc))[0] == 0
        status, _, told = await ecdsim("pc", "routes", "gw-2", *pc)
        assert status == 2 and "name one of gw-1.higress-system" in told
        async with ads_client(here.ads, Variant.DELTA) as other:
            await subscribe(other, CDS, pod="my-gw-1")
            status, _, told = await ecdsim("pc", "clusters", *pc)
            assert status == 2 and "name one of gw-1.higress-system, my-gw-1.higress-system" in told
            # A name that another one has at its end is still itself.
            dump = await here.data("/debug/config_dump?proxyID=gw-1.higress-system")
            assert any(each.get("ecdsFilters") for each in dump["configs"])


@pytest.mark.parametrize("part", ["core", "discovery"])
async def test_a_debug_port_that_is_taken_ends_with_3(tmp_path: Path, part: str) -> None:
    more = {"core": ("--watch", "--manifests", tmp_path), "discovery": ("--mcp", "127.0.0.1:1")}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = (part, "--listen", "127.0.0.1:0", *more[part], "--debug-listen", address)
        status, out, told = await ecdsim(*words)
    assert (status, out) == (3, "")
    assert f"the {part}'s debug port can't listen on {address}" in told and "hint:" in told


async def test_the_index_leads_to_every_page_and_a_reader_holds_up_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for core, names in ((True, ["configz"]), (False, ["syncz", "configz", "ecdsz", "config_dump"])):
            assert await here.data("/debug/list", core=core) == names
            for path in ("/debug", "/debug/"):
                status, kind, body = await here.get(path, core=core)
                assert (status, kind) == (200, "text/html")
                assert all(f'href="/debug/{name}"' in body for name in names)
        _, _, compact = await here.get("/debug/configz")
        _, _, pretty = await here.get("/debug/configz?pretty")
        assert json.loads(compact) == json.loads(pretty)
        assert len(compact.splitlines()) == 1 < len(pretty.splitlines())
        _, writer = await asyncio.open_connection(*here.discovery_debug.split(":"))
        _, other = await asyncio.open_connection(*here.core_debug.split(":"))
        writer.write(b"GET /debug/syncz HTTP/1.1\r\nHost: a\r\n")
        await writer.drain()
        assert await here.discovery.stop() == (0, "")
        assert await here.core.stop() == (0, "")
        writer.close()
        other.close()

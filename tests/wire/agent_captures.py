"""What the captures of the real agents were taken against, rebuilt: a registry, a file server, istiod's resources.

The captured images' bytes are not here, so ours have other checksums; `Origins.translated` swaps them in a capture.
URLs stay as captured, and with them the names of folders: a mirror table leads the registry's to ours, and a fetcher
that swaps the address leads the file server's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from google.protobuf import json_format

from sim.agent.cache import Fetcher, ModuleCache, Prepared
from sim.agent.convert import Converted, Converter
from sim.agent.fetch import FetchOptions, module_fetcher
from sim.discovery.gateway import ListenerFactory
from sim.discovery.plugins import PullSecrets
from sim.discovery.state import Configuration, PushContext
from sim.model import ECDS, Node
from sim.oci import (
    MAX_BYTES,
    Fault,
    Registry,
    build_image,
    compressed,
    parse_reference,
    push,
    reset_connection,
    tar_archive,
    unboxed,
)
from sim.oci.registry.faults import ConnectionEndedError
from sim.profiles import load_profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from sim.trace import Trace
from sim.xds import ProtoAny

T = TypeVar("T")

NODE = Node(
    "router~127.0.0.1~gw-1.higress-system~higress-system.svc.cluster.local",
    {"higress": "higress-system-higress-gateway"},
)
WASM = b"\0asm\1\0\0\0"
FILES = {
    "/plugin.wasm": WASM + b"\0\1a",
    "/plugin.wasm.gz": compressed(WASM + b"\0\1b"),
    "/plugin.tar": tar_archive({"plugin.wasm": WASM + b"\0\1c"}),
    "/plugin.tar.gz": compressed(tar_archive({"plugin.wasm": WASM + b"\0\1d"})),
    "/bad.wasm": b"this is text",
}
#: A tag that the captured registry does not have.
NO_SUCH_TAG = "nope"
#: The repository with images made as the Higress guide has it; the tag says what the file in the archive is called.
GUIDE = "plugins/orasdoc"


def mcp_resources(plugins: Iterable[dict[str, Any]], version: str) -> list[mcp.Resource]:
    """The plugins as Discovery receives them. istiod stamps all that one response holds."""
    made = []
    for plugin in plugins:
        resource = mcp.Resource(metadata=mcp.Metadata(name=plugin["name"], version=version))
        resource.body.Pack(json_format.ParseDict(plugin["spec"], ext.WasmPlugin()))
        made.append(resource)
    return made


def ecds(profile: str, plugins: Iterable[dict[str, Any]], version: str = "1") -> dict[str, ProtoAny]:
    """The extension configurations that Discovery generates for the plugins, by name."""
    configuration = Configuration()
    gateway = net.Gateway(selector=NODE.labels)
    gateway.servers.add(port=net.Port(number=18080, protocol="HTTP", name="http"), hosts=["*"])
    listening = mcp.Resource(metadata=mcp.Metadata(name="higress-system/gateway"))
    listening.body.Pack(gateway)
    configuration.replace("Gateway", [listening])
    configuration.replace("WasmPlugin", mcp_resources(plugins, version))
    state, made = configuration.freeze()
    reproduced = load_profile(profile)
    factory = ListenerFactory(reproduced, "127.0.0.1")
    answer = PushContext("v/1", 1, reproduced, state, made, PullSecrets({}), factory).answer(NODE, ECDS, None)
    assert answer is not None
    return {item.name: ProtoAny(type_url=item.type_url, value=item.body) for item in answer.resources}


class FileServer:
    """Serves FILES; `faults` and the events are the registry's."""

    def __init__(self, registry: Registry, trace: Trace) -> None:
        self._registry = registry
        self._trace = trace
        self.address = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        status = 0
        try:
            response: web.StreamResponse | None = None
            for fault in self._registry.faults:
                response = response or await fault(request)
            if response is None:
                found = FILES.get(request.path)
                response = web.Response(body=found) if found is not None else web.Response(status=404)
            status = response.status
            return response
        except ConnectionEndedError:
            return web.Response()
        finally:
            self._trace.emit("registry.request", method=request.method, path=request.path, status=status)


class _Redirected:
    """A fetcher for which the captured file server is ours."""

    def __init__(self, fetcher: Fetcher, addresses: dict[str, str]) -> None:
        self._fetcher = fetcher
        self._addresses = addresses

    async def prepare(self, url: str, pull_secret: bytes | None) -> Prepared:
        parts = urlsplit(url)
        if parts.scheme == "http":
            url = parts._replace(netloc=self._addresses.get(parts.netloc, parts.netloc)).geturl()
        return await self._fetcher.prepare(url, pull_secret)


class Origins:
    """The registry and the file server, filled with what the URLs ask for."""

    def __init__(self, registry: Registry, files: FileServer, trace: Trace) -> None:
        self.registry = registry
        self.files = files
        self._trace = trace
        self.checksums: dict[str, str] = {}
        self._swap: dict[str, str] = {}
        self._hosts: dict[str, set[str]] = {"oci": set(), "http": set()}

    async def fill(self, captured: dict[str, str], urls: Iterable[str]) -> None:
        """Put an image or file behind each URL; `captured` has the checksums (or how they begin) where known.

        Tags with one captured checksum are one image.
        """
        for number, url in enumerate(sorted(urls)):
            parts = urlsplit(url)
            if parts.port == 1 or parts.scheme not in self._hosts:
                continue
            self._hosts[parts.scheme].add(parts.netloc)
            known = captured.get(url)
            if parts.scheme == "http":
                content = FILES.get(parts.path)
                checksum = hashlib.sha256(unboxed(content, MAX_BYTES)).hexdigest() if content else ""
            else:
                checksum = await self._push(url, number if known is None else int(known[:8], 16))
            self.checksums[url] = checksum
            if known and checksum:
                self._swap |= {known: checksum[: len(known)], known[:12]: checksum[:12]}

    async def _push(self, url: str, seed: int) -> str:
        reference = parse_reference(url)
        if reference.tag == NO_SUCH_TAG or reference.digest is not None:
            return ""
        module = WASM + b"\0\5" + (seed & 0xFFFFFFFF).to_bytes(4, "big") + b"."
        if reference.repository == GUIDE:
            image = build_image(module, "guide", member=f"{reference.tag}.wasm")
        else:
            image = build_image(module)
        await push(image, reference, self.registry.address)
        return image.digest.partition(":")[2]

    def translated(self, capture: T) -> T:
        """The capture with our checksums where it has those of the captured images."""
        text = json.dumps(capture)
        for theirs, ours in sorted(self._swap.items(), key=lambda item: -len(item[0])):
            text = text.replace(theirs, ours)
        translated: T = json.loads(text)
        return translated

    def requests(self) -> list[tuple[str, str, int]]:
        """Method, path (of a blob without its digest) and status of each request since the last time."""
        seen = [
            (event.data["method"], without_blob(event.data["path"]), event.data["status"])
            for event in self._trace
            if event.event == "registry.request"
        ]
        self._trace.events.clear()
        return seen

    def fail(self, faults: Iterable[dict[str, Any]]) -> None:
        """Arm the faults of a capture: `on` a part of the path, a `status` (0: a reset), so many `times`."""
        self.registry.faults[:] = [_fault(fault["on"], fault["status"], fault["times"]) for fault in faults]

    @asynccontextmanager
    async def converter(self, profile: str, directory: Path) -> AsyncIterator[Converter]:
        """An agent's converter with an empty cache, whose pauses between tries are none."""
        options = FetchOptions(
            mirrors=dict.fromkeys(self._hosts["oci"], self.registry.address),
            oci_pauses_s=(0, 0),
            http_pauses_s=lambda: repeat(0.0),
        )
        async with module_fetcher(options) as fetcher:
            redirected = _Redirected(fetcher, dict.fromkeys(self._hosts["http"], self.files.address))
            yield Converter(ModuleCache(directory, redirected), load_profile(profile), Trace())


async def converted(converter: Converter, resources: Iterable[ProtoAny]) -> list[Converted]:
    return await converter.convert(list(resources), node_id=NODE.id, nonce="n")


def without_blob(path: str) -> str:
    head, blobs, _ = path.partition("/blobs/")
    return head + blobs


def _fault(part: str, status: int, times: int) -> Fault:
    left = times

    async def fault(request: web.Request) -> web.StreamResponse | None:
        nonlocal left
        if left == 0 or part not in request.path:
            return None
        left -= 1
        if status == 0:
            reset_connection(request)
        return web.Response(status=status)

    return fault


@asynccontextmanager
async def origins(directory: Path) -> AsyncIterator[Origins]:
    """A registry and a file server on free ports."""
    trace = Trace()
    async with Registry(directory, trace) as registry:
        files = FileServer(registry, trace)
        app = web.Application()
        app.router.add_get("/{path:.*}", files.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            files.address = f"127.0.0.1:{runner.addresses[0][1]}"
            yield Origins(registry, files, trace)
        finally:
            await runner.cleanup()

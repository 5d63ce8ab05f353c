"""A registry that answers for hub.example.com, and what else the tests of pulling need around it."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from sim.oci import Fault, Image, Registry, build_image, push, reset_connection
from sim.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from sim.trace import Trace
from tests.needs import needed_program

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
HOST = "hub.example.com"
IMAGE = f"oci://{HOST}/team/block:1.0.0"
USER, PASSWORD = "alice", "s3cret"


@dataclass
class World:
    """A registry that answers for hub.example.com, and what it was asked."""

    registry: Registry
    trace: Trace
    pauses_s: list[float] = field(default_factory=list)

    def requests(self) -> list[tuple[str, int]]:
        """Path and status of each GET since the last call, with blob digests cut off."""
        seen = [
            (event.data["path"].partition("sha256:")[0], event.data["status"])
            for event in self.trace
            if event.data["method"] == "GET"
        ]
        self.trace.events.clear()
        return seen

    async def fail(self, kind: str, status: int, times: int) -> None:
        """Answer the next requests for manifests, blobs or the ping with a status; 0 resets the connection."""
        left = times

        async def fault(request: web.Request) -> web.StreamResponse | None:
            nonlocal left
            if left == 0 or not (request.path == "/v2/" if kind == "ping" else f"/{kind}/" in request.path):
                return None
            left -= 1
            if status == 0:
                reset_connection(request)
            return web.Response(status=status)

        self.registry.faults[:] = [fault]

    def serve(self, content: Mapping[str, tuple[str, bytes]]) -> None:
        """Answer for these references of the repository `team/block`: media type and bytes, blobs by their digest."""

        async def fault(request: web.Request) -> web.StreamResponse | None:
            found = content.get(request.path.removeprefix("/v2/team/block/"))
            return None if found is None else web.Response(body=found[1], headers={"Content-Type": found[0]})

        self.registry.faults[:] = [fault]


@asynccontextmanager
async def a_world(folder: Path, **options: Any) -> AsyncIterator[World]:
    """A registry with these options, which keeps what it has in `folder`."""
    trace = Trace()
    async with Registry(folder, trace, **options) as registry:
        yield World(registry, trace)


async def pushed(world: World, image: Image, reference: str = IMAGE, **credentials: str) -> Image:
    """The image, once it is there; of the push nothing is left in the trace."""
    await push(image, reference, world.registry.address, **credentials)  # type: ignore[arg-type]  # user and password
    world.trace.events.clear()
    return image


def stored(registry: Registry, image: Image, name: str = "team/block", tag: str = "1.0.0") -> None:
    """Put an image into a registry without a push."""
    for blob in image.blobs:
        registry.store.content_path(blob.digest).write_bytes(blob.content)
        registry.store.link_blob(name, blob.digest)
    registry.store.put_manifest(name, image.digest, image.media_type, image.manifest)
    registry.store.put_tag(name, tag, image.digest)


def secret(user: str = USER, password: str = PASSWORD, host: str = HOST, **more: str) -> bytes:
    """A pull secret."""
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode(), **more}
    return json.dumps({"auths": {host: entry}}).encode()


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha512(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


def described(media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
    """What a manifest says of some content."""
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


def manifest_of(*layers: dict[str, Any], **more: Any) -> bytes:
    """An OCI image's manifest."""
    made = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(OCI_CONFIG, b"{}"), "layers": layers}
    return json.dumps({**made, **more}).encode()


@dataclass
class Elsewhere:
    """Another server, to which a registry may lead. Keeps path and Authorization header of what reaches it."""

    address: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@asynccontextmanager
async def elsewhere(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Elsewhere]:
    """A server on a port of its own, that gives MODULE's layer to everybody unless it is told otherwise."""
    made = Elsewhere()
    layer = build_image(MODULE).layers[0].content

    async def handle(request: web.Request) -> web.StreamResponse:
        made.asked.append((request.path, request.headers.get("Authorization")))
        return web.Response(body=layer) if answer is None else await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
    made.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def redirect(to: str, status: int = 307) -> Fault:
    """Lead whoever asks for a blob somewhere else."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path or request.query:
            return None
        return web.Response(status=status, headers={"Location": to})

    return fault


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1 by a private CA, and a client's that trusts it."""
    openssl = needed_program("openssl", "PULLING OVER TLS IS NOT TESTED")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=ecdsim test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))

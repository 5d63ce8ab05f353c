"""Raw requests to a registry, for tests."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from sim.oci import Registry
from sim.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST

NAME = "team/nested/block"


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha512(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


class Client:
    """Raw requests to one registry."""

    def __init__(self, session: aiohttp.ClientSession, registry: Registry) -> None:
        self.session = session
        self.registry = registry

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        **headers: str,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. Header names are written with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else f"{self.registry.url}{path}"
        data = None if body is None else io.BytesIO(body)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return response.status, response.headers, await response.read()

    async def error(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Status and code of an error body, which has the specification's shape."""
        status, answered, content = await self(method, path, body, **headers)
        assert answered["Content-Type"].startswith("application/json")
        (error,) = json.loads(content)["errors"]
        assert error["message"]
        return status, error["code"]

    async def push_blob(self, content: bytes, name: str = NAME) -> str:
        digest = sha256(content)
        status, _, _ = await self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        assert status == 201
        return digest

    async def push_manifest(
        self, reference: str = "1.0.0", name: str = NAME, *, layer: bytes = b"a layer", **more: Any
    ) -> bytes:
        config_digest = await self.push_blob(b"{}", name)
        layer_digest = await self.push_blob(layer, name)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": 2},
                "layers": [{"mediaType": OCI_LAYER, "digest": layer_digest, "size": len(layer)}],
                **more,
            }
        ).encode()
        target = reference or sha256(manifest)
        status, _, body = await self("PUT", f"/v2/{name}/manifests/{target}", manifest, Content_Type=OCI_MANIFEST)
        assert status == 201, body
        return manifest

    async def start_upload(self, name: str = NAME) -> str:
        status, headers, _ = await self("POST", f"/v2/{name}/blobs/uploads/")
        assert status == 202
        return headers["Location"]


@asynccontextmanager
async def registry_client(folder: Path, **options: Any) -> AsyncIterator[Client]:
    """A client of a registry of its own, which is made with these options."""
    async with Registry(folder, **options) as registry, aiohttp.ClientSession() as session:
        yield Client(session, registry)


def descriptor(media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
    """What a manifest says of some content."""
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


def manifest_of(**fields: Any) -> bytes:
    """An OCI image's manifest with these fields; `None` takes one away."""
    made = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], **fields}
    return json.dumps({key: value for key, value in made.items() if value is not None}).encode()

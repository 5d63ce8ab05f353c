"""The registry and our images, seen by the `oras` package alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oras.container
import oras.oci
import oras.provider
import pytest

from sim.oci import ImageFormat, Registry, build_image, push

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))


@pytest.fixture
def provider() -> Iterator[Any]:
    made = oras.provider.Registry(insecure=True)
    made.session.trust_env = False
    yield made
    made.session.close()


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact", "guide"])
async def test_what_is_pushed_is_pulled_by_oras(tmp_path: Path, provider: Any, image_format: ImageFormat) -> None:
    image = build_image(MODULE, image_format)
    async with Registry(tmp_path / "registry") as registry:
        await push(image, "hub.example.com/team/block:1.0.0", registry.address)

        def pull() -> tuple[Any, list[bytes]]:
            container = oras.container.Container(f"{registry.address}/team/block:1.0.0")
            manifest = provider.get_manifest(container)
            return manifest, [provider.get_blob(container, layer["digest"]).content for layer in manifest["layers"]]

        manifest, contents = await asyncio.to_thread(pull)
    assert manifest == json.loads(image.manifest)
    assert contents == [layer.content for layer in image.layers]


async def test_oras_pushes_files_in_chunks_and_lists_them(
    tmp_path: Path, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = bytes(index * index % 251 for index in range(100_000))
    (tmp_path / "plugin.wasm").write_bytes(content)
    async with Registry(tmp_path / "registry") as registry:
        target = f"{registry.address}/team/nested/files:2.0.0"

        def push_and_pull() -> tuple[list[str], bytes]:
            provider.push(
                target,
                files=["plugin.wasm:application/wasm"],
                do_chunked=True,
                chunk_size=30_000,
                quiet=True,
            )
            (file,) = provider.pull(target, outdir=str(tmp_path / "out"))
            return list(provider.get_tags(target)), Path(file).read_bytes()

        tags, pulled = await asyncio.to_thread(push_and_pull)
    assert tags == ["2.0.0"]
    assert hashlib.sha256(pulled).digest() == hashlib.sha256(content).digest()


async def test_oras_deletes_a_tag(tmp_path: Path, provider: Any) -> None:
    image = build_image(MODULE, "oci")
    async with Registry(tmp_path) as registry:
        await push(image, "hub.example.com/team/block:1.0.0", registry.address)
        target = f"{registry.address}/team/block"
        assert await asyncio.to_thread(provider.delete_tag, target, "1.0.0") is True
        assert await asyncio.to_thread(provider.get_tags, target) == []

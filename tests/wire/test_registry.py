"""The registry as a server: routes, methods, trace, and what outlives it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sim.errors import EnvironmentProblem
from sim.oci import ErrorCode, Registry
from sim.oci.media_types import OCI_MANIFEST
from sim.trace import Trace
from tests.wire.registry_client import NAME, Client, registry_client, sha256


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with registry_client(tmp_path) as made:
        yield made


async def test_the_api_answers_at_its_root(client: Client) -> None:
    status, headers, _ = await client("GET", "/v2/")
    assert status == 200
    assert headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "manifests/1.0.0"),
        ("PUT", f"blobs/sha256:{'0' * 64}"),
        ("DELETE", "tags/list"),
        ("PUT", "blobs/uploads/"),
    ],
)
async def test_other_methods_are_unsupported(client: Client, method: str, path: str) -> None:
    digest = await client.push_blob(b"x")
    path = path.replace("sha256:" + "0" * 64, digest)
    assert await client.error(method, f"/v2/{NAME}/{path}") == (405, "UNSUPPORTED")
    _, headers, _ = await client(method, f"/v2/{NAME}/{path}")
    allowed = headers["Allow"].split(", ")
    assert allowed
    assert method not in allowed


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/v2/no/such/tags/list", "/elsewhere", "/v2/A/manifests/x"])
async def test_each_answer_names_the_api(client: Client, path: str) -> None:
    assert (await client("GET", path))[1]["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    "name", ["a", "a/b", "a.b_c/d__e/f--g", "x/blobs", "x/uploads", "x/blobs/uploads", "manifests/tags"]
)
async def test_a_name_may_look_like_a_part_of_the_api(client: Client, name: str) -> None:
    raw = await client.push_manifest("list", name)
    for reference in ("list", sha256(raw)):
        assert (await client("GET", f"/v2/{name}/manifests/{reference}"))[2] == raw
    assert json.loads((await client("GET", f"/v2/{name}/tags/list"))[2]) == {"name": name, "tags": ["list"]}
    location = await client.start_upload(name)
    assert (await client("GET", location))[0] == 204


async def test_the_content_outlives_the_registry(tmp_path: Path) -> None:
    async with Registry(tmp_path) as registry, aiohttp.ClientSession() as session:
        manifest = await Client(session, registry).push_manifest("1.0.0")
        await Client(session, registry).start_upload()
    async with Registry(tmp_path) as registry, aiohttp.ClientSession() as session:
        client = Client(session, registry)
        status, headers, body = await client("GET", f"/v2/{NAME}/manifests/1.0.0")
        assert (status, headers["Content-Type"], body) == (200, OCI_MANIFEST, manifest)
        assert (await client("GET", f"/v2/{NAME}/blobs/{sha256(b'a layer')}"))[0] == 200
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_each_finished_request_is_in_the_trace(tmp_path: Path) -> None:
    trace = Trace()
    async with Registry(tmp_path, trace) as registry, aiohttp.ClientSession() as session:
        client = Client(session, registry)
        digest = await client.push_blob(b"x" * 200_000)
        await client("GET", f"/v2/{NAME}/blobs/{digest}")
        await client("HEAD", f"/v2/{NAME}/blobs/{digest}")
        await client("GET", "/v2/no/such/tags/list")
    assert [
        (event.data["method"], event.data["path"], event.data["status"])
        for event in trace
        if event.event == "registry.request"
    ] == [
        ("POST", f"/v2/{NAME}/blobs/uploads/", 201),
        ("GET", f"/v2/{NAME}/blobs/{digest}", 200),
        ("HEAD", f"/v2/{NAME}/blobs/{digest}", 200),
        ("GET", "/v2/no/such/tags/list", 404),
    ]
    assert [event.data["bytes_sent"] for event in trace][1:3] == [200_000, 0]
    assert all(event.data["duration_ms"] > 0 for event in trace)


async def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    async with Registry(tmp_path / "a") as first:
        with pytest.raises(EnvironmentProblem, match="can't listen"):
            async with Registry(tmp_path / "b", port=first.port):
                pass


async def test_a_left_registry_is_gone(tmp_path: Path) -> None:
    async with Registry(tmp_path) as registry:
        url = registry.url
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/v2/")


def test_no_code_is_answered_that_the_specification_does_not_have() -> None:
    assert {code.name for code in ErrorCode} == {
        *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
        *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
        *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
    }

"""Blobs of the registry: pull, ranges, conditions, deletion (distribution specification 1.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.wire.registry_client import NAME, Client, registry_client, sha256, sha512


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with registry_client(tmp_path) as made:
        yield made


async def test_a_blob_is_pushed_at_once_and_pulled(client: Client) -> None:
    content = b"some content"
    digest = await client.push_blob(content)
    status, headers, body = await client("GET", f"/v2/{NAME}/blobs/{digest}")
    assert (status, body) == (200, content)
    assert headers["Docker-Content-Digest"] == digest
    assert headers["Content-Length"] == str(len(content))
    status, headers, body = await client("HEAD", f"/v2/{NAME}/blobs/{digest}")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(content)))


@pytest.mark.parametrize("size", [1000, 300_000])
@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=990-", 990, None),
        ("bytes=-5", -5, None),
        ("bytes=5-999999", 5, None),
    ],
)
async def test_a_part_of_a_blob_is_pulled(client: Client, size: int, wanted: str, first: int, end: int | None) -> None:
    content = bytes(index % 251 for index in range(size))
    digest = await client.push_blob(content)
    status, headers, body = await client("GET", f"/v2/{NAME}/blobs/{digest}", Range=wanted)
    assert (status, body) == (206, content[first:end])
    start = first % size
    assert headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{size}"


async def test_a_range_behind_the_end_cannot_be_satisfied(client: Client) -> None:
    digest = await client.push_blob(b"0123456789")
    status, headers, _ = await client("GET", f"/v2/{NAME}/blobs/{digest}", Range="bytes=10-")
    assert (status, headers["Content-Range"]) == (416, "bytes */10")


async def test_a_range_that_is_none_means_everything(client: Client) -> None:
    digest = await client.push_blob(b"0123456789")
    status, _, body = await client("GET", f"/v2/{NAME}/blobs/{digest}", Range="lines=1-2")
    assert (status, body) == (200, b"0123456789")


async def test_a_blob_is_known_only_where_it_was_pushed(client: Client) -> None:
    digest = await client.push_blob(b"some content")
    assert await client.error("GET", f"/v2/other/repository/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert await client.error("GET", f"/v2/{NAME}/blobs/{sha256(b'never pushed')}") == (404, "BLOB_UNKNOWN")


async def test_an_empty_blob_is_content_too(client: Client) -> None:
    location = await client.start_upload()
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'')}")
    assert status == 201
    for method in ("GET", "HEAD"):
        status, headers, body = await client(method, f"/v2/{NAME}/blobs/{sha256(b'')}")
        assert (status, body, headers["Content-Length"]) == (200, b"", "0")


async def test_a_deleted_blob_is_gone_here_and_stays_elsewhere(client: Client) -> None:
    digest = await client.push_blob(b"shared", "first/repository")
    await client.push_blob(b"shared", NAME)
    assert (await client("DELETE", f"/v2/{NAME}/blobs/{digest}"))[0] == 202
    assert await client.error("GET", f"/v2/{NAME}/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert await client.error("DELETE", f"/v2/{NAME}/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert (await client("GET", f"/v2/first/repository/blobs/{digest}"))[2] == b"shared"


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0", "bytes=5-3", "bytes=99-"])
async def test_a_range_without_bytes_cannot_be_satisfied(client: Client, wanted: str) -> None:
    digest = await client.push_blob(b"0123456789")
    status, headers, _ = await client("GET", f"/v2/{NAME}/blobs/{digest}", Range=wanted)
    assert (status, headers["Content-Range"]) == (416, "bytes */10")


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=0-1,4-5", "bytes=-", "bytes=x-y", "bytes"])
async def test_what_is_no_single_range_means_everything(client: Client, wanted: str) -> None:
    digest = await client.push_blob(b"0123456789")
    status, _, body = await client("GET", f"/v2/{NAME}/blobs/{digest}", Range=wanted)
    assert (status, body) == (200, b"0123456789")


@pytest.mark.parametrize("size", [10, 300_000])
async def test_a_head_knows_no_range(client: Client, size: int) -> None:
    digest = await client.push_blob(b"x" * size)
    status, headers, body = await client("HEAD", f"/v2/{NAME}/blobs/{digest}", Range="bytes=0-4")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(size))
    assert headers["Docker-Content-Digest"] == digest


async def test_a_range_counts_only_for_the_content_that_is_meant(client: Client) -> None:
    digest = await client.push_blob(b"0123456789")
    path = f"/v2/{NAME}/blobs/{digest}"
    _, headers, _ = await client("GET", path)
    status, _, body = await client("GET", path, Range="bytes=4-", If_Range=headers["ETag"])
    assert (status, body) == (206, b"456789")
    status, _, body = await client("GET", path, Range="bytes=4-", If_Range='"another"')
    assert (status, body) == (200, b"0123456789")


async def test_known_content_is_not_sent_again(client: Client) -> None:
    path = f"/v2/{NAME}/blobs/{await client.push_blob(b'0123456789')}"
    _, headers, _ = await client("GET", path)
    for known in (headers["ETag"], f'"another", W/{headers["ETag"]}', "*"):
        assert (await client("GET", path, If_None_Match=known))[::2] == (304, b"")
    assert (await client("GET", path, If_None_Match='"another"'))[0] == 200


@pytest.mark.parametrize("digest", ["sha256:short", f"md5:{'0' * 32}", f"sha384:{'0' * 96}", f"sha256:{'A' * 64}", "x"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_digest_that_is_none_names_no_blob(client: Client, method: str, digest: str) -> None:
    assert await client.error(method, f"/v2/{NAME}/blobs/{digest}") == (400, "DIGEST_INVALID")


async def test_a_blob_by_sha512_is_another_than_the_same_by_sha256(client: Client) -> None:
    content = b"by another algorithm"
    path = f"/v2/{NAME}/blobs/{sha512(content)}"
    assert await client.error("GET", path) == (404, "BLOB_UNKNOWN")
    status, _, _ = await client("POST", f"/v2/{NAME}/blobs/uploads/?digest={sha512(content)}", content)
    assert status == 201
    status, headers, body = await client("GET", path)
    assert (status, headers["Docker-Content-Digest"], body) == (200, sha512(content), content)
    assert await client.error("GET", f"/v2/{NAME}/blobs/{sha256(content)}") == (404, "BLOB_UNKNOWN")
    assert (await client("DELETE", path))[0] == 202
    assert await client.error("GET", path) == (404, "BLOB_UNKNOWN")


async def test_a_manifest_can_be_had_as_a_blob(client: Client) -> None:
    raw = await client.push_manifest("1.0.0")
    assert (await client("GET", f"/v2/{NAME}/blobs/{sha256(raw)}"))[2] == raw
    assert await client.error("DELETE", f"/v2/{NAME}/blobs/{sha256(raw)}") == (404, "BLOB_UNKNOWN")

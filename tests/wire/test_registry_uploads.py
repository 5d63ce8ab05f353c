"""Pushing blobs to the registry: at once, in chunks, resumed, cancelled, mounted (distribution specification 1.1)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from sim.clock import SkewedClock
from sim.oci import Registry
from sim.trace import Trace
from tests.wire.registry_client import NAME, Client, registry_client, sha256, sha512


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with registry_client(tmp_path) as made:
        yield made


async def test_a_blob_is_pushed_by_post_and_put(client: Client) -> None:
    content = b"x" * 200_000
    location = await client.start_upload()
    status, headers, _ = await client("PUT", f"{location}?digest={sha256(content)}", content)
    assert (status, headers["Docker-Content-Digest"]) == (201, sha256(content))
    status, _, body = await client("GET", headers["Location"])
    assert (status, body) == (200, content)


async def test_content_with_another_digest_is_refused_and_forgotten(client: Client) -> None:
    location = await client.start_upload()
    assert await client.error("PUT", f"{location}?digest={sha256(b'other')}", b"content") == (400, "DIGEST_INVALID")
    assert await client.error("GET", location) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert await client.error("GET", f"/v2/{NAME}/blobs/{sha256(b'other')}") == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:0cc175b9c0f1b6a831c399e269772661", "sha256:" + "A" * 64])
async def test_a_digest_that_is_none_is_refused(client: Client, digest: str) -> None:
    location = await client.start_upload()
    assert await client.error("PUT", f"{location}?digest={digest}", b"content") == (400, "DIGEST_INVALID")


async def test_a_blob_is_pushed_in_chunks(client: Client) -> None:
    chunks = [b"a" * 1000, b"b" * 500, b"c" * 7]
    content = b"".join(chunks)
    location = await client.start_upload()
    sent = 0
    for chunk in chunks:
        status, headers, _ = await client(
            "PATCH",
            location,
            chunk,
            Content_Range=f"{sent}-{sent + len(chunk) - 1}",
            Content_Type="application/octet-stream",
        )
        sent += len(chunk)
        assert (status, headers["Range"]) == (202, f"0-{sent - 1}")
        location = headers["Location"]
    status, _, _ = await client("PUT", f"{location}?digest={sha256(content)}")
    assert status == 201
    _, _, body = await client("GET", f"/v2/{NAME}/blobs/{sha256(content)}")
    assert body == content


async def test_the_last_chunk_may_come_with_the_put(client: Client) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"first ", Content_Range="0-5")
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'first last')}", b"last", Content_Range="6-9")
    assert status == 201


async def test_a_streamed_patch_has_no_range(client: Client) -> None:
    location = await client.start_upload()
    status, headers, _ = await client("PATCH", location, b"all at once")
    assert (status, headers["Range"]) == (202, "0-10")


@pytest.mark.parametrize("out_of_order", ["6-10", "0-4", "4-9"])
async def test_a_chunk_out_of_order_is_refused_with_where_to_go_on(client: Client, out_of_order: str) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"01234", Content_Range="0-4")
    status, headers, _ = await client("PATCH", location, b"56789", Content_Range=out_of_order)
    assert (status, headers["Range"], headers["Location"]) == (416, "0-4", location)
    status, headers, _ = await client("PATCH", location, b"56789", Content_Range="5-9")
    assert (status, headers["Range"]) == (202, "0-9")


async def test_a_put_out_of_order_is_refused_too(client: Client) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"01234", Content_Range="0-4")
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'0123456789')}", b"56789", Content_Range="7-11")
    assert status == 416
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'0123456789')}", b"56789", Content_Range="5-9")
    assert status == 201


async def test_a_chunk_of_another_length_than_its_range_is_refused_and_dropped(client: Client) -> None:
    location = await client.start_upload()
    assert await client.error("PATCH", location, b"0123", Content_Range="0-9") == (400, "SIZE_INVALID")
    status, headers, _ = await client("GET", location)
    assert (status, headers["Range"]) == (204, "0-0")
    status, headers, _ = await client("PATCH", location, b"0123", Content_Range="0-3")
    assert (status, headers["Range"]) == (202, "0-3")


async def test_an_upload_is_resumed_where_its_status_says(client: Client) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"01234", Content_Range="0-4")
    status, headers, _ = await client("GET", location)
    assert (status, headers["Range"], headers["Location"]) == (204, "0-4", location)
    await client("PATCH", headers["Location"], b"56789", Content_Range="5-9")
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'0123456789')}")
    assert status == 201


async def test_a_cancelled_upload_is_gone(client: Client, tmp_path: Path) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"01234")
    assert (await client("DELETE", location))[0] == 204
    assert await client.error("GET", location) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert await client.error("PATCH", location, b"x") == (404, "BLOB_UPLOAD_UNKNOWN")
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_an_upload_belongs_to_its_repository(client: Client) -> None:
    location = await client.start_upload()
    elsewhere = location.replace(NAME, "other/repository")
    assert await client.error("GET", elsewhere) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_blob_is_mounted_from_another_repository(client: Client) -> None:
    digest = await client.push_blob(b"shared", "first/repository")
    status, headers, _ = await client("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}&from=first/repository")
    assert (status, headers["Location"]) == (201, f"/v2/{NAME}/blobs/{digest}")
    assert (await client("GET", headers["Location"]))[2] == b"shared"


async def test_a_mount_without_a_source_looks_everywhere(client: Client) -> None:
    digest = await client.push_blob(b"shared", "first/repository")
    status, _, _ = await client("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}")
    assert status == 201


@pytest.mark.parametrize(
    "query", [f"mount={sha256(b'never pushed')}", f"mount={sha256(b'shared')}&from=wrong/repository"]
)
async def test_a_mount_that_cannot_be_becomes_an_upload(client: Client, query: str) -> None:
    await client.push_blob(b"shared", "first/repository")
    status, headers, _ = await client("POST", f"/v2/{NAME}/blobs/uploads/?{query}")
    assert status == 202
    status, _, _ = await client("PUT", f"{headers['Location']}?digest={sha256(b'shared')}", b"shared")
    assert status == 201


async def test_an_upload_whose_connection_broke_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    trace = Trace()
    async with Registry(tmp_path, trace) as registry, aiohttp.ClientSession() as session:
        client = Client(session, registry)
        location = await client.start_upload()
        _, writer = await asyncio.open_connection("127.0.0.1", registry.port)
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234".encode())
        await writer.drain()
        (upload,) = (tmp_path / "uploads").iterdir()
        async with asyncio.timeout(10):
            while upload.stat().st_size < 5:  # noqa: ASYNC110  # only the file can tell
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        await trace.wait_for(lambda event: event.data["method"] == "PATCH")

        _, headers, _ = await client("GET", location)
        assert headers["Range"] == "0-4"
        status, _, _ = await client("PUT", f"{location}?digest={sha256(b'0123456789')}", b"56789", Content_Range="5-9")
        assert status == 201


async def test_an_upload_has_a_uuid(client: Client) -> None:
    assert uuid.UUID((await client.start_upload()).rpartition("/")[2])


@pytest.mark.parametrize("digest", ["sha256:abc", f"md5:{'0' * 32}", f"sha384:{'0' * 96}", sha256(b"other")])
async def test_a_blob_pushed_at_once_by_a_wrong_digest_is_refused(client: Client, tmp_path: Path, digest: str) -> None:
    path = f"/v2/{NAME}/blobs/uploads/?digest={digest}"
    assert await client.error("POST", path, b"content") == (400, "DIGEST_INVALID")
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("digest_of", [sha256, sha512])
async def test_the_algorithm_may_be_announced(client: Client, digest_of: Callable[[bytes], str]) -> None:
    digest = digest_of(b"content")
    status, headers, _ = await client(
        "POST", f"/v2/{NAME}/blobs/uploads/?digest-algorithm={digest.partition(':')[0]}", b""
    )
    assert status == 202
    await client("PATCH", headers["Location"], b"con", Content_Range="0-2")
    status, headers, _ = await client("PUT", f"{headers['Location']}?digest={digest}", b"tent", Content_Range="3-6")
    assert (status, headers["Docker-Content-Digest"]) == (201, digest)


async def test_an_algorithm_that_is_not_served_is_refused_at_once(client: Client) -> None:
    path = f"/v2/{NAME}/blobs/uploads/?digest-algorithm=sha384"
    assert await client.error("POST", path, b"") == (400, "DIGEST_INVALID")


async def test_the_progress_is_told_to_head_too(client: Client) -> None:
    location = await client.start_upload()
    await client("PATCH", location, b"01234")
    status, headers, _ = await client("HEAD", location)
    assert (status, headers["Range"], headers["Location"]) == (204, "0-4", location)


@pytest.mark.parametrize("text", ["", "junk", "0", "5", "-4", "4-0", "0-4-5", "0-" + "9" * 30])
async def test_a_range_that_cannot_be_read_is_refused(client: Client, text: str) -> None:
    location = await client.start_upload()
    assert await client.error("PATCH", location, b"01234", Content_Range=text) == (416, "BLOB_UPLOAD_INVALID")
    assert (await client("GET", location))[1]["Range"] == "0-0"


async def test_without_automatic_mounts_the_source_has_to_be_named(tmp_path: Path) -> None:
    async with registry_client(tmp_path, automatic_mount=False) as client:
        digest = await client.push_blob(b"shared", "first/repository")
        path = f"/v2/{NAME}/blobs/uploads/?mount={digest}"
        status, headers, _ = await client("POST", path)
        assert (status, headers["Location"].startswith(f"/v2/{NAME}/blobs/uploads/")) == (202, True)
        assert (await client("POST", f"{path}&from=first/repository"))[0] == 201


@pytest.mark.parametrize("query", ["mount=junk", "mount=junk&from=first/repository", "mount=&from=A"])
async def test_a_mount_of_nonsense_becomes_an_upload(client: Client, query: str) -> None:
    assert (await client("POST", f"/v2/{NAME}/blobs/uploads/?{query}"))[0] == 202


async def test_an_upload_that_nobody_goes_on_with_is_dropped_after_a_day(tmp_path: Path) -> None:
    clock = SkewedClock()
    async with registry_client(tmp_path, clock=clock) as client:
        abandoned, alive = await client.start_upload(), await client.start_upload()
        clock.advance(23 * 3600)
        await client("PATCH", alive, b"01234")
        clock.advance(2 * 3600)
        await client.start_upload()
        assert await client.error("GET", abandoned) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert (await client("GET", alive))[1]["Range"] == "0-4"
        assert len(list((tmp_path / "uploads").iterdir())) == 2


@pytest.mark.parametrize("name", ["Upper/case", "a//b", "a/-b", "a/.b", "a__" + "_b", "x" * 256])
async def test_an_invalid_name_takes_no_upload(client: Client, name: str) -> None:
    assert await client.error("POST", f"/v2/{name}/blobs/uploads/", b"") == (400, "NAME_INVALID")


async def test_a_name_may_have_255_characters(client: Client) -> None:
    name = "a/" + "x" * 253
    digest = await client.push_blob(b"content", name)
    assert (await client("GET", f"/v2/{name}/blobs/{digest}"))[2] == b"content"

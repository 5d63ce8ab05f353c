"""The embedded registry, area by area of the OCI distribution specification 1.1."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.errors import EnvironmentProblem
from sim.oci import Registry
from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from sim.trace import Trace

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
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Header names are written with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else f"{self.registry.url}{path}"
        data = None if body is None else io.BytesIO(body)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return response.status, dict(response.headers), await response.read()

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


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Registry(tmp_path) as registry, aiohttp.ClientSession() as session:
        yield Client(session, registry)


async def test_the_api_answers_at_its_root(client: Client) -> None:
    status, headers, _ = await client("GET", "/v2/")
    assert status == 200
    assert headers["Docker-Distribution-API-Version"] == "registry/2.0"


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


async def test_a_blob_is_pushed_by_post_and_put(client: Client) -> None:
    content = b"x" * 200_000
    location = await client.start_upload()
    status, headers, _ = await client("PUT", f"{location}?digest={sha256(content)}", content)
    assert (status, headers["Docker-Content-Digest"]) == (201, sha256(content))
    status, _, body = await client("GET", headers["Location"])
    assert (status, body) == (200, content)


async def test_an_empty_blob_is_content_too(client: Client) -> None:
    location = await client.start_upload()
    status, _, _ = await client("PUT", f"{location}?digest={sha256(b'')}")
    assert status == 201
    status, _, body = await client("GET", f"/v2/{NAME}/blobs/{sha256(b'')}")
    assert (status, body) == (200, b"")


async def test_content_with_another_digest_is_refused_and_forgotten(client: Client) -> None:
    location = await client.start_upload()
    assert await client.error("PUT", f"{location}?digest={sha256(b'other')}", b"content") == (400, "DIGEST_INVALID")
    assert await client.error("GET", location) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert await client.error("GET", f"/v2/{NAME}/blobs/{sha256(b'other')}") == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:0cc175b9c0f1b6a831c399e269772661", "sha256:" + "A" * 64])
async def test_a_digest_that_is_none_is_refused(client: Client, digest: str) -> None:
    location = await client.start_upload()
    assert await client.error("PUT", f"{location}?digest={digest}", b"content") == (400, "DIGEST_INVALID")


async def test_sha512_names_blobs_and_manifests_as_well(client: Client) -> None:
    content = b"by another algorithm"
    location = await client.start_upload()
    status, _, _ = await client("PUT", f"{location}?digest={sha512(content)}", content)
    assert status == 201
    _, _, body = await client("GET", f"/v2/{NAME}/blobs/{sha512(content)}")
    assert body == content

    manifest = await client.push_manifest()
    path = f"/v2/{NAME}/manifests/{sha512(manifest)}"
    status, headers, _ = await client("PUT", path, manifest, Content_Type=OCI_MANIFEST)
    assert (status, headers["Docker-Content-Digest"]) == (201, sha512(manifest))
    status, _, body = await client("GET", path)
    assert (status, body) == (200, manifest)


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


async def test_a_manifest_is_pulled_by_tag_and_by_digest(client: Client) -> None:
    manifest = await client.push_manifest("1.0.0")
    for reference in ("1.0.0", sha256(manifest)):
        status, headers, body = await client("GET", f"/v2/{NAME}/manifests/{reference}")
        assert (status, body) == (200, manifest)
        assert headers["Content-Type"] == OCI_MANIFEST
        assert headers["Docker-Content-Digest"] == sha256(manifest)
        status, headers, body = await client("HEAD", f"/v2/{NAME}/manifests/{reference}")
        assert (status, body, headers["Content-Length"]) == (200, b"", str(len(manifest)))


async def test_a_tag_moves(client: Client) -> None:
    first = await client.push_manifest("latest", layer=b"one")
    second = await client.push_manifest("latest", layer=b"two")
    assert (await client("GET", f"/v2/{NAME}/manifests/latest"))[2] == second
    assert (await client("GET", f"/v2/{NAME}/manifests/{sha256(first)}"))[2] == first


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/no/such/manifests/1.0.0", (404, "NAME_UNKNOWN")),
        (f"/v2/{NAME}/manifests/2.0.0", (404, "MANIFEST_UNKNOWN")),
        (f"/v2/{NAME}/manifests/sha256:{'0' * 64}", (404, "MANIFEST_UNKNOWN")),
        (f"/v2/{NAME}/manifests/sha256:short", (400, "DIGEST_INVALID")),
        ("/v2/Upper/Case/manifests/1.0.0", (400, "NAME_INVALID")),
        ("/v2/a/..%2f..%2fb/manifests/1.0.0", (400, "NAME_INVALID")),
        ("/v2/no/such/tags/list", (404, "NAME_UNKNOWN")),
        ("/elsewhere", (404, "UNSUPPORTED")),
    ],
)
async def test_what_is_not_there_is_told_by_its_code(client: Client, path: str, expected: tuple[int, str]) -> None:
    await client.push_manifest()
    assert await client.error("GET", path) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (400, "MANIFEST_INVALID")),
        (b"{broken", (400, "MANIFEST_INVALID")),
        (b"[]", (400, "MANIFEST_INVALID")),
        (b'{"schemaVersion": 1}', (400, "MANIFEST_INVALID")),
        (b'{"schemaVersion": 2, "mediaType": "text/plain"}', (400, "MANIFEST_INVALID")),
        (b'{"schemaVersion": 2, "layers": [{}]}', (400, "MANIFEST_INVALID")),
        (
            b'{"schemaVersion": 2, "layers": [{"mediaType": "x", "size": 1, "digest": "sha256:%s"}]}' % (b"0" * 64),
            (404, "MANIFEST_BLOB_UNKNOWN"),
        ),
        (b'{"schemaVersion": 2, "pad": "' + b"x" * (4 * 1024 * 1024) + b'"}', (413, "SIZE_INVALID")),
    ],
)
async def test_a_manifest_that_is_none_is_refused(client: Client, content: bytes, expected: tuple[int, str]) -> None:
    path = f"/v2/{NAME}/manifests/1.0.0"
    assert await client.error("PUT", path, content, Content_Type=OCI_MANIFEST) == expected
    assert (await client.error("GET", path))[0] == 404


async def test_a_manifest_pushed_by_a_wrong_digest_is_refused(client: Client) -> None:
    path = f"/v2/{NAME}/manifests/sha256:{'0' * 64}"
    assert await client.error("PUT", path, b'{"schemaVersion": 2}', Content_Type=OCI_MANIFEST) == (
        400,
        "DIGEST_INVALID",
    )


async def test_an_index_needs_its_children_first(client: Client) -> None:
    child = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_MANIFEST, "digest": sha256(child), "size": len(child)}],
        }
    ).encode()
    path = f"/v2/{NAME}/manifests/multi"
    assert await client.error("PUT", path, index, Content_Type=OCI_INDEX) == (404, "MANIFEST_BLOB_UNKNOWN")
    await client("PUT", f"/v2/{NAME}/manifests/{sha256(child)}", child, Content_Type=OCI_MANIFEST)
    assert (await client("PUT", path, index, Content_Type=OCI_INDEX))[0] == 201
    assert (await client("GET", path))[1]["Content-Type"] == OCI_INDEX


async def test_tags_are_listed_in_order_and_in_pages(client: Client) -> None:
    for tag in ("b", "C", "a", "2.0", "10.0"):
        await client.push_manifest(tag)
    path = f"/v2/{NAME}/tags/list"
    _, _, body = await client("GET", path)
    assert json.loads(body) == {"name": NAME, "tags": ["10.0", "2.0", "a", "b", "C"]}

    seen: list[str] = []
    following: str | None = f"{path}?n=2"
    while following is not None:
        _, headers, body = await client("GET", following)
        page = json.loads(body)["tags"]
        assert len(page) <= 2
        seen += page
        link = headers.get("Link")
        following = link.partition(">")[0].removeprefix("<") if link else None
        assert link is None or link.endswith('; rel="next"')
    assert seen == ["10.0", "2.0", "a", "b", "C"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("last=a", ["b"]), ("last=aa", ["b"]), ("last=b", []), ("n=0", []), ("n=1&last=0", ["a"]), ("n=9", ["a", "b"])],
)
async def test_tags_after_the_last_one_are_listed(client: Client, query: str, expected: list[str]) -> None:
    for tag in ("a", "b"):
        await client.push_manifest(tag)
    _, _, body = await client("GET", f"/v2/{NAME}/tags/list?{query}")
    assert json.loads(body)["tags"] == expected


async def test_a_page_size_that_is_no_number_is_refused(client: Client) -> None:
    await client.push_manifest()
    assert (await client.error("GET", f"/v2/{NAME}/tags/list?n=-1")) == (400, "PAGINATION_NUMBER_INVALID")


async def test_the_catalog_lists_repositories_with_manifests(client: Client) -> None:
    await client.push_manifest(name="b/two")
    await client.push_manifest(name="a/one")
    await client.push_blob(b"only a blob", "c/three")
    assert json.loads((await client("GET", "/v2/_catalog"))[2]) == {"repositories": ["a/one", "b/two"]}


async def test_referrers_are_found_by_their_subject(client: Client) -> None:
    subject_raw = await client.push_manifest("1.0.0")
    subject = {"mediaType": OCI_MANIFEST, "digest": sha256(subject_raw), "size": len(subject_raw)}
    signature = await client.push_manifest("", subject=subject, artifactType="test/signature", annotations={"by": "me"})
    sbom = await client.push_manifest("", subject=subject)

    status, headers, body = await client("GET", f"/v2/{NAME}/referrers/{sha256(subject_raw)}")
    assert (status, headers["Content-Type"]) == (200, OCI_INDEX)
    found = {entry["digest"]: entry for entry in json.loads(body)["manifests"]}
    assert found[sha256(signature)] == {
        "mediaType": OCI_MANIFEST,
        "digest": sha256(signature),
        "size": len(signature),
        "artifactType": "test/signature",
        "annotations": {"by": "me"},
    }
    assert found[sha256(sbom)]["artifactType"] == OCI_CONFIG
    assert len(found) == 2

    _, headers, body = await client("GET", f"/v2/{NAME}/referrers/{sha256(subject_raw)}?artifactType=test/signature")
    assert headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["digest"] for entry in json.loads(body)["manifests"]] == [sha256(signature)]


async def test_a_push_with_a_subject_is_told_that_it_is_indexed(client: Client) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": sha256(b"not there yet"), "size": 13}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "subject": subject}).encode()
    _, headers, _ = await client("PUT", f"/v2/{NAME}/manifests/{sha256(raw)}", raw, Content_Type=OCI_MANIFEST)
    assert headers["OCI-Subject"] == subject["digest"]


async def test_an_unknown_subject_has_no_referrers_and_a_broken_one_is_refused(client: Client) -> None:
    status, _, body = await client("GET", f"/v2/no/such/referrers/{sha256(b'unknown')}")
    assert (status, json.loads(body)["manifests"]) == (200, [])
    assert await client.error("GET", f"/v2/{NAME}/referrers/1.0.0") == (400, "DIGEST_INVALID")


async def test_a_deleted_tag_leaves_the_manifest(client: Client) -> None:
    manifest = await client.push_manifest("1.0.0")
    assert (await client("DELETE", f"/v2/{NAME}/manifests/1.0.0"))[0] == 202
    assert await client.error("GET", f"/v2/{NAME}/manifests/1.0.0") == (404, "MANIFEST_UNKNOWN")
    assert (await client("GET", f"/v2/{NAME}/manifests/{sha256(manifest)}"))[0] == 200


async def test_a_deleted_manifest_takes_its_tags_with_it(client: Client, tmp_path: Path) -> None:
    manifest = await client.push_manifest("1.0.0")
    digest = sha256(manifest)
    assert (await client("DELETE", f"/v2/{NAME}/manifests/{digest}"))[0] == 202
    assert await client.error("GET", f"/v2/{NAME}/manifests/1.0.0") == (404, "MANIFEST_UNKNOWN")
    assert await client.error("DELETE", f"/v2/{NAME}/manifests/{digest}") == (404, "MANIFEST_UNKNOWN")
    assert not (tmp_path / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()


async def test_a_deleted_blob_is_gone_here_and_stays_elsewhere(client: Client) -> None:
    digest = await client.push_blob(b"shared", "first/repository")
    await client.push_blob(b"shared", NAME)
    assert (await client("DELETE", f"/v2/{NAME}/blobs/{digest}"))[0] == 202
    assert await client.error("GET", f"/v2/{NAME}/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert await client.error("DELETE", f"/v2/{NAME}/blobs/{digest}") == (404, "BLOB_UNKNOWN")
    assert (await client("GET", f"/v2/first/repository/blobs/{digest}"))[2] == b"shared"


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

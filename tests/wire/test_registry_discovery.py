"""What the registry lists: tags, referrers, repositories (distribution specification 1.1)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from tests.wire.registry_client import NAME, Client, descriptor, manifest_of, registry_client, sha256, sha512


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with registry_client(tmp_path) as made:
        yield made


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
    assert (await client.error("GET", f"/v2/{NAME}/tags/list?n=-1")) == (400, "UNSUPPORTED")


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


@pytest.mark.parametrize("number", ["9" * 5000, "1" + "0" * 20])
async def test_a_page_may_be_larger_than_anything(client: Client, number: str) -> None:
    await client.push_manifest("a")
    status, headers, body = await client("GET", f"/v2/{NAME}/tags/list?n={number}")
    assert (status, json.loads(body)["tags"], "Link" in headers) == (200, ["a"], False)


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "²"])
async def test_a_page_size_that_is_none_is_refused(client: Client, number: str) -> None:
    await client.push_manifest()
    assert await client.error("GET", f"/v2/{NAME}/tags/list?n={number}") == (400, "UNSUPPORTED")


async def test_lists_answer_to_head_too(client: Client) -> None:
    digest = sha256(await client.push_manifest())
    for path in (f"/v2/{NAME}/tags/list", f"/v2/{NAME}/referrers/{digest}", "/v2/_catalog"):
        _, listed, _ = await client("GET", path)
        status, headers, body = await client("HEAD", path)
        assert (status, body, headers["Content-Length"]) == (200, b"", listed["Content-Length"])


async def referrers(client: Client, digest: str, query: str = "") -> list[dict[str, Any]]:
    status, _, body = await client("GET", f"/v2/{NAME}/referrers/{digest}{query}")
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["manifests"]
    return found


async def push(client: Client, reference: str = "", **fields: Any) -> str:
    raw = manifest_of(**fields)
    path = f"/v2/{NAME}/manifests/{reference or sha256(raw)}"
    media_type = fields.get("mediaType", OCI_MANIFEST)
    status, headers, _ = await client("PUT", path, raw, Content_Type=media_type)
    assert (status, headers.get("OCI-Subject")) == (201, fields["subject"]["digest"] if "subject" in fields else None)
    return sha256(raw)


async def test_a_deleted_referrer_is_listed_no_more(client: Client) -> None:
    subject = descriptor(OCI_MANIFEST, manifest_of())
    kept = await push(client, subject=subject, annotations={"is": "kept"})
    by_digest = await push(client, subject=subject)
    by_tag = await push(client, "tagged", subject=subject, annotations={"is": "tagged"})
    assert {entry["digest"] for entry in await referrers(client, subject["digest"])} == {kept, by_digest, by_tag}
    await client("DELETE", f"/v2/{NAME}/manifests/{by_digest}")
    # A tag is not the manifest.
    await client("DELETE", f"/v2/{NAME}/manifests/tagged")
    assert {entry["digest"] for entry in await referrers(client, subject["digest"])} == {kept, by_tag}
    await client("DELETE", f"/v2/{NAME}/manifests/{by_tag}")
    assert [entry["digest"] for entry in await referrers(client, subject["digest"])] == [kept]


async def test_referrers_outlive_their_subject(client: Client) -> None:
    digest = await push(client, "1.0.0")
    referrer = await push(client, subject=descriptor(OCI_MANIFEST, manifest_of()))
    await client("DELETE", f"/v2/{NAME}/manifests/{digest}")
    assert [entry["digest"] for entry in await referrers(client, digest)] == [referrer]


async def test_referrers_belong_to_their_repository(client: Client) -> None:
    subject = descriptor(OCI_MANIFEST, manifest_of())
    await push(client, subject=subject)
    _, _, body = await client("GET", f"/v2/other/repository/referrers/{subject['digest']}")
    assert json.loads(body)["manifests"] == []


async def test_a_subject_may_have_a_sha512_digest(client: Client) -> None:
    subject = {**descriptor(OCI_MANIFEST, manifest_of()), "digest": sha512(manifest_of())}
    referrer = await push(client, subject=subject)
    assert [entry["digest"] for entry in await referrers(client, subject["digest"])] == [referrer]


async def test_an_index_without_an_artifact_type_is_listed_without_one(client: Client) -> None:
    subject = descriptor(OCI_MANIFEST, manifest_of())
    bare = await push(client, mediaType=OCI_INDEX, layers=None, subject=subject)
    typed = await push(client, mediaType=OCI_INDEX, layers=None, subject=subject, artifactType="test/index")
    found = {entry["digest"]: entry.get("artifactType") for entry in await referrers(client, subject["digest"])}
    assert found == {bare: None, typed: "test/index"}


async def test_a_filter_that_nothing_passes_is_applied_all_the_same(client: Client) -> None:
    subject = descriptor(OCI_MANIFEST, manifest_of())
    await push(client, subject=subject, artifactType="test/one")
    _, headers, body = await client("GET", f"/v2/{NAME}/referrers/{subject['digest']}?artifactType=test%2Ftwo")
    assert (headers["OCI-Filters-Applied"], json.loads(body)["manifests"]) == ("artifactType", [])


@pytest.mark.parametrize("query", ["", "?artifactType=test/large"])
async def test_referrers_that_are_too_many_come_in_pages(client: Client, query: str) -> None:
    subject = descriptor(OCI_MANIFEST, manifest_of())
    pushed = [
        await push(client, subject=subject, artifactType="test/large", annotations={str(number): "x" * 1_500_000})
        for number in range(5)
    ]
    seen: list[str] = []
    following: str | None = f"/v2/{NAME}/referrers/{subject['digest']}{query}"
    pages = 0
    while following is not None:
        _, headers, body = await client("GET", following)
        assert len(body) <= 4 * 1024 * 1024
        assert ("OCI-Filters-Applied" in headers) == bool(query)
        seen += [entry["digest"] for entry in json.loads(body)["manifests"]]
        link = headers.get("Link")
        assert link is None or link.endswith('; rel="next"')
        following = link.partition(">")[0].removeprefix("<") if link else None
        pages += 1
    assert (sorted(seen), pages) == (sorted(pushed), 3)

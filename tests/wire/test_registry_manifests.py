"""Manifests of the registry: push, pull, tags, deletion (distribution specification 1.1)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.wire.registry_client import NAME, Client, descriptor, manifest_of, registry_client, sha256, sha512


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with registry_client(tmp_path) as made:
        yield made


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
            (400, "MANIFEST_BLOB_UNKNOWN"),
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
    assert await client.error("PUT", path, index, Content_Type=OCI_INDEX) == (400, "MANIFEST_BLOB_UNKNOWN")
    await client("PUT", f"/v2/{NAME}/manifests/{sha256(child)}", child, Content_Type=OCI_MANIFEST)
    assert (await client("PUT", path, index, Content_Type=OCI_INDEX))[0] == 201
    assert (await client("GET", path))[1]["Content-Type"] == OCI_INDEX


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


@pytest.mark.parametrize(
    ("media_type", "fields"),
    [
        (
            OCI_MANIFEST,
            {
                "config": descriptor(OCI_CONFIG, b"no configuration"),
                "layers": [descriptor(OCI_LAYER, b"no layer"), descriptor(OCI_LAYER, b"there")],
            },
        ),
        (
            OCI_INDEX,
            {
                "layers": None,
                "manifests": [descriptor(OCI_MANIFEST, b"no configuration"), descriptor(OCI_MANIFEST, b"no layer")],
            },
        ),
    ],
)
async def test_everything_that_is_missing_is_named(client: Client, media_type: str, fields: dict[str, Any]) -> None:
    await client.push_blob(b"there")
    raw = manifest_of(**{"mediaType": media_type, **fields})
    status, _, body = await client("PUT", f"/v2/{NAME}/manifests/1.0.0", raw, Content_Type=media_type)
    assert status == 400
    assert [(error["code"], error["detail"]) for error in json.loads(body)["errors"]] == [
        ("MANIFEST_BLOB_UNKNOWN", sha256(b"no configuration")),
        ("MANIFEST_BLOB_UNKNOWN", sha256(b"no layer")),
    ]


async def accepted(client: Client, raw: bytes, media_type: str = OCI_MANIFEST, reference: str = "1.0.0") -> bool:
    status, _, _ = await client("PUT", f"/v2/{NAME}/manifests/{reference}", raw, Content_Type=media_type)
    if status != 201:
        return False
    _, headers, body = await client("GET", f"/v2/{NAME}/manifests/{reference}")
    return (headers["Content-Type"], body) == (media_type.partition(";")[0], raw)


async def test_what_go_writes_for_nothing_is_nothing(client: Client) -> None:
    raw = b'{"schemaVersion": 2, "config": null, "layers": null, "subject": null, "annotations": null}'
    assert await accepted(client, raw)
    assert await accepted(client, b'{"schemaVersion": 2, "manifests": null}', OCI_INDEX)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ],
)
async def test_a_foreign_layer_need_not_be_there(client: Client, media_type: str) -> None:
    assert await accepted(
        client, manifest_of(layers=[descriptor(media_type, b"elsewhere", urls=["https://a.example"])])
    )


async def test_another_layer_has_to_be_there_whatever_its_urls(client: Client) -> None:
    assert not await accepted(client, manifest_of(layers=[descriptor(OCI_LAYER, b"x", urls=["https://a.example"])]))


async def test_an_index_may_hold_a_blob(client: Client) -> None:
    """A build cache is an index of layers."""
    await client.push_blob(b"a layer")
    raw = manifest_of(mediaType=OCI_INDEX, layers=None, manifests=[descriptor(OCI_LAYER, b"a layer")])
    assert await accepted(client, raw, OCI_INDEX)


@pytest.mark.parametrize(
    ("media_type", "raw"),
    [
        (OCI_MANIFEST, manifest_of(manifests=[])),
        (OCI_INDEX, manifest_of(mediaType=OCI_INDEX)),
        (OCI_INDEX, manifest_of(mediaType=OCI_INDEX, layers=None, config=descriptor(OCI_CONFIG, b"{}"))),
        (OCI_MANIFEST, b"[" * 100_000),
        (OCI_MANIFEST, b'{"schemaVersion": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (OCI_MANIFEST, manifest_of().decode().encode("utf-16")),
        (OCI_MANIFEST, manifest_of(artifactType=1)),
        (OCI_MANIFEST, manifest_of(annotations={"a": 1})),
        (OCI_MANIFEST, manifest_of(annotations=["a"])),
        (OCI_MANIFEST, manifest_of(layers={})),
        (OCI_MANIFEST, manifest_of(config=[])),
        (OCI_MANIFEST, manifest_of(subject="x")),
        (OCI_MANIFEST, manifest_of(layers=[{**descriptor(OCI_LAYER, b"x"), "size": -1}])),
        ("", manifest_of(mediaType=None)),
        (OCI_MANIFEST, manifest_of(mediaType=1)),
    ],
)
async def test_a_manifest_that_could_be_misread_is_refused(client: Client, media_type: str, raw: bytes) -> None:
    path = f"/v2/{NAME}/manifests/1.0.0"
    assert await client.error("PUT", path, raw, Content_Type=media_type) == (400, "MANIFEST_INVALID")
    assert (await client.error("GET", path))[0] == 404


@pytest.mark.parametrize("field", ["layers", "config", "subject"])
async def test_a_manifest_with_a_digest_of_another_algorithm_is_refused(client: Client, field: str) -> None:
    one = {**descriptor(OCI_LAYER, b"x"), "digest": f"sha384:{'0' * 96}"}
    raw = manifest_of(**{field: [one] if field == "layers" else one})
    path = f"/v2/{NAME}/manifests/1.0.0"
    assert await client.error("PUT", path, raw, Content_Type=OCI_MANIFEST) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("content_type", [OCI_MANIFEST, f"{OCI_MANIFEST}; charset=utf-8", "application/vnd.acme+json"])
async def test_the_media_type_is_kept_without_its_parameters(client: Client, content_type: str) -> None:
    assert await accepted(client, b' { "schemaVersion" : 2 }\n', content_type)


async def test_the_media_type_may_be_given_inside_alone(client: Client) -> None:
    raw = manifest_of()
    status, _, _ = await client("PUT", f"/v2/{NAME}/manifests/1.0.0", raw, Content_Type="")
    assert status == 201
    assert (await client("GET", f"/v2/{NAME}/manifests/1.0.0"))[1]["Content-Type"] == OCI_MANIFEST


async def test_four_mebibytes_are_taken_and_no_byte_more(client: Client) -> None:
    raw = manifest_of(annotations={"a": "x" * (4 * 1024 * 1024 - len(manifest_of(annotations={"a": ""})))})
    assert len(raw) == 4 * 1024 * 1024
    assert await accepted(client, raw)
    path = f"/v2/{NAME}/manifests/2.0.0"
    assert await client.error("PUT", path, raw + b" ", Content_Type=OCI_MANIFEST) == (413, "SIZE_INVALID")


@pytest.mark.parametrize("reference", [".hidden", "-x", "a b", "x" * 129, "ü"])
async def test_what_is_neither_tag_nor_digest_is_not_there_and_cannot_be_made(client: Client, reference: str) -> None:
    await client.push_manifest()
    path = f"/v2/{NAME}/manifests/{reference}"
    assert await client.error("GET", path) == (404, "MANIFEST_UNKNOWN")
    assert await client.error("DELETE", path) == (404, "MANIFEST_UNKNOWN")
    assert await client.error("PUT", path, manifest_of(), Content_Type=OCI_MANIFEST) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("digest_of", [sha256, sha512])
async def test_a_push_by_digest_may_bring_its_tags(client: Client, digest_of: Callable[[bytes], str]) -> None:
    raw, tags = manifest_of(), [f"1.{number}" for number in range(12)]
    path = f"/v2/{NAME}/manifests/{digest_of(raw)}"
    query = "&".join(f"tag={tag}" for tag in tags)
    async with client.session.put(
        f"{client.registry.url}{path}?{query}", data=raw, headers={"Content-Type": OCI_MANIFEST}
    ) as answer:
        assert answer.status == 201
        assert answer.headers.getall("OCI-Tag") == tags
    for tag in tags:
        _, headers, _ = await client("HEAD", f"/v2/{NAME}/manifests/{tag}")
        assert headers["Docker-Content-Digest"] == digest_of(raw)


async def test_one_tag_that_is_none_spoils_the_push(client: Client) -> None:
    raw = manifest_of()
    path = f"/v2/{NAME}/manifests/{sha256(raw)}"
    assert await client.error("PUT", f"{path}?tag=good&tag=.bad", raw, Content_Type=OCI_MANIFEST) == (
        400,
        "MANIFEST_INVALID",
    )
    assert (await client("GET", path))[0] == 404


async def test_tags_beside_a_tag_are_of_no_account(client: Client) -> None:
    status, headers, _ = await client(
        "PUT", f"/v2/{NAME}/manifests/1.0.0?tag=2.0.0", manifest_of(), Content_Type=OCI_MANIFEST
    )
    assert (status, "OCI-Tag" in headers) == (201, False)
    assert (await client("GET", f"/v2/{NAME}/manifests/2.0.0"))[0] == 404


async def test_a_manifest_is_pushed_and_pulled_on_conditions(client: Client) -> None:
    path, other = f"/v2/{NAME}/manifests/1.0.0", manifest_of(annotations={"another": "one"})

    async def put(raw: bytes, **condition: str) -> int:
        return (await client("PUT", path, raw, Content_Type=OCI_MANIFEST, **condition))[0]

    assert await put(manifest_of(), If_Match="*") == 412
    assert await put(manifest_of(), If_None_Match="*") == 201
    first = (await client("GET", path))[1]["ETag"]
    assert (await client("GET", path, If_None_Match=first))[::2] == (304, b"")
    assert await put(other, If_None_Match="*") == 412
    assert await put(other, If_Match=first) == 201
    assert await put(manifest_of(), If_Match=first) == 412
    assert (await client("DELETE", path, If_Match=first))[0] == 412
    assert (await client("GET", path))[2] == other


async def test_deleting_by_one_digest_leaves_the_other(client: Client) -> None:
    raw = manifest_of()
    assert await accepted(client, raw, reference=sha256(raw))
    assert await accepted(client, raw, reference=sha512(raw))
    assert (await client("DELETE", f"/v2/{NAME}/manifests/{sha256(raw)}"))[0] == 202
    assert (await client("GET", f"/v2/{NAME}/manifests/{sha512(raw)}"))[2] == raw

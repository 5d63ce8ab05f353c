"""Registry faults: what the registry answers, and what the agent's fetch makes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.oci import BasicAuth, FetchError, Image, OciFetcher, Registry, TokenAuth, build_image, push
from sim.oci.registry.faults import PullFaults
from sim.scenario.faults import FaultBoard, FaultSpec
from sim.trace import Trace

MODULE = b"\x00asm\x01\x00\x00\x00" + random.Random(5).randbytes(60_000)
HOST = "hub.example.com"
REPOSITORY = "team/block"
IMAGE = f"oci://{HOST}/{REPOSITORY}:1.0.0"

PING, MANIFEST, BLOB = "/v2/", f"/v2/{REPOSITORY}/manifests/1.0.0", f"/v2/{REPOSITORY}/blobs/"


@dataclass
class World:
    """A registry with one image, and the agent's fetcher."""

    registry: Registry
    faults: PullFaults
    board: FaultBoard
    trace: Trace
    image: Image
    fetcher: OciFetcher = field(repr=False)

    async def inject(self, **spec: Any) -> None:
        await self.board.inject(FaultSpec.model_validate({"on": "registry", **spec}))

    async def pull(self, reference: str = IMAGE) -> bytes:
        return await (await self.fetcher.prepare(reference)).fetch()

    async def failure(self, reference: str = IMAGE) -> FetchError:
        """Why a pull fails."""
        with pytest.raises(FetchError) as failed:
            await self.pull(reference)
        return failed.value

    def requests(self) -> list[tuple[str, int]]:
        """Path and status of the requests since the last call, with blob digests cut off; 0: no answer."""
        seen = [(e.data["path"].partition("sha256:")[0], e.data["status"]) for e in self._since("registry.request")]
        self.trace.events.clear()
        return seen

    def hits(self) -> list[dict[str, Any]]:
        return [event.data for event in self._since("fault.hit")]

    def _since(self, name: str) -> list[Any]:
        return [event for event in self.trace if event.event == name]

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, self.registry.url + path, headers=headers) as response,
        ):
            return response, await response.read()


@asynccontextmanager
async def world(directory: Path, auth: BasicAuth | TokenAuth | None = None) -> AsyncIterator[World]:
    trace, image = Trace(), build_image(MODULE)
    user, password = (auth.user, auth.password) if auth is not None else (None, "")
    async with (
        Registry(directory, trace, auth=auth) as registry,
        OciFetcher(mirrors={HOST: registry.address}, pauses_s=(0, 0)) as fetcher,
    ):
        faults = PullFaults(registry.store, auth)
        registry.faults.append(faults)
        await push(image, IMAGE, registry.address, user=user, password=password)
        trace.events.clear()
        yield World(registry, faults, FaultBoard(trace, registry=faults), trace, image, fetcher)


# -- status ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 503])
async def test_a_passing_status_is_asked_for_again_until_the_registry_is_well(tmp_path: Path, code: int) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": code, "count": 2}, match={"what": "blob"})
        assert await on.pull() == MODULE
        assert [hit["what"] for hit in on.hits()] == ["blob", "blob"]
        assert on.requests() == [(PING, 200), (MANIFEST, 200), (BLOB, code), (BLOB, code), (BLOB, 200)]


async def test_three_passing_statuses_are_too_many(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 503, "count": 3}, match={"what": "manifest"})
        failed = await on.failure()
        assert (failed.reason, failed.status) == ("download", 503)
        assert on.requests() == [(PING, 200), *[(MANIFEST, 503)] * 3]
        assert await on.pull() == MODULE


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "UNAUTHORIZED"),
        (403, "DENIED"),
        (404, "MANIFEST_UNKNOWN"),
        (429, "TOOMANYREQUESTS"),
        (418, "answered 418"),
    ],
)
async def test_every_other_status_is_final_and_tells_why(tmp_path: Path, code: int, words: str) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": code, "count": 1}, match={"what": "manifest"})
        failed = await on.failure()
        assert (failed.reason, failed.status) == ("download", code)
        assert words in failed.message
        assert on.requests() == [(PING, 200), (MANIFEST, code)]
        assert await on.pull() == MODULE


async def test_without_a_match_the_first_request_of_a_pull_is_hit_first(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 503, "count": 1})
        assert await on.pull() == MODULE
        assert on.requests()[:2] == [(PING, 503), (PING, 200)]


async def test_a_status_may_say_when_to_come_again(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 429, "retry_after": "1500ms"})
        response, _ = await on.get(MANIFEST)
        assert response.headers["Retry-After"] == "2"


# -- blobs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cut", "share"), [({"bytes": "30KB"}, 0), ({"at": 0.25}, 0.25), ({"at": 0.0}, 0), ({}, 0.5)])
async def test_a_truncated_blob_is_not_asked_for_again(tmp_path: Path, cut: dict[str, Any], share: float) -> None:
    async with world(tmp_path) as on:
        sent_bytes = 30_000 if "bytes" in cut else int(len(on.image.layers[0].content) * share)
        await on.inject(truncated_blob={**cut, "count": 1})
        failed = await on.failure()
        assert on.hits()[0]["sent_bytes"] == sent_bytes
        assert f"broke after {sent_bytes} bytes" in failed.message
        assert failed.reason == "download"
        assert on.requests() == [(PING, 200), (MANIFEST, 200), (BLOB, 0)]
        assert await on.pull() == MODULE


async def test_a_blob_that_is_shorter_than_the_cut_is_not_hit(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(truncated_blob={"bytes": "1MiB", "count": 1})
        assert await on.pull() == MODULE
        assert on.hits() == []


async def test_an_altered_blob_fails_its_checksum(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(digest_mismatch={"count": 1})
        failed = await on.failure()
        assert failed.reason == "checksum"
        assert await on.pull() == MODULE


async def test_an_altered_blob_differs_in_one_byte(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(digest_mismatch={"count": 1})
        layer = on.image.layers[0]
        _, body = await on.get(BLOB + layer.digest)
        assert len(body) == len(layer.content)
        assert sum(one != other for one, other in zip(body, layer.content, strict=True)) == 1


async def test_a_slow_blob_that_is_cleared_comes_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(slow_blob={"delay": "1h"})
        pulling = asyncio.create_task(on.pull())
        await on.trace.wait_for(lambda e: e.event == "fault.hit")
        assert not pulling.done()
        await on.board.clear("slow_blob")
        assert await pulling == MODULE


async def test_a_slow_rate_sends_a_part_and_the_rest_when_it_is_cleared(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        layer = on.image.layers[0]
        await on.inject(slow_blob={"rate": 1})
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(on.registry.url + BLOB + layer.digest) as response,
        ):
            assert response.content_length == len(layer.content)
            first = await response.content.readany()
            assert 0 < len(first) < len(layer.content)
            await on.board.clear("all")
            assert first + await response.content.read() == layer.content


async def test_a_fast_rate_comes_to_its_end_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(slow_blob={"rate": 1000, "delay": "1ms"})
        assert await on.pull() == MODULE
        assert len(on.hits()) == 1


async def test_a_client_that_leaves_a_slow_blob_ends_its_request(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(slow_blob={"rate": 1})
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            response = await session.get(on.registry.url + BLOB + on.image.layers[0].digest)
            await response.content.readany()
            response.close()
        # The registry finds it out at the next write, or when the fault ends.
        await on.board.clear("all")
        await on.trace.wait_for(lambda e: e.event == "registry.request")


# -- manifests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["not_json", "wrong_schema"])
async def test_a_bad_manifest_is_invalid_and_no_blob_is_asked_for(tmp_path: Path, form: str) -> None:
    async with world(tmp_path) as on:
        await on.inject(bad_manifest={"form": form, "count": 1})
        assert (await on.failure()).reason == "invalid"
        assert on.requests() == [(PING, 200), (MANIFEST, 200)]
        assert await on.pull() == MODULE


async def test_a_bad_manifest_by_digest_fails_its_checksum(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(bad_manifest={})
        failed = await on.failure(f"oci://{HOST}/{REPOSITORY}@{on.image.digest}")
        assert failed.reason == "checksum"


# -- tokens ------------------------------------------------------------------------------------------------------


async def test_a_token_that_expires_once_is_renewed(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(expired_token={"count": 1}, match={"what": "blob"})
        assert await on.pull() == MODULE
        assert on.requests() == [
            (PING, 401),
            ("/token", 200),
            (MANIFEST, 200),
            (BLOB, 401),
            ("/token", 200),
            (BLOB, 200),
        ]


async def test_a_token_that_expires_twice_is_final(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(expired_token={"count": 2})
        failed = await on.failure()
        assert (failed.reason, failed.status) == ("download", 401)
        await on.board.clear("all")
        on.requests()
        assert await on.pull() == MODULE
        assert on.requests() == [(PING, 200), (MANIFEST, 200), (BLOB, 200)]


async def test_a_token_of_a_registry_that_gives_some_expires_too(tmp_path: Path) -> None:
    secret = b'{"auths": {"hub.example.com": {"username": "ann", "password": "pw"}}}'
    async with world(tmp_path, TokenAuth("ann", "pw")) as on:
        await on.inject(expired_token={"count": 1}, match={"what": "manifest"})
        assert await (await on.fetcher.prepare(IMAGE, secret)).fetch() == MODULE
        assert [status for path, status in on.requests() if path == MANIFEST] == [401, 200]


async def test_who_is_not_let_in_is_not_hit_by_faults_of_content(tmp_path: Path) -> None:
    async with world(tmp_path, BasicAuth("ann", "pw")) as on:
        for name in ("digest_mismatch", "bad_manifest", "expired_token"):
            await on.inject(**{name: {}})
        for path in (MANIFEST, BLOB + on.image.layers[0].digest):
            response, _ = await on.get(path)
            assert response.status == 401
        assert on.hits() == []


# -- whom it hits ------------------------------------------------------------------------------------------------


async def test_a_match_by_tag_means_the_manifest_and_the_blobs_of_that_image(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        other = build_image(MODULE + b"2")
        await push(other, f"oci://{HOST}/{REPOSITORY}:2.0.0", on.registry.address)
        await on.inject(status={"code": 403}, match={"repository": REPOSITORY, "tag": "2.0.0"})
        assert await on.pull() == MODULE
        layer = other.layers[0].digest
        for path in (MANIFEST.replace("1.0.0", "2.0.0"), MANIFEST.replace("1.0.0", other.digest), BLOB + layer):
            assert (await on.get(path))[0].status == 403
        assert (await on.get("/v2/other/block/manifests/2.0.0"))[0].status == 404


async def test_a_match_by_digest_means_a_blob_or_an_image(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        layer = on.image.layers[0].digest
        await on.inject(name="blob", status={"code": 403}, match={"digest": layer})
        assert (await on.get(BLOB + layer))[0].status == 403
        assert (await on.get(MANIFEST))[0].status == 200
        await on.board.clear("blob")
        await on.inject(name="image", status={"code": 403}, match={"digest": on.image.digest})
        assert [(await on.get(path))[0].status for path in (MANIFEST, BLOB + layer, PING)] == [403, 403, 200]


async def test_a_push_is_never_hit(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 503})
        fresh = build_image(MODULE + b"3")
        assert await push(fresh, f"oci://{HOST}/{REPOSITORY}:3.0.0", on.registry.address) == fresh.digest
        assert on.hits() == []


async def test_while_suspended_nothing_is_hit(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 503})
        with on.faults.suspended():
            assert (await on.get(MANIFEST, "HEAD"))[0].status == 200
            assert await on.pull() == MODULE
        assert (await on.get(MANIFEST, "HEAD"))[0].status == 503


async def test_listings_are_no_pulls(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(status={"code": 503})
        assert (await on.get(f"/v2/{REPOSITORY}/tags/list"))[0].status == 200
        assert (await on.get("/v2/_catalog"))[0].status == 200


async def test_the_first_fault_that_has_an_answer_gives_it(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.inject(name="first", status={"code": 500, "count": 1})
        await on.inject(name="second", status={"code": 503, "count": 1})
        assert [(await on.get(MANIFEST))[0].status for _ in range(3)] == [500, 503, 200]
        assert [hit["fault"] for hit in on.hits()] == ["first", "second"]


async def test_a_blob_that_is_not_there_is_missing_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        for name in ("digest_mismatch", "truncated_blob"):
            await on.inject(**{name: {}})
        assert (await on.get(f"{BLOB}sha256:{'0' * 64}"))[0].status == 404
        assert on.hits() == []

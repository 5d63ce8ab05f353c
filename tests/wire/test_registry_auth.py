"""Who may use a guarded registry: basic credentials, and tokens from the registry's own realm."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sim.oci import BasicAuth, Registry, TokenAuth
from sim.oci.auth import read_challenge

ALICE = "Basic " + base64.b64encode(b"alice:s3cret").decode()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (ALICE, 200),
        (ALICE.replace("Basic", "basic"), 200),
        (None, 401),
        ("Basic " + base64.b64encode(b"alice:wrong").decode(), 401),
        ("Basic !!!", 401),
        ("Bearer s3cret", 401),
    ],
)
async def test_basic_credentials_open_every_request(
    tmp_path: Path, session: aiohttp.ClientSession, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with Registry(tmp_path, auth=BasicAuth("alice", "s3cret")) as registry:
        for path in ("/v2/", "/v2/_catalog"):
            async with session.get(registry.url + path, headers=headers) as answer:
                assert answer.status == status
                assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        path = f"/v2/team/block/blobs/sha256:{'0' * 64}"
        async with session.get(registry.url + path, headers=headers) as answer:
            assert answer.status == (404 if status == 200 else 401)


async def _token(session: aiohttp.ClientSession, registry: Registry, path: str) -> str:
    async with session.get(registry.url + path) as refused:
        assert refused.status == 401
        assert json.loads(await refused.read())["errors"][0]["code"] == "UNAUTHORIZED"
        challenge = read_challenge(refused.headers.getall("WWW-Authenticate"))
    assert challenge is not None
    parameters = dict(challenge.parameters)
    realm = parameters.pop("realm")
    assert realm.startswith(registry.url)
    async with session.get(realm, params=parameters, headers={"Authorization": ALICE}) as granted:
        assert granted.status == 200
        token = (await granted.json())["token"]
    assert isinstance(token, str)
    return f"Bearer {token}"


async def test_a_token_opens_what_it_was_asked_for_and_nothing_else(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with Registry(tmp_path, auth=TokenAuth("alice", "s3cret")) as registry:
        missing = f"blobs/sha256:{'0' * 64}"
        headers = {"Authorization": await _token(session, registry, f"/v2/team/block/{missing}")}

        async def status(method: str, path: str) -> int:
            async with session.request(method, registry.url + path, headers=headers) as answer:
                return answer.status

        assert await status("GET", "/v2/") == 200
        assert await status("GET", f"/v2/team/block/{missing}") == 404
        assert await status("GET", f"/v2/other/block/{missing}") == 401
        assert await status("POST", "/v2/team/block/blobs/uploads/") == 401
        assert await status("DELETE", f"/v2/team/block/{missing}") == 401


@pytest.mark.parametrize(
    ("scopes", "query", "status"),
    [
        (["team/block"], "&from=secret/place", 202),
        (["team/block"], "", 202),
        (["team/block", "secret/place"], "&from=secret/place", 201),
        (["team/block", "secret/place"], "", 201),
    ],
)
async def test_a_blob_is_mounted_only_from_where_it_may_be_pulled(
    tmp_path: Path, session: aiohttp.ClientSession, scopes: list[str], query: str, status: int
) -> None:
    """Who knows a digest could otherwise read what it names in a repository that is closed to him."""
    async with Registry(tmp_path, auth=TokenAuth("alice", "s3cret")) as registry:
        digest = "sha256:" + hashlib.sha256(b"secret").hexdigest()
        registry.store.content_path(digest).write_bytes(b"secret")
        registry.store.link_blob("secret/place", digest)
        asked = "&".join(f"scope=repository:{name}:pull,push" for name in scopes)
        async with session.get(f"{registry.url}/token?{asked}", headers={"Authorization": ALICE}) as granted:
            headers = {"Authorization": f"Bearer {(await granted.json())['token']}"}
        path = f"/v2/team/block/blobs/uploads/?mount={digest}{query}"
        async with session.post(registry.url + path, headers=headers) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "alice", "password": "s3cret"}, 200),
        ({"grant_type": "password", "username": "alice", "password": "wrong"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "made up"}, 401),
    ],
)
async def test_the_realm_speaks_oauth2_too(
    tmp_path: Path, session: aiohttp.ClientSession, form: dict[str, str], status: int
) -> None:
    async with Registry(tmp_path, auth=TokenAuth("alice", "s3cret")) as registry:
        asked = {**form, "scope": "repository:team/block:pull"}
        async with session.post(f"{registry.url}/token", data=asked) as answer:
            assert answer.status == status
            if status != 200:
                return
            granted = await answer.json()
        renewing = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
        async with session.post(f"{registry.url}/token", data=renewing) as answer:
            assert answer.status == 200
            assert (await answer.json())["token"] != granted["token"]


async def test_passwords_are_not_shown() -> None:
    assert "s3cret" not in repr(BasicAuth("alice", "s3cret")) + repr(TokenAuth("alice", "s3cret"))

"""Registries that want to know who asks: pull secrets, basic credentials, bearer tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sim.oci import BasicAuth, FetchError, OciFetcher, TokenAuth, build_image
from tests.wire.oci_world import HOST, IMAGE, MODULE, PASSWORD, USER, World, a_world, elsewhere, pushed, secret

BASIC = "Basic YWxpY2U6czNjcmV0"
SCOPE = "repository:team/block:pull"


@pytest.fixture(params=[BasicAuth, TokenAuth])
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path, auth=request.param(USER, PASSWORD)) as made:
        await pushed(made, build_image(MODULE), user=USER, password=PASSWORD)
        yield made


async def pull(world: World, pull_secret: bytes | None) -> bytes:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as fetcher:
        return await (await fetcher.prepare(IMAGE, pull_secret)).fetch()


async def test_a_pull_secret_opens_a_guarded_registry(guarded: World) -> None:
    assert await pull(guarded, secret()) == MODULE
    asked = [path for path, _ in guarded.requests()]
    assert [path for path in asked if path != "/token"] == [
        "/v2/",
        "/v2/team/block/manifests/1.0.0",
        "/v2/team/block/blobs/",
    ]


@pytest.mark.parametrize(
    "pull_secret", [None, secret(password="wrong"), secret(host="other.example.com"), secret(password="")]
)
async def test_without_the_right_secret_a_guarded_registry_stays_closed(
    guarded: World, pull_secret: bytes | None
) -> None:
    with pytest.raises(FetchError) as failed:
        await pull(guarded, pull_secret)
    assert (failed.value.reason, failed.value.status) == ("download", 401)


async def test_a_secret_that_cannot_be_read_asks_nobody(guarded: World) -> None:
    with pytest.raises(FetchError, match="credential helper"):
        await pull(guarded, b'{"credsStore": "desktop"}')
    assert guarded.requests() == []


async def test_a_token_that_expired_is_renewed_once(tmp_path: Path) -> None:
    auth = TokenAuth(USER, PASSWORD)
    async with a_world(tmp_path, auth=auth) as world:
        await pushed(world, build_image(MODULE), user=USER, password=PASSWORD)
        async with OciFetcher(mirrors={HOST: world.registry.address}) as fetcher:
            prepared = await fetcher.prepare(IMAGE, secret())
            auth.revoke()
            world.trace.events.clear()
            assert await prepared.fetch() == MODULE
        assert [event.data["status"] for event in world.trace] == [401, 200, 200]


class Gate:
    """Lets into an open registry who brings one of `accepted`, and gives tokens in its own way.

    `asked` has what was asked of the realm: the method, the scopes and who asked.
    """

    def __init__(self, *accepted: str, challenge: str = 'Bearer realm="http://HOST/token",service="svc"') -> None:
        self.accepted = accepted
        self.challenge = challenge
        self.answers: list[web.Response | dict[str, Any]] = []
        self.open_paths: set[str] = set()
        self.asked: list[tuple[str, list[str], str | None]] = []
        self.form: dict[str, str] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            self.form = {key: str(value) for key, value in (await request.post()).items()}
            scopes = request.query.getall("scope", []) or self.form.get("scope", "").split()
            self.asked.append((request.method, scopes, request.headers.get("Authorization")))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return web.json_response(answer) if isinstance(answer, dict) else answer
        if request.path in self.open_paths or request.headers.get("Authorization") in self.accepted:
            return None
        challenge = self.challenge.replace("HOST", request.host)
        return web.Response(status=401, headers={"WWW-Authenticate": challenge} if challenge else {})


@pytest.fixture
async def gated(tmp_path: Path) -> AsyncIterator[Callable[[Gate], World]]:
    async with a_world(tmp_path) as world:
        await pushed(world, build_image(MODULE))

        def behind(gate: Gate) -> World:
            world.registry.faults[:] = [gate]
            return world

        yield behind


@pytest.mark.parametrize("challenge", ['Basic realm="x"', "Negotiate", ""])
async def test_a_registry_that_wants_no_token_is_told_name_and_password(
    gated: Callable[[Gate], World], challenge: str
) -> None:
    assert await pull(gated(Gate(BASIC, challenge=challenge)), secret()) == MODULE


async def test_a_registry_that_lets_the_ping_pass_is_told_them_too(gated: Callable[[Gate], World]) -> None:
    gate = Gate(BASIC, challenge='Basic realm="x"')
    gate.open_paths = {"/v2/"}
    assert await pull(gated(gate), secret()) == MODULE


async def test_a_registry_token_is_sent_as_it_is(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer ready-made")
    gate.answers = [{"token": "another"}]
    assert await pull(gated(gate), secret(registrytoken="ready-made")) == MODULE
    assert gate.asked == []
    gate.challenge = 'Basic realm="x"'
    assert await pull(gated(gate), secret(registrytoken="ready-made")) == MODULE


async def test_a_realm_is_asked_for_the_scope_and_told_who_asks(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer given")
    gate.answers = [{"token": "given"}]
    assert await pull(gated(gate), secret()) == MODULE
    assert gate.asked == [("GET", [SCOPE], BASIC)]
    gate.asked.clear()
    assert await pull(gated(gate), None) == MODULE
    assert gate.asked == [("GET", [SCOPE], None)]


async def test_an_access_token_counts_before_a_token(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer right")
    gate.answers = [{"token": "wrong", "access_token": "right"}]
    assert await pull(gated(gate), secret()) == MODULE


async def test_a_wider_scope_is_asked_for_where_the_registry_wants_it(gated: Callable[[Gate], World]) -> None:
    wide = "repository:team/block:pull,push"
    gate = Gate("Bearer wide")
    gate.answers = [{"token": "narrow"}, {"token": "wide"}]
    gate.open_paths = set()
    gate.challenge += f',scope="{wide}"'
    assert await pull(gated(gate), secret()) == MODULE
    # What is missing comes first: some realms look no further.
    assert gate.asked == [("GET", [SCOPE], BASIC), ("GET", [wide, SCOPE], BASIC)]


async def test_a_registry_that_is_never_content_ends_the_pull(gated: Callable[[Gate], World]) -> None:
    gate = Gate()
    gate.answers = [{"token": "no good"}]
    world = gated(gate)
    with pytest.raises(FetchError) as failed:
        await pull(world, secret())
    assert (failed.value.reason, failed.value.status) == ("download", 401)
    assert [status for path, status in world.requests() if path != "/token"] == [401, 401, 401]


@pytest.mark.parametrize(("failures", "asked"), [([500], 2), ([503, 502], 3), ([500] * 3, 3), ([403], 1), ([429], 1)])
async def test_a_realm_is_tried_as_the_registry_is(
    gated: Callable[[Gate], World], failures: list[int], asked: int
) -> None:
    gate = Gate("Bearer given")
    gate.answers = [*(web.Response(status=status) for status in failures), {"token": "given"}]
    if failures[0] >= 500 and len(failures) < 3:
        assert await pull(gated(gate), secret()) == MODULE
    else:
        with pytest.raises(FetchError, match="gives no token") as failed:
            await pull(gated(gate), secret())
        assert failed.value.status == failures[-1]
    assert len(gate.asked) == asked


@pytest.mark.parametrize(
    "realm", ["", "/token", "token", "file:///etc/passwd", "http://", "http://HOST:99999/token", "http://[", "https:x"]
)
async def test_a_realm_that_is_no_address_is_refused(gated: Callable[[Gate], World], realm: str) -> None:
    gate = Gate("Bearer given", challenge=f'Bearer realm="{realm}"')
    with pytest.raises(FetchError, match="names no realm") as failed:
        await pull(gated(gate), secret())
    assert failed.value.reason == "download"
    assert gate.asked == []


@pytest.mark.parametrize("answer", [{}, {"token": ""}, {"token": 5}, {"token": None, "access_token": []}])
async def test_a_realm_without_a_token_is_refused(gated: Callable[[Gate], World], answer: dict[str, Any]) -> None:
    gate = Gate("Bearer given")
    gate.answers = [answer]
    with pytest.raises(FetchError, match="no token"):
        await pull(gated(gate), secret())


@pytest.mark.parametrize("body", [b"", b"[]", b"[" * 100_000, b"x" * 2_000_000, b"\xff"])
async def test_a_realm_that_answers_nonsense_is_refused(gated: Callable[[Gate], World], body: bytes) -> None:
    gate = Gate("Bearer given")
    gate.answers = [web.Response(body=body)]
    with pytest.raises(FetchError):
        await pull(gated(gate), secret())


async def test_an_identity_token_is_exchanged(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer given")
    gate.answers = [{"access_token": "given"}]
    assert await pull(gated(gate), secret(identitytoken="i'm alice")) == MODULE
    assert gate.asked == [("POST", [SCOPE], None)]
    assert gate.form == {
        "grant_type": "refresh_token",
        "refresh_token": "i'm alice",
        "scope": SCOPE,
        "service": "svc",
        "client_id": "ecdsim",
    }


async def test_a_realm_that_knows_no_exchange_is_told_name_and_password(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer given")
    gate.answers = [web.Response(status=404), {"token": "given"}]
    assert await pull(gated(gate), secret(identitytoken="i'm alice")) == MODULE
    assert [(method, told) for method, _, told in gate.asked] == [("POST", None), ("GET", BASIC)]


async def test_a_refresh_token_takes_the_passwords_place(gated: Callable[[Gate], World]) -> None:
    gate = Gate("Bearer second")
    gate.answers = [{"token": "first", "refresh_token": "again"}, {"token": "second"}]
    assert await pull(gated(gate), secret()) == MODULE
    assert [(method, told) for method, _, told in gate.asked] == [("GET", BASIC), ("POST", None)]
    assert gate.form["refresh_token"] == "again"


async def test_a_realm_elsewhere_is_told_the_password_and_whom_it_redirects_to_is_not(
    gated: Callable[[Gate], World],
) -> None:
    async def redirecting(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"http://{last.address}/token2"})

    async def giving(request: web.Request) -> web.StreamResponse:
        return web.json_response({"token": "given"})

    async with elsewhere(giving) as last, elsewhere(redirecting) as realm:
        gate = Gate("Bearer given", challenge=f'Bearer realm="http://{realm.address}/token1"')
        assert await pull(gated(gate), secret()) == MODULE
        assert realm.asked == [("/token1", BASIC)]
        assert last.asked == [("/token2", None)]


async def test_an_exchange_is_led_nowhere_else(gated: Callable[[Gate], World]) -> None:
    async with elsewhere() as other:
        gate = Gate("Bearer given")
        gate.answers = [web.Response(status=307, headers={"Location": f"http://{other.address}/token"})]
        with pytest.raises(FetchError, match="answered 307"):
            await pull(gated(gate), secret(identitytoken="i'm alice"))
        assert other.asked == []

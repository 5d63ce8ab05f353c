"""Who is let in: loopback, the token, and no foreign page."""

from __future__ import annotations

import base64
import io
import ssl
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sim.core import Store
from sim.errors import EnvironmentProblem
from sim.web.kubernetes import kubernetes_app, kubernetes_server, write_kubeconfig
from tests.wire.web.kubernetes.world import TOKEN, api_world, straight_to

PATHS = ("/version", "/api", "/apis", "/openapi/v2", "/healthz", "/api/v1/namespaces", "/nowhere")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", f"Bearer {TOKEN}x", "Basic !", "Bearer", f"Token {TOKEN}"]
)
async def test_nothing_is_told_without_the_token(authorization: str | None) -> None:
    async with api_world() as (api, _), aiohttp.ClientSession(connector=_trusting(api.client_context())) as session:
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in PATHS:
            async with session.get(api.url + path, headers=headers) as answer:
                status = await answer.json()
                assert (answer.status, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")


async def test_the_token_may_also_be_a_password() -> None:
    async with api_world() as (api, _), aiohttp.ClientSession(connector=_trusting(api.client_context())) as session:
        password = base64.b64encode(f"ecdsim:{TOKEN}".encode()).decode()
        async with session.get(f"{api.url}/version", headers={"Authorization": f"Basic {password}"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
async def test_a_page_of_another_site_is_refused_even_with_the_token(origin: str) -> None:
    async with api_world() as (_, session):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "evil"}}
        async with session.post("/api/v1/namespaces", json=body, headers={"Origin": origin}) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")
        async with session.get("/api/v1/namespaces/evil") as answer:
            assert answer.status == 404


async def test_a_page_of_the_same_server_is_let_in() -> None:
    async with api_world() as (api, session), session.get("/version", headers={"Origin": api.url}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:443", "10.0.0.1", "127.0.0.1.rebound.example", "["]
)
async def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    async with api_world() as (_, session), session.get("/version", headers={"Host": host}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "127.9.9.9:2", "[::1]:3", "LOCALHOST"])
async def test_every_name_of_loopback_is_let_in(host: str) -> None:
    async with api_world() as (_, session), session.get("/version", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_a_body_that_is_too_large_is_refused() -> None:
    body = io.BytesIO(b"x" * (3 * 1024 * 1024 + 1))
    headers = {"Content-Type": "application/json"}
    async with api_world() as (_, session), session.post("/api/v1/namespaces", data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (413, "RequestEntityTooLarge")


async def test_a_taken_port_is_named() -> None:
    async with api_world() as (api, _):
        taken = api.url.removeprefix("https://")
        with pytest.raises(EnvironmentProblem, match=f"can't listen on {taken}: Address already in use"):
            async with kubernetes_server(Store(), straight_to(Store()), TOKEN, listen=taken):
                raise AssertionError("it listened")


async def test_it_can_be_mounted_below_a_path() -> None:
    store = Store()
    app = web.Application()
    app.add_subapp("/kubernetes", kubernetes_app(store, straight_to(store), TOKEN))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/kubernetes"
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            async with session.get(f"{url}/openapi/v3") as answer:
                documents = (await answer.json())["paths"]
            where = documents["apis/extensions.higress.io/v1alpha1"]["serverRelativeURL"]
            assert where.startswith("/kubernetes/openapi/v3/apis/extensions.higress.io/v1alpha1?hash=")
            async with session.get(f"{url}/api/v1/namespaces/default") as answer:
                assert answer.status == 200
    finally:
        await runner.cleanup()


def test_a_kubeconfig_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("somebody else's")
    path.chmod(0o644)
    write_kubeconfig(path, "https://127.0.0.1:1", TOKEN, certificate_authority="PEM")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _trusting(context: ssl.SSLContext) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(ssl=context)

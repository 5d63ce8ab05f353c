"""Who may ask the live page's server for what."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from sim.web.guard import guard

TOKEN = "s3cret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    app = web.Application(middlewares=[guard(TOKEN, "127.0.0.1")])
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def status(address: str, method: str, path: str, **headers: str) -> int:
    async with ClientSession() as session, session.request(method, f"http://{address}{path}", headers=headers) as seen:
        return seen.status


async def test_the_page_opens_with_the_token_in_its_url_and_not_without(address: str) -> None:
    assert await status(address, "GET", f"/?token={TOKEN}") == 200
    assert await status(address, "GET", "/") == 401
    assert await status(address, "GET", f"/?token={TOKEN}x") == 401
    assert await status(address, "GET", "/?token=%C3%A4") == 401


async def test_a_change_needs_the_token_as_a_header_which_no_form_can_send(address: str) -> None:
    assert await status(address, "POST", "/api/step", **BEARER) == 200
    assert await status(address, "POST", f"/api/step?token={TOKEN}") == 401
    assert await status(address, "POST", "/api/step") == 401
    assert await status(address, "POST", "/api/step", Authorization=f"Basic {TOKEN}") == 401


@pytest.mark.parametrize("origin", ["http://evil.example.com", "https://127.0.0.1:1", "null"])
async def test_another_sites_page_is_refused_even_with_the_token(address: str, origin: str) -> None:
    assert await status(address, "POST", "/api/step", Origin=origin, **BEARER) == 403
    assert await status(address, "GET", f"/?token={TOKEN}", Origin=origin) == 403


async def test_its_own_page_may(address: str) -> None:
    assert await status(address, "POST", "/api/step", Origin=f"http://{address}", **BEARER) == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com:80", "10.0.0.1", "[::", ""])
async def test_a_foreign_name_for_this_address_is_refused(address: str, host: str) -> None:
    assert await status(address, "GET", f"/?token={TOKEN}", Host=host) == 403


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "127.0.0.2:1", "[::1]:80"])
async def test_any_name_of_loopback_will_do(address: str, host: str) -> None:
    assert await status(address, "GET", f"/?token={TOKEN}", Host=host) == 200


async def test_metrics_are_open_to_whoever_is_on_this_machine(address: str) -> None:
    assert await status(address, "GET", "/metrics") == 200
    assert await status(address, "GET", "/metrics", Host="evil.example.com") == 403

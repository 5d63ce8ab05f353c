"""The step `request`: one request through a gateway, and a look at the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from sim.errors import StepFailed
from sim.scenario.pipeline import Pipeline
from sim.scenario.schema import Answer, Request


async def request(step: Request, pipeline: Pipeline) -> int:
    """Send it, until the answer is as expected where the step has time for that; its status. Raises StepFailed."""
    deadline = None if step.within_s is None else asyncio.get_running_loop().time() + step.within_s
    while True:
        status, problem = await _ask(step, pipeline)
        if status is not None and problem is None:
            return status
        if deadline is None or asyncio.get_running_loop().time() >= deadline:
            raise StepFailed(f"{step.method} {step.path}: {problem}")
        await asyncio.sleep(0.02)


async def _ask(step: Request, pipeline: Pipeline) -> tuple[int | None, str | None]:
    """One request: the answer's status, None without one; and what is wrong with it, None when it is as expected."""
    gateway = pipeline.gateway_named(step.gateway)
    url = f"http://{gateway.host}:{gateway.port}"
    headers = {**({"Host": step.host} if step.host else {}), **step.headers}
    timeout = aiohttp.ClientTimeout(total=step.timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(
                step.method,
                url + step.path,
                headers=headers,
                data=step.body.encode() or None,
                allow_redirects=False,
            ) as response,
        ):
            body = (await response.read()).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        return None, f"no answer: {error or 'timed out'}"
    gateway.trace.emit("traffic.request", method=step.method, path=step.path, status=response.status)
    return response.status, _unexpected(step.expect, response.status, response.headers, body)


def _unexpected(expect: Answer, status: int, headers: Mapping[str, str], body: str) -> str | None:
    if expect.status is not None and status != expect.status:
        return f"expected status {expect.status}, got {status}"
    for name, value in expect.headers.items():
        actual = headers.get(name)
        if actual != value:
            return f"expected header {name}: {value}, got {actual}"
    if expect.body_contains is not None and expect.body_contains not in body:
        return f"expected {expect.body_contains!r} in the body, got {body[:200]!r}"
    return None

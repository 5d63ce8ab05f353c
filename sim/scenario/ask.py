"""The step `request`: one request through a gateway, and a look at the answer."""

from __future__ import annotations

import asyncio

import aiohttp

from sim.errors import StepFailed
from sim.scenario.pipeline import Pipeline
from sim.scenario.schema import Request


async def request(step: Request, pipeline: Pipeline) -> None:
    """Send it, until the answer is as expected where the step has time for that. Raises StepFailed."""
    deadline = None if step.within_s is None else asyncio.get_running_loop().time() + step.within_s
    while True:
        problem = await _ask(step, pipeline)
        if problem is None:
            return
        if deadline is None or asyncio.get_running_loop().time() >= deadline:
            raise StepFailed(f"{step.method} {step.path}: {problem}")
        await asyncio.sleep(0.02)


async def _ask(step: Request, pipeline: Pipeline) -> str | None:
    """One request; what is wrong with the answer, None when it is as expected."""
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
        return f"no answer: {error or 'timed out'}"
    gateway.trace.emit("traffic.request", method=step.method, path=step.path, status=response.status)
    expect = step.expect
    if expect.status is not None and response.status != expect.status:
        return f"expected status {expect.status}, got {response.status}"
    for name, value in expect.headers.items():
        actual = response.headers.get(name)
        if actual != value:
            return f"expected header {name}: {value}, got {actual}"
    if expect.body_contains is not None and expect.body_contains not in body:
        return f"expected {expect.body_contains!r} in the body, got {body[:200]!r}"
    return None

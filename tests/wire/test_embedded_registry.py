"""A run's own registry: guarded or not, behind TLS or not, faulty, and restarted in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.errors import EnvironmentProblem
from sim.oci import OciFetcher, build_image, parse_reference, push
from sim.oci.fetch_error import FetchError
from sim.scenario.embedded_registry import EmbeddedRegistry
from sim.scenario.faults import FaultBoard, FaultSpec
from sim.scenario.registry_spec import RegistrySpec
from sim.trace import Trace
from tests.unit.agent.resources import MODULE

HOST = "registry.local"
IMAGE = build_image(MODULE)
REFERENCE = parse_reference(f"{HOST}/plugins/demo:1.0.0")
LOGIN = {"username": "robot", "password": "open-sesame"}
RIGHT = json.dumps({"auths": {HOST: LOGIN}}).encode()
WRONG = json.dumps({"auths": {HOST: {**LOGIN, "password": "guess"}}}).encode()

GUARDS: dict[str, dict[str, Any]] = {
    "open": {},
    "basic": {"auth": {"basic": LOGIN}},
    "token": {"auth": {"token": LOGIN}},
    "tls": {"tls": True},
    "basic over tls": {"auth": {"basic": LOGIN}, "tls": True},
    "token over tls": {"auth": {"token": LOGIN}, "tls": True},
}


def embedded(directory: Path, trace: Trace | None = None, **spec: Any) -> EmbeddedRegistry:
    return EmbeddedRegistry(RegistrySpec.model_validate(spec), directory, trace or Trace())


@asynccontextmanager
async def fetcher(registry: EmbeddedRegistry, address: str) -> AsyncIterator[OciFetcher]:
    """As an agent of the run has it."""
    mirrors = {HOST: registry.mirror(address)}
    async with OciFetcher(mirrors=mirrors, ssl_context=registry.trust, pauses_s=(0, 0)) as made:
        yield made


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
async def test_a_scenario_may_push_and_an_agent_with_the_right_secret_may_pull(
    guard: dict[str, Any], tmp_path: Path
) -> None:
    registry = embedded(tmp_path, **guard)
    async with registry.serving(0) as part, fetcher(registry, part.address) as pulling:
        await registry.push(IMAGE, REFERENCE, part.address)
        assert await (await pulling.prepare(REFERENCE, RIGHT)).fetch() == MODULE
        if "auth" in guard:
            for secret in (None, WRONG):
                with pytest.raises(FetchError) as refused:
                    await pulling.prepare(REFERENCE, secret)
                assert refused.value.status == 401


async def test_whoever_does_not_trust_the_private_ca_can_neither_pull_nor_push(tmp_path: Path) -> None:
    registry = embedded(tmp_path, tls=True)
    async with registry.serving(0) as part:
        async with OciFetcher(mirrors={HOST: registry.mirror(part.address)}) as pulling:
            with pytest.raises(FetchError, match="certificate verify failed"):
                await pulling.prepare(REFERENCE)
        with pytest.raises(EnvironmentProblem, match="certificate verify failed"):
            await push(IMAGE, REFERENCE, part.address, insecure=False)


async def test_images_faults_and_the_certificate_outlive_a_restart(tmp_path: Path) -> None:
    trace = Trace()
    registry = embedded(tmp_path, trace, tls=True)
    board = FaultBoard(trace, {}, registry.pull_faults)
    async with registry.serving(0) as part:
        await registry.push(IMAGE, REFERENCE, part.address)
        port = part.port
    # By its tag the fault can only tell the image once it knows what the new process has.
    spec = {"on": "registry", "status": {"code": 404}, "match": {"tag": "1.0.0", "what": "blob"}}
    await board.inject(FaultSpec.model_validate(spec))
    async with registry.serving(port) as part, fetcher(registry, part.address) as pulling:
        assert part.port == port
        prepared = await pulling.prepare(REFERENCE)
        with pytest.raises(FetchError, match="answered 404"):
            await prepared.fetch()
        await board.clear("all")
        assert await prepared.fetch() == MODULE


async def test_a_push_passes_every_fault(tmp_path: Path) -> None:
    registry = embedded(tmp_path, auth={"token": LOGIN})
    board = FaultBoard(Trace(), {}, registry.pull_faults)
    await board.inject(FaultSpec.model_validate({"on": "registry", "status": {"code": 503}}))
    async with registry.serving(0) as part, fetcher(registry, part.address) as pulling:
        await registry.push(IMAGE, REFERENCE, part.address)
        with pytest.raises(FetchError, match="answered 503"):
            await pulling.prepare(REFERENCE, RIGHT)

"""What the agent asks the registry or the file server for, request by request, against captures of the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sim.agent.convert import Converted
from sim.discovery.state import Configuration
from sim.model import HTTP_RBAC
from sim.oci import parse_reference
from tests.golden_files import assert_same_json, golden
from tests.unit.agent.resources import as_json
from tests.wire.agent_captures import Origins, converted, ecds, mcp_resources, origins, without_blob

PROFILE = "istio-1.27"
ALLOW_ALL = "allow-all"
CASES = golden(f"agent-fetches-{PROFILE}.json")


def captured_checksums() -> tuple[dict[str, str], set[str]]:
    """How the captured checksum of each URL begins, and all URLs, those of a digest as that digest's tag."""
    checksums, urls, digests = {}, set(), set()
    for step in (step for case in CASES for step in case["steps"]):
        for plugin in step["istio"]:
            url = plugin["spec"]["url"]
            urls.add(url)
            if urlsplit(url).scheme == "oci" and (digest := parse_reference(url).digest):
                digests.add(digest.partition(":")[2])
            got = step["envoy_gets"].get(plugin["name"].partition("/")[2], ALLOW_ALL)
            if got != ALLOW_ALL:
                checksums[url] = got
    for url, checksum in checksums.items():
        # A digest that is known whole is worth more than its beginning.
        checksums[url] = next((digest for digest in digests if digest.startswith(checksum)), checksum)
    return checksums, urls


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Origins]:
    async with origins(tmp_path / "registry") as made:
        await made.fill(*captured_checksums())
        made.requests()
        yield made


def got(result: Converted) -> str:
    """How the module's checksum begins, or that everything is allowed."""
    if result.module is not None:
        return result.module.stem[:12]
    assert as_json(result.resource)["typed_config"] == {"@type": HTTP_RBAC}
    return ALLOW_ALL


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_the_agent_asks_for_what_the_real_one_asks_for(
    case: dict[str, Any], filled: Origins, tmp_path: Path
) -> None:
    held = Configuration()
    subscribed: set[str] = set()
    async with filled.converter(PROFILE, tmp_path / "data") as converter:
        for number, captured in enumerate(case["steps"]):
            step = filled.translated(captured)
            filled.fail(step["faults"])
            gets: dict[str, str] = {}
            at_once = 1
            if held.replace("WasmPlugin", mcp_resources(step["istio"], str(number))):
                resources = ecds(PROFILE, step["istio"], str(number))
                # First what Envoy has subscribed to is pushed, then Envoy subscribes to what is new.
                for names in (resources.keys() & subscribed, resources.keys() - subscribed):
                    results = await converted(converter, [resources[name] for name in sorted(names)])
                    gets |= {name.rpartition(".")[2]: got(r) for name, r in zip(sorted(names), results, strict=True)}
                    at_once = max(at_once, len(names))
                subscribed |= resources.keys()
            ours = filled.requests()
            theirs = [(r["method"], without_blob(r["path"]), r["status"]) for r in step["requests"]]
            if at_once > 1:
                # Who of several is first is chance.
                ours, theirs = sorted(ours), sorted(theirs)
            assert_same_json([step["step"], gets, *ours], [step["step"], step["envoy_gets"], *theirs])

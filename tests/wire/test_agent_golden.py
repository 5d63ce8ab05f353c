"""What Envoy gets of each plugin, against captures of the real agents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden_files import assert_same_json, golden
from tests.unit.agent.resources import as_json
from tests.wire.agent_captures import Origins, converted, ecds, origins

DATA_DIR = "/var/lib/istio/data"
FILE = re.compile(DATA_DIR + r"/[0-9a-f]{64}/([0-9a-f]{64})\.wasm")
CASES = [
    pytest.param(profile, case, id=f"{profile}-{case['name']}")
    for profile in ("istio-1.27", "higress-1.19")
    for case in golden(f"agent-{profile}.json")
]


def captured_checksums() -> tuple[dict[str, str], set[str]]:
    """The captured checksum of each URL that gave a module, and all URLs."""
    checksums, urls = {}, set()
    for case in (parameters.values[1] for parameters in CASES):
        assert isinstance(case, dict)
        for plugin in case["istio"]:
            urls.add(plugin["spec"]["url"])
            for resource in case["ecds"]:
                file = FILE.search(str(resource))
                if file and resource["name"].endswith("." + plugin["name"].partition("/")[2]):
                    checksums[plugin["spec"]["url"]] = file[1]
    return checksums, urls


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Origins]:
    async with origins(tmp_path / "registry") as made:
        await made.fill(*captured_checksums())
        yield made


@pytest.mark.parametrize(("profile", "case"), CASES)
async def test_envoy_gets_what_the_real_agent_gives_it(
    profile: str, case: dict[str, Any], filled: Origins, tmp_path: Path
) -> None:
    case = filled.translated(case)
    data_dir = tmp_path / "data"
    async with filled.converter(profile, data_dir) as converter:
        results = await converted(converter, ecds(profile, case["istio"], "<resource-version>").values())
    written = {result.module for result in results}
    given = [] if any(result.refused for result in results) else [as_json(result.resource) for result in results]
    ours = {item["name"]: item for item in given}
    for item in ours.values():
        config = item["typed_config"].get("config", {})
        code = config.get("vm_config", {}).get("code", {}).get("local", {})
        if "filename" in code:
            path = Path(code["filename"])
            if path.is_relative_to(data_dir):
                assert path in written
                code["filename"] = f"{DATA_DIR}/{path.relative_to(data_dir)}"
    # The real one sends them in the order of a Go map.
    assert_same_json(ours, {item["name"]: item for item in case["ecds"]})

"""Single behaviours of the real parts that docs/fidelity.md names and no other test holds."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest
from sim.core.controller import McpResource
from sim.core.mcp import envelope
from sim.discovery.state import new_nonce, push_version
from sim.model import TYPE_PREFIX
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from tests.unit.agent.resources import Shelf, module
from tests.unit.agent.test_agent_cache import Progress


def test_core_sends_a_resource_without_a_version_or_labels() -> None:
    sent = mcp.Resource.FromString(
        envelope(McpResource("higress-system/demo", ext.WasmPlugin(url="oci://r.example/p")))
    )
    assert [field.name for field, _ in sent.metadata.ListFields()] == ["name"]
    assert sent.body.type_url == TYPE_PREFIX + "istio.extensions.v1alpha1.WasmPlugin"


def test_a_version_is_the_time_and_the_number_of_the_push_and_a_nonce_adds_a_uuid() -> None:
    version = push_version(7, datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC))
    assert version == "2026-01-31T12:00:00Z/7"
    first, second = new_nonce(version), new_nonce(version)
    assert first != second
    for nonce in (first, second):
        assert nonce.startswith(version)
        assert str(uuid.UUID(nonce.removeprefix(version))) == nonce.removeprefix(version)


async def test_an_index_that_is_pinned_by_its_digest_does_not_match_the_child_that_is_pulled(tmp_path: Path) -> None:
    # The checksum is that of the child's manifest, the URL has the index's.
    pinned = f"oci://registry.example.com/team/plugin@sha256:{'1' * 64}"
    cache = ModuleCache(tmp_path, Shelf({pinned: module(1)}))
    with pytest.raises(ModuleError, match="has the checksum"):
        await cache.get(ModuleRequest(pinned), Progress())
    assert cache.metrics.fetches == {"checksum_mismatched": 1}

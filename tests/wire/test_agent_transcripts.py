"""Captured conversations between a real agent and a real istiod, played through ours from both ends."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, json_format

from sim.model import ECDS, HTTP_RBAC
from sim.xds import Variant
from tests.golden_files import golden_lines
from tests.unit.agent.resources import extension
from tests.wire.agent_rig import METHODS, DiscoveryStream, EnvoyStream, agent_rig, response, xds


def resources(variant: Variant, captured: dict[str, Any]) -> dict[str, any_pb2.Any]:
    """Contents for the names (in delta) or the number (in SotW) of resources that a capture tells."""
    names = (
        [item["name"] for item in captured["resources"]] if variant is Variant.DELTA else range(captured["resources"])
    )
    made = {}
    for number, name in enumerate(map(str, names)):
        if captured["type_url"] == ECDS:
            made[name] = extension(name, {"@type": HTTP_RBAC})
        else:
            made[name] = any_pb2.Any(type_url=captured["type_url"], value=b"resource %d" % number)
    return made


def told(variant: Variant, captured: dict[str, Any]) -> bytes:
    version = captured["version_info" if variant is Variant.SOTW else "system_version_info"]
    return response(
        variant,
        captured["type_url"],
        resources(variant, captured),
        version=version,
        nonce=captured["nonce"],
        removed=captured.get("removed_resources", ()),
    )


@pytest.mark.parametrize("variant", list(Variant), ids=str)
async def test_the_agent_carries_the_captured_conversation(tmp_path: Path, variant: Variant) -> None:
    ends: dict[int, tuple[EnvoyStream, DiscoveryStream]] = {}
    carried = count()
    async with agent_rig(tmp_path) as rig:
        for line in golden_lines(f"transcript-istio-1.27-{variant}.jsonl"):
            if "mark" in line:
                continue
            if line.get("event") == "open":
                ends[line["stream"]] = await rig.connect(METHODS[line["method"]])
                continue
            envoy, upstream = ends[line["stream"]]
            if line.get("event") == "close":
                await upstream.end(grpc.StatusCode.UNAVAILABLE, "closing transport")
                assert await envoy.status() == (grpc.StatusCode.UNAVAILABLE, "closing transport")
            elif line["dir"] == ">>":
                empty = xds("DiscoveryRequest" if variant is Variant.SOTW else "DeltaDiscoveryRequest")
                asked = json_format.ParseDict(line["msg"], empty).SerializeToString()
                await envoy.send(asked)
                assert await upstream.receive() == asked, line
                next(carried)
            else:
                said = told(variant, line["msg"])
                await upstream.send(said)
                assert await envoy.receive() == said, line
                next(carried)
        # Every stream was closed from Discovery's side, and each was heard once.
        opened = [event for event in rig.trace if event.event == "agent.stream_opened"]
        assert len(opened) == len(ends)
    assert next(carried) > 50

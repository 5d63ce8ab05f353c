"""Run directories to export: one rollout that goes well, is refused by Envoy, or whose image can't be pulled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sim.model import ECDS, LDS
from sim.report.html.run_files import RunFiles, read_run
from sim.scenario.result import Rollout, Stages, WorkerSwitch
from sim.trace import Event
from tests.unit.report.results import IMAGE, PLUGIN, result, rollout, traffic

Ending = Literal["works", "nacked", "not pulled"]

START_NS = 5_000_000_000
#: When the first event was, on the wall clock: 2025-01-01T10:00:00.25Z.
WALL_NS = 1_735_725_600_250_000_000
NODE = "router~127.0.0.1~gateway-1.higress-system~higress-system.svc.cluster.local"
RESOURCE = "higress-system.request-block"
APPLY_MS = 1000.0
PASSWORD = "hunter2-secret"
SCENARIO = f"""\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {{name: tag-bump}}
spec:
  registry:
    tls: true
    auth:
      basic:
        username: robot
        password: {PASSWORD}
"""
_MANIFEST = "/v2/plugins/request-block/manifests/2.0.0"
_BLOB = "/v2/plugins/request-block/blobs/sha256:" + "4159fb68a845" * 5 + "abcd"


def event(at_ms: float, name: str, **fields: Any) -> Event:
    """`at_ms` after the run began; what is no field of an event goes into its data."""
    top = {key: fields.pop(key) for key in list(fields) if key in _TOP}
    return Event(t_ns=START_NS + round(at_ms * 1e6), event=name, data=fields, **top)


_TOP = ("span", "span_id", "node_id", "type_url", "version_info", "nonce", "resource", "plugin", "image")


def span(start_ms: float, end_ms: float, name: str, number: int, **fields: Any) -> list[Event]:
    closing = {"span": "failed" if "error" in fields else "completed", "span_id": number, **fields}
    opening = {key: value for key, value in fields.items() if key in _TOP}
    return [event(start_ms, name, span="started", span_id=number, **opening), event(end_ms, name, **closing)]


def bump_events(
    ending: Ending = "works",
    *,
    plugin: str = PLUGIN,
    image: str = IMAGE + "2.0.0",
    error: str = "it can't be done",
    variant: str = "sotw",
) -> list[Event]:
    """What a tag bump leaves in the trace, from the manifest to the first response."""
    at = APPLY_MS
    about: dict[str, Any] = {"plugin": plugin, "image": image}
    lds: dict[str, Any] = {"type_url": LDS, "version_info": "v2", "nonce": "l2", "node_id": NODE, "stream": 1}
    ecds: dict[str, Any] = {"type_url": ECDS, "version_info": "v2", "nonce": "e2", "node_id": NODE, "stream": 1}
    module = {**about, "nonce": "e2", "resource": RESOURCE}
    mcp = {"type_url": "extensions.istio.io/v1alpha1/WasmPlugin", "nonce": "m2", "stream": 1}
    found = [
        event(0, "run.started", scenario="tag-bump", profile="higress", wall_ns=WALL_NS),
        event(1, "agent.stream_opened", stream=1, variant=variant),
        event(2, "discovery.stream_opened", stream=1, variant=variant),
        event(at - 5, "run.step", span="started", span_id=90),
        event(at, "core.apply", change="configured", resource=plugin, **about),
        *span(at + 0.1, at + 0.3, "core.convert", 1, outcome="converted", resource=plugin, **about),
        event(at + 0.8, "run.step", span="completed", span_id=90, step="bump tag=2.0.0"),
        event(at + 1, "core.mcp_push", plugin=plugin, changed=[plugin], resources=[plugin], reason="push", **mcp),
        event(at + 2, "discovery.received", type_url="WasmPlugin", changed=[plugin], removed=[]),
        *span(at + 2.1, at + 102, "discovery.debounce", 2, changes=1, kinds=["WasmPlugin"]),
        event(at + 103, "discovery.push", resources=["0.0.0.0_80"], reason="push", **lds),
        event(at + 103.5, "agent.forward", **lds),
        event(at + 104, "discovery.push", resources=[RESOURCE], reason="push", images={plugin: image}, **ecds),
        event(at + 105, "agent.intercept", resources=1, **ecds),
        event(at + 105.5, "envoy.ack", **lds),
    ]
    asked = [event(at + 106, "registry.request", method="GET", path="/v2/", status=200, bytes_sent=2, duration_ms=0.1)]
    if ending == "not pulled":
        answer = {"method": "GET", "path": _MANIFEST, "status": 404, "bytes_sent": 90, "duration_ms": 0.2}
        asked.append(event(at + 107, "registry.request", **answer))
        fetch = span(at + 105.2, at + 109, "agent.fetch", 3, error=error, **module)
        return [*found, fetch[0], *asked, fetch[1], event(at + 109.5, "agent.nack", error=error, **ecds)]
    for path in (_MANIFEST, _BLOB):
        asked.append(
            event(at + 107, "registry.request", method="GET", path=path, status=200, bytes_sent=900, duration_ms=0.2)
        )
    fetch = span(at + 105.2, at + 109, "agent.fetch", 3, size_bytes=900, **module)
    found += [
        *(fetch[0], *asked, fetch[1]),
        *span(at + 109.1, at + 110, "agent.unpack", 4, size_bytes=2000, **module),
        *span(at + 110.1, at + 110.2, "agent.rewrite", 5, **module),
        event(at + 110.5, "agent.deliver", **ecds),
        event(at + 111, "envoy.compile", active_vms=1),
    ]
    if ending == "nacked":
        return [*found, event(at + 112, "envoy.nack", error=error, names=[RESOURCE], **ecds)]
    return [
        *found,
        event(at + 120, "envoy.worker_ready", worker=0),
        event(at + 121, "envoy.worker_ready", worker=1),
        event(at + 125, "traffic.first_response", load="users", version="2.0.0", status=200, connection=1),
        event(at + 126, "envoy.ack", names=[RESOURCE], **ecds),
    ]


def bump_rollout(ending: Ending = "works", *, error: str = "it can't be done", **changes: Any) -> Rollout:
    """What the result says of it."""
    facts: dict[str, Any] = {
        "t_ns": START_NS + round(APPLY_MS * 1e6),
        "stages_ms": Stages(convert=0.3, mcp=1.7, debounce=100, push=3, fetch=4, unpack=1, rewrite=0.2, deliver=0.3),
        "effective_ms": None,
        "settled_ms": None,
        "workers": [],
        "acked": False,
    }
    match ending:
        case "works":
            facts["stages_ms"] = facts["stages_ms"].model_copy(update={"load": 9.5, "first_response": 5})
            ready = [WorkerSwitch(worker=0, ready_ms=120), WorkerSwitch(worker=1, ready_ms=121)]
            facts |= {"effective_ms": 125.0, "settled_ms": 130.0, "acked": True, "workers": ready}
        case "nacked":
            facts |= {"nacked": True, "error": error}
        case "not pulled":
            facts["stages_ms"] = Stages(convert=0.3, mcp=1.7, debounce=100, push=3, fetch=4)
            facts |= {"nacked": True, "error": error}
    return rollout(**{**facts, **changes})


def write_run(
    directory: Path,
    /,
    ending: Ending = "works",
    *,
    events: Sequence[Event] | None = None,
    rollouts: Sequence[Rollout] | None = None,
    **changes: Any,
) -> Path:
    """Write the run; `changes` are of `result.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(each.as_dict()) for each in (bump_events(ending) if events is None else events)]
    (directory / "trace.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = {
        "rollouts": [bump_rollout(ending)] if rollouts is None else list(rollouts),
        "traffic": {"users": traffic(requests=12, failed=2)},
        **changes,
    }
    (directory / "result.json").write_text(json.dumps(result(**told).to_json()), encoding="utf-8")
    (directory / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    columns = {
        "gateway": None,
        "protocol": "http/1.1",
        "start_ns": START_NS + round(APPLY_MS * 1e6),
        "t_us": [0, *[25_000] * 11],
        "versions": ["1.0.0", "2.0.0"],
        "version": [[0, 5], [-1, 2], [1, 5]],
        "failed": [[5, "timeout"], [6, "broken"]],
        "connection": [0] * 12,
    }
    (directory / "traffic.json").write_text(json.dumps({"schema": 1, "loads": {"users": columns}}), encoding="utf-8")
    return directory


def a_run(directory: Path, ending: Ending = "works", **changes: Any) -> RunFiles:
    return read_run(write_run(directory / "tag-bump-20250101T100000Z", ending, **changes))

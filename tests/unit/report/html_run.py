"""A run directory as a run leaves it: the events, payloads, responses and result of a tag bump, or of very many."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sim.model import ECDS, LDS
from sim.scenario.result import Result, Rollout, Stages, WorkerSwitch
from sim.trace import Event
from tests.unit.report.results import PLUGIN, result, rollout, traffic

START_NS = 1_000_000_000
PULL_SECRET = json.dumps({"auths": {"hub.example.com": {"username": "robot", "password": "hunter2-secret"}}})
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata:
  name: tag-bump
  title: {en: A new image tag, zh: 更新镜像版本}
  notes: {en: What it teaches., zh: 它的内容。}
spec:
  registry:
    auth:
      basic:
        username: robot
        password: hunter2-secret
"""


def _event(at_ms: float, name: str, **fields: Any) -> Event:
    return Event(t_ns=START_NS + round(at_ms * 1e6), event=name, **fields)


def bump_events(plugin: str, image: str, resource: str, start_ms: float = 0, number: int = 2) -> list[Event]:
    """What a tag bump leaves in the trace, payloads as `data["payloads"]` by role; `number` makes its names its own."""

    def event(at_ms: float, name: str, **fields: Any) -> Event:
        if "span_id" in fields:
            fields["span_id"] += 2 * number
        return _event(start_ms + at_ms, name, **fields)

    istio = {
        "kind": "WasmPlugin",
        "metadata": {"name": plugin},
        "spec": {"url": image, "pluginConfig": {"_rules_": []}},
    }
    higress = {"kind": "WasmPlugin", "metadata": {"name": plugin}, "spec": {"url": image, "matchRules": []}}
    remote = {
        "name": resource,
        "typed_config": {
            "config": {
                "vm_config": {
                    "code": {"remote": {"http_uri": {"uri": image}}},
                    "environment_variables": {
                        "key_values": {"ISTIO_META_WASM_IMAGE_PULL_SECRET": PULL_SECRET, "OTHER": "hunter2-secret"}
                    },
                }
            }
        },
    }
    local = {
        "name": resource,
        "typed_config": {"config": {"vm_config": {"code": {"local": {"filename": "/tmp/m.wasm"}}}}},
    }
    about: dict[str, Any] = {"plugin": plugin, "resource": plugin, "image": image}
    pushed: dict[str, Any] = {"type_url": ECDS, "version_info": f"v{number}", "nonce": f"n{number}"}
    return [
        event(0, "core.apply", **about),
        event(0.1, "core.convert", span="started", span_id=1, **about),
        event(
            0.2,
            "core.convert",
            span="completed",
            span_id=1,
            data={"payloads": {"before": higress, "after": istio}},
            **about,
        ),
        event(
            1,
            "core.mcp_push",
            plugin=plugin,
            type_url="extensions.istio.io/v1alpha1/WasmPlugin",
            nonce=f"m{number}",
            data={
                "resources": [plugin],
                "changed": [plugin],
                "payloads": {"sent": [{"metadata": {"name": plugin}, "body": istio["spec"]}]},
            },
        ),
        event(2, "discovery.received", type_url="WasmPlugin", data={"changed": [plugin], "removed": []}),
        event(
            3,
            "discovery.push",
            type_url=LDS,
            nonce=f"l{number}",
            data={"resources": ["0.0.0.0_80"], "reason": "push", "payloads": {"sent": [{"name": "0.0.0.0_80"}]}},
        ),
        event(
            3.5,
            "agent.forward",
            type_url=LDS,
            nonce=f"l{number}",
            data={"payloads": {"forwarded": [{"name": "0.0.0.0_80"}]}},
        ),
        event(
            4,
            "discovery.push",
            data={"resources": [resource], "reason": "push", "payloads": {"sent": [{"name": "other"}, remote]}},
            **pushed,
        ),
        event(5, "agent.intercept", **pushed),
        event(5.1, "agent.fetch", span="started", span_id=2, **about),
        event(6, "registry.request", data={"method": "GET", "path": "/v2/", "status": 200}),
        event(7, "agent.fetch", span="completed", span_id=2, **about),
        event(
            8,
            "agent.rewrite",
            nonce=f"n{number}",
            plugin=plugin,
            resource=resource,
            image=image,
            data={"payloads": {"before": remote, "after": local}},
        ),
        event(9, "agent.deliver", data={"payloads": {"delivered": [{"name": "other"}, local]}}, **pushed),
        event(20, "envoy.worker_ready", data={"worker": 0}),
        event(21, "envoy.ack", **pushed),
        event(25, "traffic.first_response", data={"load": "users", "version": "2.0.0", "connection": 1}),
        event(30, "traffic.failed", data={"load": "users", "error": "timeout", "connection": 1}),
        event(31, "traffic.failed", data={"load": "users", "error": "timeout", "connection": 1}),
    ]


def write_run(
    directory: Path,
    plugin: str = "higress-system/request-block",
    image: str = "oci://registry.local/plugins/request-block:2.0.0",
    text: str = SCENARIO,
    responses: int = 6,
    **changes: Any,
) -> Path:
    """Write the run; `text` is its scenario.yaml, `changes` are of `result.json`."""
    _write_trace(directory, bump_events(plugin, image, plugin.replace("/", ".")))
    told = result(**{"rollouts": [_bump(plugin, image)], "traffic": {"users": traffic(failed=2)}, **changes})
    return _write_rest(directory, told, text, responses)


def write_long_run(directory: Path, bumps: int, responses: int) -> Path:
    """Write a run of as many tag bumps, one a second, in turn to the tags 1.0.0 to 6.0.0."""
    events, rollouts = [], []
    for number in range(bumps):
        image = f"oci://registry.local/plugins/request-block:{number % 6 + 1}.0.0"
        events += bump_events(PLUGIN, image, PLUGIN.replace("/", "."), 1000 * number, number)
        rollouts.append(_bump(PLUGIN, image, 1000 * number))
    _write_trace(directory, events)
    told = result(rollouts=rollouts, traffic={"users": traffic(failed=2 * bumps)})
    return _write_rest(directory, told, SCENARIO, responses)


def _bump(plugin: str, image: str, start_ms: int = 0) -> Rollout:
    return rollout(
        plugin=plugin,
        to=image,
        t_ns=START_NS + start_ms * 1_000_000,
        stages_ms=Stages(convert=0.2, mcp=1.8, push=3, fetch=2, rewrite=1, deliver=1, load=11, first_response=5),
        effective_ms=25.0,
        settled_ms=26.0,
        workers=[WorkerSwitch(worker=0, ready_ms=20.0), WorkerSwitch(worker=1, ready_ms=None)],
    )


def _write_trace(directory: Path, events: list[Event]) -> None:
    payloads = directory / "payloads"
    payloads.mkdir(parents=True)
    lines = []
    for each in events:
        data = dict(each.data)
        refs = {}
        for role, payload in data.pop("payloads", {}).items():
            rendered = json.dumps(payload, sort_keys=True)
            digest = hashlib.sha256(rendered.encode()).hexdigest()
            (payloads / f"{digest}.json").write_text(rendered, encoding="utf-8")
            refs[role] = f"sha256:{digest}"
        each.data = data
        lines.append(json.dumps(each.as_dict(refs)))
    (directory / "trace.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_rest(directory: Path, told: Result, text: str, responses: int) -> Path:
    (directory / "result.json").write_text(json.dumps(told.to_json()), encoding="utf-8")
    (directory / "scenario.yaml").write_text(text, encoding="utf-8")
    columns = {
        "gateway": None,
        "protocol": "http/1.1",
        "start_ns": START_NS,
        "t_us": [5000] * responses,
        "versions": ["1.0.0", "2.0.0"],
        "version": [[0, responses // 2], [1, responses - responses // 2]],
        "failed": [[responses - 1, "timeout"]],
        "connection": [position % 8 for position in range(responses)],
    }
    (directory / "traffic.json").write_text(json.dumps({"schema": 1, "loads": {"users": columns}}), encoding="utf-8")
    return directory

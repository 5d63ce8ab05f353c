"""Results and traces to report on."""

from __future__ import annotations

from typing import Any

from sim.model import ECDS, LDS
from sim.scenario.result import (
    Environment,
    Latency,
    Result,
    Rollout,
    Stages,
    Traffic,
    WorkerSwitch,
)
from sim.trace import Event

PLUGIN = "higress-system/request-block"
IMAGE = "oci://registry.local/plugins/request-block:"
STAGES = Stages(
    convert=0.41,
    mcp=0.9,
    debounce=100.3,
    push=9.1,
    fetch=6.2,
    unpack=0.8,
    rewrite=0.3,
    deliver=0.2,
    load=9.4,
    first_response=2.2,
)


def rollout(**changes: Any) -> Rollout:
    """A tag bump that went well, apart from `changes`."""
    facts: dict[str, Any] = {
        "plugin": PLUGIN,
        "t_ns": 1_000_000_000,
        "change": "image",
        "from": IMAGE + "1.0.0",
        "to": IMAGE + "2.0.0",
        "stages_ms": STAGES,
        "effective_ms": 129.81,
        "settled_ms": 131.2,
        "workers": [WorkerSwitch(worker=0, ready_ms=127.6), WorkerSwitch(worker=1, ready_ms=None)],
        "acked": True,
        "nacked": False,
        "cached": False,
        "listener_updates": 0,
    }
    return Rollout(**{**facts, **changes})


def stages(**changes: float | None) -> Stages:
    return STAGES.model_copy(update=changes)


def traffic(**changes: Any) -> Traffic:
    facts: dict[str, Any] = {
        "requests": 2000,
        "failed": 0,
        "by_version": {"1.0.0": 1200, "2.0.0": 800},
        "by_status": {"200": 2000},
        "connections_opened": 8,
        "connections_broken": 0,
        "connections_drained": 0,
        "longest_gap_ms": 12.1,
        "latency_ms": Latency(p50=0.412, p99=3.2, max=14.23),
    }
    return Traffic(**{**facts, **changes})


def result(**changes: Any) -> Result:
    facts: dict[str, Any] = {
        "scenario": "tag-bump",
        "profile": "higress",
        "outcome": "passed",
        "environment": Environment(ecdsim="0.1.0", envoy="1.40.0", python="3.11.7", workers=2),
        "rollouts": [rollout()],
        "traffic": {"users": traffic()},
        "duration_ms": 5421.7,
        "directory": "runs/tag-bump-20250101T100000Z",
    }
    return Result(**{**facts, **changes})


def event(at_ms: float, name: str, **fields: Any) -> Event:
    return Event(t_ns=1_000_000_000 + round(at_ms * 1e6), event=name, **fields)


def listener_events(image: str) -> list[Event]:
    """The apply of `image` and the listener steps that follow when a plugin is added."""
    return [
        event(0, "core.apply", plugin=PLUGIN, image=image),
        event(101.9, "discovery.push", type_url=LDS),
        event(102.9, "agent.forward", type_url=LDS),
        event(108.9, "envoy.subscribe", type_url=ECDS),
    ]

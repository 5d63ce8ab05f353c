"""A run as it might have been recorded: what a tag bump makes the parts say, in any order in which they may say it."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from sim.model import ECDS, LDS
from sim.scenario.result import Environment, GatewayState, Result, Rollout, Stages, WorkerSwitch
from sim.trace import Event

PLUGIN = "higress-system/request-block"
RESOURCE = "higress-system.request-block"
IMAGE = "oci://registry.local/plugins/request-block:"
NODE = "router~127.0.0.1~gateway-1.higress-system~higress-system.svc.cluster.local"


@dataclass(slots=True)
class Recorded:
    """A result, its trace, and the payloads by reference."""

    result: dict[str, Any]
    events: list[Event]
    payloads: dict[str, Any] = field(default_factory=dict)

    def read(self, ref: str) -> Any:
        return self.payloads[ref]


class Recording:
    """Events with what each comes after; `play` puts them in one of the orders that this leaves."""

    def __init__(self, *, port: int = 41235, token: str = "a") -> None:
        self.port = port
        self.token = token
        self.payloads: dict[str, Any] = {}
        self._events: dict[str, tuple[Event, tuple[str, ...]]] = {}

    def says(self, key: str, event: str, after: tuple[str, ...] = (), **fields: Any) -> None:
        """An event that comes after those of the keys `after`."""
        roles: dict[str, Any] = fields.pop("payloads", {})
        data = {name: fields.pop(name) for name in list(fields) if name not in _TOP}
        if roles:
            data["payloads"] = {role: self._stored(payload) for role, payload in roles.items()}
        self._events[key] = (Event(t_ns=0, event=event, data=data, **fields), after)

    def play(self, chance: random.Random) -> list[Event]:
        """An order, by chance; each event a little later than the one before."""
        played: dict[str, Event] = {}
        while len(played) < len(self._events):
            ready = [
                key
                for key, (_, after) in self._events.items()
                if key not in played and all(one in played for one in after)
            ]
            key = chance.choice(ready)
            event = Event.from_dict(self._events[key][0].as_dict())
            event.seq = len(played)
            event.t_ns = 1_000 * (event.seq + 1)
            played[key] = event
        return list(played.values())

    def nonce(self, push: int, what: str) -> str:
        return f"{self.version(push)}{what}-{self.token}"

    def version(self, push: int) -> str:
        return f"2026-11-21T0{len(self.token)}:00:00Z/{push}"

    def _stored(self, payload: Any) -> str:
        ref = f"sha256:{hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()}"
        self.payloads[ref] = payload
        return ref


_TOP = ("span", "span_id", "node_id", "type_url", "version_info", "nonce", "resource", "plugin", "image")


def tag_bump(
    chance: random.Random | None = None, *, port: int = 41235, token: str = "a", blocked: str = "swagger.html"
) -> Recorded:
    """A plugin is added and gets a new tag. `blocked` is what its configuration blocks after the bump."""
    made = Recording(port=port, token=token)
    made.says("started", "run.started")
    _listener(made, 1, "start", after=("started",), asked=True)
    _change(made, 1, tag="1.0.0", blocked="swagger.html", after=("start.acked",))
    _change(made, 2, tag="2.0.0", blocked=blocked, after=("1.settled",))
    events = made.play(chance or random.Random(0))
    applied = [event for event in events if event.event == "core.apply"]
    rollouts = [_rollout(apply, number) for number, apply in enumerate(applied)]
    return Recorded(_result(rollouts), events, made.payloads)


def _change(made: Recording, number: int, *, tag: str, blocked: str, after: tuple[str, ...]) -> None:
    push, image, key = number + 1, IMAGE + tag, str(number)
    manifest = {
        "kind": "WasmPlugin",
        "metadata": {"name": "request-block", "namespace": "higress-system", "uid": f"uid-{made.token}"},
        "spec": {"url": image, "defaultConfig": {"block_urls": [blocked]}},
    }
    subject = {"plugin": PLUGIN, "image": image, "resource": PLUGIN}
    made.says(f"{key}.apply", "core.apply", after, change="configured", **subject)
    made.says(
        f"{key}.convert",
        "core.convert",
        (f"{key}.apply",),
        span="completed",
        outcome="converted",
        payloads={"before": manifest},
        **subject,
    )
    made.says(f"{key}.mcp", "core.mcp_push", (f"{key}.convert",), plugin=PLUGIN, changed=[PLUGIN], reason="push")
    made.says(f"{key}.received", "discovery.received", (f"{key}.mcp",), changed=[PLUGIN], removed=[])
    made.says(f"{key}.debounce", "discovery.debounce", (f"{key}.received",), span="completed", kinds=["WasmPlugin"])
    _listener(made, push, f"{key}.lds", after=(f"{key}.debounce",), asked=False)
    _extension(made, push, key, image, blocked, after=(f"{key}.lds.pushed",))
    made.says(f"{key}.settled", "run.step", (f"{key}.acked", f"{key}.worker0", f"{key}.worker1", f"{key}.lds.acked"))


def _listener(made: Recording, push: int, key: str, *, after: tuple[str, ...], asked: bool) -> None:
    stream = {"node_id": NODE, "type_url": LDS, "nonce": made.nonce(push, "lds"), "version_info": made.version(push)}
    listener = {"name": f"0.0.0.0_{made.port}", "address": {"port_value": made.port}}
    if asked:
        asking = {"node_id": NODE, "type_url": LDS, "stream": 1}
        made.says(f"{key}.opened", "agent.stream_opened", after, stream=1)
        made.says(f"{key}.asked", "envoy.subscribe", (f"{key}.opened",), **asking)
        made.says(f"{key}.heard", "discovery.subscribe", (f"{key}.opened",), **asking)
        after = (f"{key}.asked", f"{key}.heard")
    made.says(
        f"{key}.pushed",
        "discovery.push",
        after,
        reason="request" if asked else "push",
        resources=[listener["name"]],
        payloads={"sent": [listener]},
        **stream,
    )
    made.says(
        f"{key}.forward", "agent.forward", (f"{key}.pushed",), stream=1, payloads={"forwarded": [listener]}, **stream
    )
    made.says(f"{key}.envoy", "envoy.ack", (f"{key}.forward",), **stream)
    made.says(f"{key}.discovery", "discovery.ack", (f"{key}.forward",), **stream)
    made.says(f"{key}.acked", "run.step", (f"{key}.envoy", f"{key}.discovery"))


def _extension(made: Recording, push: int, key: str, image: str, blocked: str, *, after: tuple[str, ...]) -> None:
    stream = {"node_id": NODE, "type_url": ECDS, "nonce": made.nonce(push, "ecds"), "version_info": made.version(push)}
    subject = {"plugin": PLUGIN, "image": image, "resource": RESOURCE}
    module = {"node_id": NODE, "nonce": made.nonce(push, "ecds"), **subject}
    if push == 2:
        asking = {"node_id": NODE, "type_url": ECDS, "names": [RESOURCE], "stream": 1}
        made.says(f"{key}.asked", "envoy.subscribe", (f"{key}.lds.forward",), **asking)
        after = (*after, f"{key}.asked")
    before = _wasm(blocked, {"remote": {"http_uri": {"uri": image}}}, version=str(push))
    file = f"/tmp/ecdsim-{made.token}/modules/{_hash('url')}/{_hash(image)}.wasm"
    behind = _wasm(blocked, {"local": {"filename": file}}, version=None)
    made.says(
        f"{key}.pushed",
        "discovery.push",
        after,
        reason="request" if push == 2 else "push",
        resources=[RESOURCE],
        images={PLUGIN: image},
        payloads={"sent": [before]},
        **stream,
    )
    made.says(f"{key}.intercept", "agent.intercept", (f"{key}.pushed",), stream=1, **stream)
    made.says(f"{key}.fetch", "agent.fetch", (f"{key}.intercept",), span="completed", **module)
    made.says(f"{key}.unpack", "agent.unpack", (f"{key}.fetch",), span="completed", **module)
    made.says(
        f"{key}.rewrite",
        "agent.rewrite",
        (f"{key}.unpack",),
        span="completed",
        payloads={"before": before, "after": behind},
        **module,
    )
    made.says(f"{key}.deliver", "agent.deliver", (f"{key}.rewrite",), payloads={"delivered": [behind]}, **stream)
    made.says(f"{key}.compile", "envoy.compile", (f"{key}.deliver",))
    for worker in (0, 1):
        made.says(f"{key}.worker{worker}", "envoy.worker_ready", (f"{key}.compile",), worker=worker)
    made.says(f"{key}.envoy", "envoy.ack", (f"{key}.deliver",), names=[RESOURCE], stream=1, **stream)
    made.says(f"{key}.discovery", "discovery.ack", (f"{key}.deliver",), **stream)
    made.says(f"{key}.acked", "run.step", (f"{key}.envoy", f"{key}.discovery"))


def _wasm(blocked: str, code: dict[str, Any], version: str | None) -> dict[str, Any]:
    machine: dict[str, Any] = {"code": code}
    if version is not None:
        machine["environment_variables"] = {"key_values": {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": version}}
    configuration = {"value": json.dumps({"block_urls": [blocked]})}
    return {"name": RESOURCE, "typed_config": {"config": {"configuration": configuration, "vm_config": machine}}}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _rollout(apply: Event, number: int) -> Rollout:
    facts: dict[str, Any] = {
        "plugin": PLUGIN,
        "t_ns": apply.t_ns,
        "change": "image" if number else "add",
        "from": f"{IMAGE}1.0.0" if number else None,
        "to": apply.image,
        "stages_ms": Stages(convert=0.2, mcp=0.9, debounce=100.1, push=1.5, load=60.0),
        "effective_ms": 162.7,
        "settled_ms": 165.0,
        "workers": [WorkerSwitch(worker=worker, ready_ms=160.0) for worker in (0, 1)],
        "acked": True,
        "nacked": False,
        "cached": False,
        "listener_updates": 0 if number else 1,
    }
    return Rollout(**facts)


def _result(rollouts: list[Rollout], **changes: Any) -> dict[str, Any]:
    made = Result(
        scenario="tag-bump",
        profile="higress",
        outcome="passed",
        environment=Environment(ecdsim="0", envoy="1.40.0", python="3", workers=2),
        rollouts=rollouts,
        gateways={"gateway": GatewayState(ready=True, running=True, workers=2)},
    )
    return made.model_copy(update=changes).to_json()

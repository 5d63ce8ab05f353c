"""Which change a wait is for, on traces written by hand."""

from __future__ import annotations

from typing import Any

from sim.manifests import Manifest, manifest_from
from sim.model import ECDS, Node, gateway_node
from sim.profiles import load_profile
from sim.scenario.awaited import Awaited, PluginChange, awaited, is_for
from sim.scenario.follow import GatewayRecord
from sim.scenario.rollouts import Attribution
from sim.trace import Trace

PLUGIN = "higress-system/a"
IMAGE = "oci://registry.local/plugins/a:"
WASM_PLUGIN = "extensions.istio.io/v1alpha1/WasmPlugin"


def manifest(api: str = "extensions.higress.io/v1alpha1", **spec: Any) -> Manifest:
    metadata = {"name": "a", "namespace": "higress-system"}
    content = {"apiVersion": api, "kind": "WasmPlugin", "metadata": metadata, "spec": {"url": f"{IMAGE}1", **spec}}
    return manifest_from(content, "a.yaml")


class Story:
    """A trace, and what steps made of the plugin."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.made: list[PluginChange] = []
        self.alike: set[int] = set()
        self._pushes = 0

    def step(self, *, deleted: bool = False) -> None:
        self.made.append(PluginChange(len(self.trace.events), None if deleted else manifest()))

    def read(self, tag: str, change: str = "configured", outcome: str = "converted") -> int:
        applied = self.trace.emit("core.apply", plugin=PLUGIN, image=IMAGE + tag, change=change)
        if change != "deleted":
            self.trace.emit("core.convert", span="completed", plugin=PLUGIN, outcome=outcome)
        return applied.seq

    def sent(self, *changed: str, reason: str = "push", received: tuple[str, ...] | None = None) -> None:
        """Core's state goes to Discovery, which finds `received` changed in it."""
        self._pushes += 1
        version, found = str(self._pushes), list(changed if received is None else received)
        self.trace.emit(
            "core.mcp_push", type_url=WASM_PLUGIN, version_info=version, reason=reason, changed=list(changed)
        )
        self.trace.emit("discovery.received", type_url="WasmPlugin", version_info=version, changed=found, removed=[])

    def pushed(self) -> None:
        nonce = f"n{self._pushes}"
        self.trace.emit("discovery.debounce", span="completed")
        push: dict[str, Any] = {"type_url": ECDS, "nonce": nonce, "version_info": nonce}
        self.trace.emit("discovery.push", images={PLUGIN: "x"}, **push)
        self.trace.emit("envoy.ack", **push)

    def in_force(self, tag: str) -> int:
        self.step()
        seq = self.read(tag)
        self.sent(PLUGIN)
        self.pushed()
        return seq

    def now(self) -> Awaited | None:
        attribution = Attribution({f"{IMAGE}{tag}": tag for tag in "123"}, {PLUGIN: "x-a"})
        return awaited(self.trace.events, PLUGIN, self.made, self.alike, attribution, [GatewayRecord()])


def test_while_core_is_down_the_change_before_is_not_mistaken_for_the_latest() -> None:
    story = Story()
    story.in_force("1")
    story.step()
    assert story.now() is None


def test_what_core_reads_at_its_start_is_the_change_made_while_it_was_down() -> None:
    story = Story()
    story.in_force("1")
    story.step()
    story.trace.emit("run.start", span="started", target="core")
    story.read("2", "listed")
    story.sent(reason="request", received=(PLUGIN,))
    now = story.now()
    assert now is not None
    (subject,) = now.subjects
    assert (subject.version, subject.attributable, subject.trail.verdict) == ("2", True, None)
    story.pushed()
    now = story.now()
    assert now is not None
    assert now.subjects[0].trail.acked and not now.same


def test_a_restart_of_core_alone_leaves_the_change_before_the_latest() -> None:
    story = Story()
    first = story.in_force("1")
    story.read("1", "listed")
    now = story.now()
    assert now is not None
    assert [subject.trail.apply.seq for subject in now.subjects] == [first]


def test_a_plugin_deleted_while_core_was_down_is_removed_by_its_first_state() -> None:
    story = Story()
    story.in_force("1")
    story.step(deleted=True)
    assert story.now() is None
    story.trace.emit("run.start", span="started", target="core")
    story.sent(reason="request", received=(PLUGIN,))
    now = story.now()
    assert now is not None
    assert [subject.change for subject in now.subjects] == ["remove"]
    assert now.subjects[0].trail.received is not None


def test_an_edit_that_core_converts_to_the_same_waits_for_the_change_before() -> None:
    story = Story()
    story.in_force("1")
    story.step()
    bump = story.read("2")
    story.step()
    story.alike.add(story.read("2"))
    story.sent(PLUGIN)
    now = story.now()
    assert now is not None and now.same
    assert [(s.trail.apply.seq, s.trail.acked) for s in now.subjects] == [(bump, False)]
    story.pushed()
    now = story.now()
    assert now is not None and now.subjects[0].trail.acked


def test_two_changes_that_cancel_out_in_one_message_leave_the_one_in_force() -> None:
    story = Story()
    first = story.in_force("1")
    story.step()
    story.read("2")
    story.step()
    story.read("1")
    assert story.now() is not None
    story.sent(PLUGIN, received=())
    now = story.now()
    assert now is not None and now.same
    assert [(s.trail.apply.seq, s.trail.acked) for s in now.subjects] == [(first, True)]


def test_a_change_that_discovery_refuses_is_not_taken_for_none() -> None:
    story = Story()
    story.in_force("1")
    story.step()
    bump = story.read("2")
    story.trace.emit("core.mcp_push", type_url=WASM_PLUGIN, version_info="9", reason="push", changed=[PLUGIN])
    story.trace.emit(
        "discovery.received", type_url="WasmPlugin", version_info="9", changed=[], removed=[], refused={PLUGIN: "x"}
    )
    now = story.now()
    assert now is not None and not now.same
    assert [subject.trail.apply.seq for subject in now.subjects] == [bump]


def test_disabling_what_never_was_leaves_nothing_to_wait_for() -> None:
    story = Story()
    story.step()
    story.alike.add(story.read("1", "created", "disabled"))
    assert story.now() == Awaited([], same=True)


def node(**labels: str) -> Node:
    return gateway_node(labels=labels)


def test_an_istio_plugin_is_for_the_gateways_that_it_selects_and_a_higress_one_for_all() -> None:
    profile = load_profile("higress")
    chosen = manifest("extensions.istio.io/v1alpha1", selector={"matchLabels": {"ring": "canary"}})
    assert is_for(chosen, node(ring="canary"), 80, profile)
    assert not is_for(chosen, node(ring="stable"), 80, profile)
    assert is_for(manifest(), node(ring="stable"), 80, profile)

"""Which events belong to which change, on traces written by hand."""

from __future__ import annotations

from typing import Any

from sim.model import ECDS, LDS
from sim.scenario.follow import GatewayRecord, Trail, changes, follow
from sim.scenario.rollouts import Attribution, rollouts, subjects
from sim.trace import Trace

A, B = "ns/a", "ns/b"


class Story:
    """A trace, told in milliseconds."""

    def __init__(self) -> None:
        self.trace = Trace()
        #: By the plugin, what it was last changed to.
        self.images: dict[str, str] = {}

    def at(self, ms: float, event: str, **fields: Any) -> None:
        self.trace.emit(event, t_ns=round(ms * 1e6), **fields)

    def applied(self, ms: float, plugin: str, image: str, change: str = "configured") -> None:
        self.images[plugin] = image
        self.at(ms, "core.apply", plugin=plugin, image=image, change=change)
        self.at(ms + 0.1, "core.convert", span="completed", plugin=plugin)
        self.at(ms + 0.2, "core.mcp_push", changed=[plugin])
        self.at(ms + 0.5, "discovery.received", changed=[plugin], removed=[])

    def debounced(self, ms: float) -> None:
        self.at(ms, "discovery.debounce", span="completed")
        self.at(ms + 0.1, "discovery.push", type_url=LDS, nonce=f"lds-{ms}")
        self.at(ms + 0.2, "envoy.ack", type_url=LDS, nonce=f"lds-{ms}")

    def pushed(self, ms: float, nonce: str, *plugins: str, pulled: tuple[str, ...] = ()) -> None:
        names = [plugin.replace("/", ".") for plugin in plugins]
        self.at(
            ms, "discovery.push", type_url=ECDS, nonce=nonce, version_info=nonce, resources=names,
            images=dict.fromkeys(plugins, "oci://x"),
        )  # fmt: skip
        self.at(ms + 0.5, "agent.intercept", type_url=ECDS, nonce=nonce)
        for plugin in plugins:
            common = {"nonce": nonce, "plugin": plugin, "resource": plugin.replace("/", ".")}
            if plugin in pulled:
                self.at(ms + 1, "agent.fetch", span="completed", **common)
                self.at(ms + 1.2, "agent.unpack", span="completed", **common)
            self.at(ms + 1.3, "agent.rewrite", span="completed", image=self.images.get(plugin), **common)
        self.at(ms + 1.5, "agent.deliver", type_url=ECDS, nonce=nonce)

    def trails(self) -> list[Trail]:
        return [follow(self.trace.events, apply) for apply in changes(self.trace.events)]


def ready_ms(trail: Trail) -> dict[int, float]:
    return {worker: event.t_ns / 1e6 for worker, event in trail.workers.items()}


def test_the_first_of_two_plugins_is_acked_by_a_request_that_asks_for_the_second() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(1, B, "oci://b:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.pushed(103, "n2", A, B, pulled=(B,))
    story.at(190, "envoy.stale", type_url=ECDS, nonce="n1", version_info="n1", names=["ns.a", "ns.b"])
    story.at(200, "envoy.ack", type_url=ECDS, nonce="n2", version_info="n2", names=["ns.a", "ns.b"])
    first, second = story.trails()
    assert first.acked and not first.nacked
    assert second.acked and not second.nacked


def test_a_subscription_with_an_older_version_is_no_ack() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.at(105, "envoy.stale", type_url=ECDS, nonce="n1", version_info="n0", names=["ns.a"])
    (trail,) = story.trails()
    assert trail.verdict is None


def test_each_worker_takes_the_modules_in_the_order_of_compilation() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(1, B, "oci://b:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.pushed(105, "n2", A, B, pulled=(B,))
    # A is large: it is being compiled when B is delivered, and B's compilation begins before A's workers are told of.
    story.at(104, "envoy.compile")
    story.at(170, "envoy.compile")
    story.at(171, "envoy.worker_ready", worker=0)
    story.at(172, "envoy.worker_ready", worker=1)
    story.at(175, "envoy.worker_ready", worker=1)
    story.at(176, "envoy.worker_ready", worker=0)
    first, second = story.trails()
    assert ready_ms(first) == {0: 171, 1: 172}
    assert ready_ms(second) == {0: 176, 1: 175}


def test_a_refused_module_takes_no_worker_from_the_next() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.at(104, "envoy.compile")
    story.at(110, "envoy.nack", type_url=ECDS, nonce="n1", error="no")
    story.applied(200, A, "oci://a:2")
    story.debounced(301)
    story.pushed(302, "n2", A, pulled=(A,))
    story.at(304, "envoy.compile")
    story.at(310, "envoy.worker_ready", worker=0)
    first, second = story.trails()
    assert first.nacked and first.workers == {}
    assert ready_ms(second) == {0: 310}


def test_a_change_that_another_overtook_in_the_debounce_was_never_pushed() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(20, A, "oci://a:2")
    story.debounced(121)
    story.pushed(122, "n1", A, pulled=(A,))
    first, second = story.trails()
    assert first.superseded and first.push is None and first.fetch is None
    assert not second.superseded and second.push is not None


def test_a_removal_does_not_take_the_events_of_the_plugin_that_comes_back() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.at(200, "core.apply", plugin=A, image="oci://a:1", change="deleted")
    story.at(200.2, "core.mcp_push", changed=[A])
    story.at(200.5, "discovery.received", changed=[], removed=[A])
    story.debounced(301)
    story.applied(400, A, "oci://a:1", "created")
    story.debounced(501)
    story.pushed(502, "n2", A)
    _, removal, back = story.trails()
    assert removal.push is None and removal.deliver is None
    assert removal.listener_ack is not None and not removal.superseded
    assert back.push is not None


def test_plugins_of_one_push_share_its_listener_update() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(1, B, "oci://b:1", "created")
    story.debounced(101)
    applies = changes(story.trace.events)
    counts = [(applies[0].seq, 3), (applies[1].seq, 3)]
    made = rollouts(
        story.trace.events, [], Attribution({}), [GatewayRecord(workers=2, listener_counts=counts, listener_total=4)]
    )
    assert [rollout.listener_updates for rollout in made] == [1, 1]


def test_a_new_plugin_that_was_replaced_can_not_be_seen_by_traffic() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A)
    story.at(103, "agent.replace", plugin=A, nonce="n1", replacement="deny_all", error="404")
    (subject,) = subjects(story.trace.events, Attribution({"oci://a:1": "1"}, headers={A: "x-version"}))
    assert not subject.attributable


def test_each_gateway_has_a_rollout_of_its_own_and_only_where_the_plugin_went() -> None:
    east, west = GatewayRecord("east", "node-east", workers=1), GatewayRecord("west", "node-west", workers=1)
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.at(101, "discovery.debounce", span="completed")
    for gateway, at_ms, images in ((east, 102, {A: "oci://a:1"}), (west, 103, {})):
        nonce = f"n-{gateway.name}"
        common = {"type_url": ECDS, "nonce": nonce, "version_info": "v1"}
        story.at(at_ms, "discovery.push", node_id=gateway.node_id, images=images, resources=list(images), **common)
        story.at(at_ms + 1, "agent.intercept", gateway=gateway.name, **common)
        story.at(at_ms + 2, "envoy.ack", gateway=gateway.name, **common)
    made = rollouts(story.trace.events, [], Attribution({}), [east, west])
    assert [(rollout.gateway, rollout.acked) for rollout in made] == [("east", True)]
    story.applied(200, A, "oci://a:1", "deleted")
    made = rollouts(story.trace.events, [], Attribution({}), [east, west])
    assert [(rollout.change, rollout.gateway) for rollout in made] == [("add", "east"), ("remove", "east")]


def test_what_core_finds_when_it_starts_again_is_no_change() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(500, A, "oci://a:1", "listed")
    assert [trail.apply.t_ns for trail in story.trails()] == [0]


def test_modules_belong_to_the_plugins_that_envoys_log_names_whatever_the_order() -> None:
    story = Story()
    names = ("ns/a", "ns/b", "ns/c", "ns/d")
    for name in names:
        story.applied(0, name, f"oci://{name}:1", "created")
    story.debounced(101)
    # Envoy asks for one more with each request, and all are delivered before the first is compiled.
    for number in range(1, 5):
        story.pushed(102 + number, f"n{number}", *names[:number], pulled=names[:number])
    for module, (name, at_ms) in enumerate((("ns/a", 110), ("ns/c", 200), ("ns/d", 300), ("ns/b", 400)), 1):
        story.at(at_ms, "envoy.compile", plugin=name, module=module)
        story.at(at_ms + 50, "envoy.worker_ready", plugin=name, module=module, worker=1)
        story.at(at_ms + 51, "envoy.worker_ready", plugin=name, module=module, worker=0)
    assert [ready_ms(trail) for trail in story.trails()] == [
        {1: 160, 0: 161},
        {1: 450, 0: 451},
        {1: 250, 0: 251},
        {1: 350, 0: 351},
    ]


def test_a_change_that_compiles_nothing_has_no_workers_while_another_plugin_is_compiled() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.applied(1, B, "oci://b:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, B, pulled=(B,))
    story.at(110, "envoy.compile", plugin=B, module=1)
    story.at(120, "envoy.worker_ready", plugin=B, module=1, worker=0)
    story.at(130, "envoy.ack", type_url=ECDS, nonce="n1", version_info="n1")
    first, second = story.trails()
    assert first.acked and first.workers == {}
    assert ready_ms(second) == {0: 120}


def test_an_image_that_waits_behind_another_of_the_same_plugin_has_its_own_module() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.pushed(102, "n1", A, pulled=(A,))
    story.applied(110, A, "oci://a:2")
    story.debounced(211)
    story.pushed(212, "n2", A, pulled=(A,))
    # The main thread was busy: it takes both up late, and answers for both at once.
    story.at(300, "envoy.compile", plugin=A, module=1)
    story.at(310, "envoy.worker_ready", plugin=A, module=1, worker=0)
    story.at(320, "envoy.compile", plugin=A, module=2)
    story.at(330, "envoy.worker_ready", plugin=A, module=2, worker=0)
    story.at(331, "envoy.stale", type_url=ECDS, nonce="n1", version_info="n1")
    story.at(332, "envoy.ack", type_url=ECDS, nonce="n2", version_info="n2")
    assert [ready_ms(trail) for trail in story.trails()] == [{0: 310}, {0: 330}]


def test_a_refusal_quotes_what_the_plugin_and_envoy_complained_of_and_nobody_else() -> None:
    story = Story()
    story.applied(0, A, "oci://a:1", "created")
    story.debounced(101)
    story.at(101.5, "envoy.log", level="error", text="wasm log: of the past", plugin=A)
    story.pushed(102, "n1", A, pulled=(A,))
    story.at(104, "envoy.compile", plugin=A, module=1)
    story.at(105, "envoy.log", level="warning", text="wasm log: unknown key", plugin=A)
    story.at(106, "envoy.log", level="error", text="wasm log: it has to be a list\nof strings", plugin=A)
    story.at(106, "envoy.log", level="error", text="wasm log: it has to be a list", plugin=A)
    story.at(106, "envoy.log", level="error", text="wasm log: it has to be a list", plugin=A, worker=1)
    story.at(106, "envoy.log", level="error", text="wasm log: not mine", plugin=B)
    story.at(
        107, "envoy.log", level="error", text="Failed to load Wasm module due to a missing import: env.x", plugin=A
    )
    story.at(107, "envoy.log", level="error", text="Wasm VM failed Failed to configure base Wasm plugin", plugin=A)
    story.at(107, "envoy.log", level="critical", text="Plugin ns.a failed to load", plugin=A)
    story.at(108, "envoy.log", level="warning", text="rejected: no", component="config", plugin=A)
    story.at(110, "envoy.nack", type_url=ECDS, nonce="n1", error="no")
    (made,) = rollouts(story.trace.events, [], Attribution({}), [GatewayRecord(workers=1)])
    assert made.error == (
        "no: unknown key; it has to be a list; Failed to load Wasm module due to a missing import: env.x"
    )

from __future__ import annotations

from typing import Any

from sim.core import Controller, CoreOptions, Key, Store, as_json
from sim.manifests import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN, Manifest, manifest_from
from sim.trace import Event, Trace


class World:
    """A store, the controller on it, and what its listener heard."""

    def __init__(self, *manifests: Manifest) -> None:
        self.store = Store()
        for manifest in manifests:
            self.store.apply(manifest)
        self.trace = Trace()
        self.controller = Controller(self.store, CoreOptions(), self.trace)
        self.heard: list[tuple[set[str], set[str]]] = []
        self.controller.listen(lambda kinds, plugins: self.heard.append((set(kinds), set(plugins))))

    def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            self.store.apply(manifest)

    def specs(self) -> dict[str, Any]:
        return {found.name: as_json(found.body) for found in self.controller.resources("WasmPlugin")}

    def configs(self) -> dict[str, Any]:
        return {name: spec.get("pluginConfig") for name, spec in self.specs().items()}

    def events(self, name: str) -> list[Event]:
        return [event for event in self.trace if event.event == name]


def plugin(
    spec: dict[str, Any], name: str = "demo", namespace: str = "higress-system", api: str = HIGRESS_WASM
) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return manifest_from({"apiVersion": api, "kind": WASM_PLUGIN, "metadata": metadata, "spec": spec}, "test")


def secret(token: str, namespace: str = "higress-system") -> Manifest:
    metadata = {"name": "creds", "namespace": namespace}
    content = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}
    return manifest_from(content, "test")


BAD = {"url": "oci://r/p:2", "matchRules": [{"config": {"n": 1}}]}
KEY = Key(HIGRESS_WASM, WASM_PLUGIN, "higress-system", "demo")
USES_SECRET = {"url": "oci://r/p:1", "defaultConfig": {"k": "${secret.creds.token}"}}


def test_a_change_is_traced_with_both_sides_of_the_conversion() -> None:
    world = World()
    world.apply(plugin({"url": "oci://r/p:1", "defaultConfig": {"k": 1}}))
    applied = world.events("core.apply")[0]
    started, completed = world.events("core.convert")
    assert (applied.plugin, applied.version_info, applied.data) == (
        "higress-system/demo",
        "1",
        {"change": "created"},
    )
    assert applied.type_url == "extensions.higress.io/v1alpha1/WasmPlugin"
    assert (started.span, completed.span) == ("started", "completed")
    assert (completed.plugin, completed.image) == ("higress-system/demo", "oci://r/p:1")
    assert completed.payloads["before"].render()["spec"]["defaultConfig"] == {"k": 1}
    after = completed.payloads["after"].render()
    assert after["apiVersion"] == "extensions.istio.io/v1alpha1"
    assert after["spec"]["pluginConfig"] == {"k": 1}


def test_a_failed_update_keeps_the_previous_conversion_and_tells_nobody() -> None:
    world = World()
    world.apply(plugin({"url": "oci://r/p:1"}))
    before = world.controller.revision
    world.heard.clear()
    world.apply(plugin(BAD))
    failed = world.events("core.convert")[-1]
    assert failed.span == "failed"
    assert failed.data["error"].startswith("invalid match rule has no match condition, rule:")
    assert failed.data["kept_previous"] is True
    assert world.specs()["higress-system/demo"]["url"] == "oci://r/p:1"
    assert (world.heard, world.controller.revision) == ([], before)


def test_a_disabled_plugin_is_taken_away() -> None:
    world = World(plugin({"url": "oci://r/p:1"}))
    world.apply(plugin({"url": "oci://r/p:1", "defaultConfigDisable": True}))
    assert world.specs() == {}
    assert world.heard == [({"WasmPlugin"}, {"higress-system/demo"})]
    assert world.events("core.convert")[-1].data["outcome"] == "disabled"


def test_an_edit_without_an_effect_on_the_conversion_tells_nobody() -> None:
    world = World(plugin({"pluginConfig": {"a": 1}}))
    world.apply(plugin({"pluginConfig": {"a": 1}, "defaultConfig": {"ignored": 1}}))
    assert world.heard == []
    assert world.events("core.convert")[-1].span == "completed"


def test_another_namespace_is_seen_and_ignored() -> None:
    world = World()
    world.apply(plugin({"url": "oci://r/p:1"}, namespace="team-a"))
    assert world.events("core.apply")[0].data["ignored"] == "only the namespace higress-system is read"
    assert world.events("core.convert") == []
    assert world.specs() == {}


def test_an_istio_plugin_is_passed_on_from_any_namespace() -> None:
    world = World()
    spec = {"url": "oci://r/p:1", "selector": {"matchLabels": {"app": "x"}}, "failStrategy": "FAIL_RELOAD"}
    world.apply(plugin(spec, namespace="team-a", api=ISTIO_WASM))
    assert world.specs() == {"team-a/demo": spec}
    (listed,) = world.controller.resources("WasmPlugin")
    stored = world.store.get(Key(ISTIO_WASM, WASM_PLUGIN, "team-a", "demo"))
    assert stored is not None
    assert listed.create_time == stored.creation_timestamp


def test_objects_that_were_there_before_are_read_at_the_start() -> None:
    world = World(plugin({"url": "oci://r/p:1"}), secret("s"))
    assert list(world.specs()) == ["higress-system/demo"]


def test_after_close_the_store_is_no_longer_followed() -> None:
    world = World()
    world.controller.close()
    world.apply(plugin({"url": "oci://r/p:1"}))
    assert world.specs() == {}


def test_deleting_what_is_not_listed_tells_nobody() -> None:
    world = World()
    world.apply(plugin(BAD))
    world.store.delete(KEY)
    assert world.heard == []


def test_a_used_secret_s_change_reaches_the_plugin() -> None:
    world = World(secret("one"), plugin(USES_SECRET))
    assert world.configs() == {"higress-system/demo": {"k": "one"}}
    world.apply(secret("two"))
    assert world.configs() == {"higress-system/demo": {"k": "two"}}
    assert world.heard == [({"WasmPlugin"}, {"higress-system/demo"})]


def test_a_secret_that_comes_late_counts_from_the_next_change_of_a_plugin() -> None:
    world = World(plugin(USES_SECRET))
    world.apply(secret("one"))
    assert world.configs() == {"higress-system/demo": {"k": "${secret.creds.token}"}}
    world.apply(plugin({"url": "oci://r/q:1"}, name="other"))
    assert world.configs()["higress-system/demo"] == {"k": "one"}
    assert world.heard == [({"WasmPlugin"}, {"higress-system/demo", "higress-system/other"})]


def test_a_missing_secret_is_one_failure_in_the_trace_and_leaves_the_placeholder() -> None:
    world = World(plugin(USES_SECRET))
    world.apply(plugin({"url": "oci://r/q:1"}, name="other"))
    failed = [event for event in world.events("core.template") if event.span == "failed"]
    assert [(event.plugin, event.data["error"]) for event in failed] == [
        (
            "higress-system/demo",
            "failed to get secret value for higress-system/creds.token: secret higress-system/creds not found",
        )
    ]


def test_a_deleted_secret_puts_the_placeholder_back() -> None:
    world = World(secret("one"), plugin(USES_SECRET))
    world.store.delete(Key("v1", "Secret", "higress-system", "creds"))
    assert world.configs() == {"higress-system/demo": {"k": "${secret.creds.token}"}}


def test_an_unused_secret_tells_nobody() -> None:
    world = World(plugin({"url": "oci://r/p:1"}))
    world.apply(secret("one"))
    assert world.heard == []

"""A configuration dump read as a plugin chain: order, phases, configuration, and what can't be taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.errors import InvalidInput
from sim.scenario.dump_import import import_dump

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"


def extension(name: str, **config: Any) -> dict[str, Any]:
    return {"ecds_filter": {"name": name, "typed_config": {"@type": WASM, "config": config}}}


def dump(*filters: str, extensions: list[dict[str, Any]]) -> dict[str, Any]:
    """Filters with a dot that are no `envoy.…` are plugins."""
    http_filters = [
        {"name": name} if name.startswith("envoy.filters") else {"name": name, "config_discovery": {}}
        for name in filters
    ]
    manager = {"typed_config": {"http_filters": http_filters}}
    listener = {"active_state": {"listener": {"filter_chains": [{"filters": [manager]}]}}}
    return {
        "configs": [
            {"@type": "x.ListenersConfigDump", "dynamic_listeners": [listener]},
            {"@type": "x.EcdsConfigDump", "ecds_filters": extensions},
        ]
    }


def local(name: str) -> dict[str, Any]:
    return {"vm_config": {"code": {"local": {"filename": f"/data/ab/{name}.wasm"}}}}


def test_plugins_come_in_the_order_of_the_chain_with_what_they_do_when_they_fail() -> None:
    found = import_dump(
        dump(
            "extensions.istio.io/wasmplugin/ns.first",
            "extensions.istio.io/wasmplugin/ns.second",
            "envoy.filters.http.router",
            extensions=[
                extension("extensions.istio.io/wasmplugin/ns.second", failure_policy="FAIL_OPEN", **local("bb")),
                extension(
                    "extensions.istio.io/wasmplugin/ns.first",
                    configuration={"value": '{"a": 1}'},
                    vm_config={"code": {"remote": {"http_uri": {"uri": "oci://r.example/p:1"}, "sha256": "aa"}}},
                ),
            ],
        ),
        {},
    )
    assert found.profile == "istio-1.27"
    assert [(p.key, p.priority, p.config, p.fails_open, p.reference) for p in found.plugins] == [
        ("ns/first", 20, {"a": 1}, False, "r.example/p:1"),
        ("ns/second", 10, None, True, "registry.local/imported/second:bb"),
    ]


def test_an_image_can_be_named_and_a_module_be_at_hand(tmp_path: Path) -> None:
    (tmp_path / "cc.wasm").write_bytes(b"\0asm\1\0\0\0")
    found = import_dump(
        dump("ns.one", extensions=[extension("ns.one", **local("cc"))]), {"ns/one": "hub.example/one:3"}, tmp_path
    )
    (plugin,) = found.plugins
    assert (found.profile, plugin.reference, plugin.module) == ("higress", "hub.example/one:3", tmp_path / "cc.wasm")
    assert found.remarks == []


@pytest.mark.parametrize(
    ("extensions", "told"),
    [
        ([], "not in the extension configurations"),
        ([{"ecds_filter": {"name": "ns.one", "typed_config": {"@type": "x.RBAC"}}}], "is no Wasm but RBAC"),
    ],
)
def test_a_chain_without_any_plugin_is_refused_with_the_reason(extensions: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        import_dump(dump("ns.one", extensions=extensions), {})
    assert told in str(refused.value)


def test_a_configuration_that_is_no_object_is_left_out_and_said() -> None:
    found = import_dump(dump("ns.one", extensions=[extension("ns.one", configuration={"value": "plain"})]), {})
    assert found.plugins[0].config is None
    assert any("no JSON" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "broken",
    [
        {"configs": [1, None]},
        {"configs": 1},
        {"configs": [{"@type": "x.ListenersConfigDump", "dynamic_listeners": [7]}]},
        {"configs": [{"@type": "x.ListenersConfigDump", "dynamic_listeners": [{"active_state": {"listener": []}}]}]},
    ],
)
def test_what_envoy_would_never_dump_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="config_dump"):
        import_dump(broken, {})


def test_an_image_of_a_plugin_that_is_not_in_the_dump_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no plugin ns/two") as refused:
        import_dump(dump("ns.one", extensions=[extension("ns.one")]), {"ns/two": "r.example/p:1"})
    assert "ns/one" in str(refused.value)

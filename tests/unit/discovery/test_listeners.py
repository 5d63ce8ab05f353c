"""Which plugins stand in a gateway's listeners, where, and when a listener stays what it was."""

from __future__ import annotations

from typing import Any

import pytest

from sim.discovery.gateway import ListenerFactory
from sim.discovery.state import Configuration
from sim.model import ECDS, LDS, RDS, Node
from sim.profiles import load_profile
from tests.unit.discovery.worlds import (
    GATEWAY,
    NODE,
    answered,
    configuration,
    mcp_resource,
    plugin_names,
    push_context,
)

URL = "oci://r.example/p:1.0.0"
LISTENER = "0.0.0.0_18080"


def plugins(**specs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """WasmPlugins of the gateway's namespace by their names."""
    return {f"higress-system/{name}": {"url": URL, **spec} for name, spec in specs.items()}


def chain(specs: dict[str, dict[str, Any]], profile: str = "istio-1.27", port: int = 18080) -> list[str]:
    held = configuration(Gateway=GATEWAY, WasmPlugin=specs)
    listener = answered(push_context(held, profile), LDS)[f"0.0.0.0_{port}"]
    return [name.rpartition(".")[2] for name in plugin_names(listener)]


class Gateway:
    """One factory through many pushes, as Discovery has it."""

    def __init__(self, profile: str = "istio-1.27") -> None:
        self.profile = profile
        self.factory = ListenerFactory(load_profile(profile), "127.0.0.1")
        self.held = configuration(Gateway=GATEWAY)

    def listener(self, **specs: dict[str, Any]) -> Any:
        resources = [mcp_resource("WasmPlugin", name, spec) for name, spec in plugins(**specs).items()]
        self.held.replace("WasmPlugin", resources)
        answer = push_context(self.held, self.profile, listeners=self.factory).answer(NODE, LDS, None)
        assert answer is not None
        return answer.resources[0]


@pytest.mark.parametrize("profile", ["istio-1.27", "higress-1.19", "higress"])
@pytest.mark.parametrize(
    "change",
    [
        {"url": "oci://r.example/p:2.0.0"},
        {"pluginConfig": {"a": 1}},
        {"sha256": "0" * 64},
        {"imagePullPolicy": "Always"},
        {"vmConfig": {"env": [{"name": "A", "value": "b"}]}},
        {"pluginName": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_only_the_extension_holds_leaves_the_listeners_bytes_as_they_were(
    profile: str, change: dict[str, Any]
) -> None:
    gateway = Gateway(profile)
    before = gateway.listener(one={})
    assert gateway.listener(one=change).body == before.body


@pytest.mark.parametrize(
    "changed",
    [
        {"one": {}, "two": {}, "three": {}},
        {"one": {}},
        {},
        {"one": {}, "two": {"phase": "AUTHN"}},
        {"one": {}, "two": {"priority": 1}},
    ],
    ids=["added", "removed", "all removed", "phase", "priority"],
)
def test_what_changes_the_chain_changes_the_listener(changed: dict[str, dict[str, Any]]) -> None:
    gateway = Gateway()
    before = gateway.listener(one={}, two={})
    assert gateway.listener(**changed).body != before.body


def test_a_rollback_has_the_bytes_it_had_and_nothing_is_built_for_it() -> None:
    gateway = Gateway()
    before = gateway.listener(one={})
    gateway.listener(one={}, two={})
    assert gateway.listener(one={}) is before


def test_the_failure_strategy_is_in_the_listener_where_it_chooses_the_default_configuration() -> None:
    for profile, differs in (("higress-1.19", True), ("istio-1.27", False)):
        gateway = Gateway(profile)
        closed = gateway.listener(one={"failStrategy": "FAIL_CLOSE"}).body
        assert (gateway.listener(one={"failStrategy": "FAIL_OPEN"}).body != closed) is differs


def test_the_listeners_that_are_remembered_are_bounded() -> None:
    gateway = Gateway()
    first = gateway.listener(p0={})
    for number in range(1, 40):
        gateway.listener(**{f"p{number}": {}})
    assert len(gateway.factory._made) == 32
    again = gateway.listener(p0={})
    assert again is not first
    assert again.body == first.body


def test_without_a_gateway_there_is_neither_listener_nor_route_but_the_extension_is_served() -> None:
    context = push_context(configuration(WasmPlugin=plugins(one={})))
    assert answered(context, LDS) == {}
    assert answered(context, RDS) == {}
    assert [name.rpartition(".")[2] for name in answered(context, ECDS)] == ["one"]


def test_a_gateway_of_other_pods_is_not_ours() -> None:
    others = {"higress-system/gateway": {**GATEWAY["higress-system/gateway"], "selector": {"app": "other"}}}
    assert answered(push_context(configuration(Gateway=others)), LDS) == {}


def test_a_port_has_one_listener_however_many_gateways_serve_it_and_https_has_none() -> None:
    def server(number: int, protocol: str) -> dict[str, Any]:
        return {"port": {"number": number, "protocol": protocol, "name": f"{protocol}-{number}"}, "hosts": ["*"]}

    gateways = {
        "higress-system/a": {"selector": {}, "servers": [server(80, "HTTP"), server(443, "HTTPS")]},
        "higress-system/b": {"selector": {}, "servers": [server(80, "http"), server(8080, "GRPC")]},
    }
    listeners = answered(push_context(configuration(Gateway=gateways)), LDS)
    assert list(listeners) == ["0.0.0.0_80", "0.0.0.0_8080"]
    assert listeners["0.0.0.0_80"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 80}


def test_plugins_stand_by_priority_the_highest_first_and_without_one_last() -> None:
    specs = plugins(none={}, low={"priority": 1}, high={"priority": 100}, zero={"priority": 0}, minus={"priority": -1})
    assert chain(specs) == ["high", "low", "zero", "minus", "none"]


def test_equal_priorities_stand_by_name() -> None:
    assert chain(plugins(b={}, a={}, c={"priority": 5}, d={"priority": 5})) == ["c", "d", "a", "b"]


def test_an_older_plugin_stands_before_a_younger_one() -> None:
    # Only plugins that were created as Istio's own have a time; those that Core converted count as the oldest.
    held = configuration(Gateway=GATEWAY)
    spec = {"url": URL}
    ages = {"a": 300, "b": 200, "c": 0}

    def names() -> list[str]:
        resources = [
            mcp_resource("WasmPlugin", f"higress-system/{name}", spec, created_s=age) for name, age in ages.items()
        ]
        held.replace("WasmPlugin", resources)
        listener = answered(push_context(held), LDS)[LISTENER]
        return [name.rpartition(".")[2] for name in plugin_names(listener)]

    assert names() == ["c", "b", "a"]
    # An age alone is no change, and counts from the next one on.
    ages["c"] = 400
    assert names() == ["c", "b", "a"]
    spec["pluginName"] = "other"
    assert names() == ["b", "a", "c"]


def test_a_plugin_of_the_root_namespace_counts_for_every_proxy_behind_the_proxys_own() -> None:
    specs = {**plugins(own={}, first={"priority": 1}), "istio-system/everyone": {"url": URL}}
    assert chain(specs) == ["first", "own", "everyone"]
    # The fork of 1.19 has them the other way round.
    assert chain(specs, "higress-1.19") == ["first", "everyone", "own"]


GATEWAY_API = "gateway.networking.k8s.io"


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        ({}, True),
        ({"selector": {"matchLabels": {"app": "other"}}}, False),
        ({"targetRef": {"group": GATEWAY_API, "kind": "Gateway", "name": "edge"}}, True),
        ({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "edge"}]}, True),
        ({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "other"}]}, False),
        ({"targetRefs": [{"group": "", "kind": "Service", "name": "edge"}]}, False),
        ({"targetRefs": [{"group": GATEWAY_API, "kind": "GatewayClass", "name": "edge"}]}, False),
    ],
    ids=str,
)
def test_a_proxy_of_the_gateway_api_is_found_by_its_gateways_name(spec: dict[str, Any], selected: bool) -> None:
    gateway = {**GATEWAY["higress-system/gateway"], "selector": {}}
    held = configuration(Gateway={"higress-system/gateway": gateway}, WasmPlugin=plugins(one=spec))
    node = Node(NODE.id, {f"{GATEWAY_API}/gateway-name": "edge"})
    listener = answered(push_context(held), LDS, node)[LISTENER]
    assert bool(plugin_names(listener)) is selected
    # Every other proxy passes over a plugin with a targetRef.
    other = answered(push_context(held), LDS, Node(NODE.id))[LISTENER]
    assert bool(plugin_names(other)) is (spec == {})


def test_a_plugin_of_another_namespace_does_not_count() -> None:
    specs = {"default/other": {"url": URL}}
    assert chain(specs) == []
    held = configuration(Gateway=GATEWAY, WasmPlugin=specs)
    assert answered(push_context(held), ECDS) == {}


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ({}, True),
        ({"higress": "higress-system-higress-gateway"}, True),
        ({"higress": "other"}, False),
        ({"higress": "higress-system-higress-gateway", "version": "2"}, False),
    ],
)
def test_a_selector_must_match_with_all_its_labels(labels: dict[str, str], selected: bool) -> None:
    specs = plugins(one={"selector": {"matchLabels": labels}})
    assert chain(specs) == (["one"] if selected else [])
    held = configuration(Gateway=GATEWAY, WasmPlugin=specs)
    assert bool(answered(push_context(held, "higress-1.19"), ECDS)) is selected
    # 1.27 serves it to whoever names it.
    assert answered(push_context(held, "istio-1.27"), ECDS)


@pytest.mark.parametrize(
    ("match", "selected"),
    [
        ([], True),
        ([{}], True),
        ([{"mode": "CLIENT"}], True),
        ([{"mode": "CLIENT_AND_SERVER"}], True),
        ([{"mode": "SERVER"}], False),
        ([{"ports": [{"number": 18080}]}], True),
        ([{"ports": [{"number": 18080}, {"number": 1}]}], True),
        ([{"ports": [{"number": 443}]}], False),
        ([{"ports": [{"number": 0}]}], False),
        ([{"mode": "SERVER", "ports": [{"number": 18080}]}], False),
        ([{"mode": "SERVER"}, {"mode": "CLIENT"}], True),
    ],
    ids=str,
)
def test_a_gateway_is_a_client_at_its_port(match: list[dict[str, Any]], selected: bool) -> None:
    assert chain(plugins(one={"match": match})) == (["one"] if selected else [])


def test_a_plugin_for_one_port_stands_in_that_ports_listener_alone() -> None:
    servers = [
        {"port": {"number": number, "protocol": "HTTP", "name": f"http-{number}"}, "hosts": ["*"]}
        for number in (80, 8080)
    ]
    held = configuration(
        Gateway={"higress-system/gateway": {"selector": {}, "servers": servers}},
        WasmPlugin=plugins(one={"match": [{"ports": [{"number": 8080}]}]}, every={}),
    )
    listeners = answered(push_context(held), LDS)
    assert [len(plugin_names(listeners[name])) for name in ("0.0.0.0_80", "0.0.0.0_8080")] == [1, 2]


def test_a_proxy_whose_id_is_not_istios_gets_what_the_root_namespace_holds() -> None:
    held = configuration(WasmPlugin={**plugins(own={}), "istio-system/everyone": {"url": URL}})
    served = answered(push_context(held), ECDS, Node("just-an-envoy"))
    assert [name.rpartition(".")[2] for name in served] == ["everyone"]


def test_nothing_at_all_is_an_answer_too() -> None:
    assert answered(push_context(Configuration()), LDS) == {}

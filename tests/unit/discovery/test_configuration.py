"""What Discovery makes of MCP responses."""

from __future__ import annotations

from typing import Any

import pytest

from sim.discovery.state import Configuration, pushed_for
from sim.model import CDS, ECDS, EDS, LDS, RDS, Node
from sim.proto_gen import istio_mcp_pb2 as mcp
from tests.unit.discovery.worlds import GATEWAY, NODE, answered, mcp_resource, push_context

ONE, TWO = "higress-system/one", "higress-system/two"


def plugin(name: str, tag: str = "1.0.0", version: str = "", created_s: int = 0, **spec: Any) -> mcp.Resource:
    return mcp_resource("WasmPlugin", name, {"url": f"oci://r.example/p:{tag}", **spec}, version, created_s)


def versions(held: Configuration) -> dict[str, str]:
    return {found.key: found.version for found in held.freeze()[1]}


def test_a_push_tells_new_versions_of_all_plugins_whichever_changed() -> None:
    # Seen on istiod 1.27 and the fork of 1.19: each response stamps all that it holds.
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE), plugin(TWO)])
    before = versions(held)
    received = held.replace("WasmPlugin", [plugin(ONE, "2.0.0"), plugin(TWO)])
    after = versions(held)
    assert received.changed == {ONE}
    assert not received.removed
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize("other", ["removed", "of a namespace that no proxy looks at"])
def test_a_plugin_that_only_shares_the_response_has_a_new_version_too(other: str) -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE), plugin(TWO)])
    before = versions(held)
    rest = [] if other == "removed" else [plugin(TWO), plugin("elsewhere/three")]
    assert held.replace("WasmPlugin", [plugin(ONE), *rest])
    assert versions(held)[ONE] != before[ONE]


def test_an_unchanged_response_is_no_change() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE, imagePullPolicy="Always")])
    before = versions(held)
    assert not held.replace("WasmPlugin", [plugin(ONE, imagePullPolicy="Always")])
    assert versions(held) == before


def test_a_change_of_the_configuration_is_a_new_version() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE, pluginConfig={"a": 1})])
    before = versions(held)
    assert held.replace("WasmPlugin", [plugin(ONE, pluginConfig={"a": 2})]).changed == {ONE}
    assert versions(held) != before


def test_a_version_that_came_with_the_resource_is_kept_as_long_as_the_spec() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE, version="k8s-7")])
    assert versions(held) == {ONE: "k8s-7"}
    assert not held.replace("WasmPlugin", [plugin(ONE, version="k8s-8")])
    assert versions(held) == {ONE: "k8s-7"}


def test_a_resource_with_the_version_that_is_kept_is_not_looked_at() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE, version="7"), plugin(TWO)])
    assert not held.replace("WasmPlugin", [plugin(ONE, "2.0.0", version="7"), plugin(TWO)])
    assert held.replace("WasmPlugin", [plugin(ONE, "3.0.0", version="7"), plugin(TWO, "2.0.0")]).changed == {TWO}
    assert {found.key: (found.version, found.url) for found in held.freeze()[1]}[ONE] == (
        "7",
        "oci://r.example/p:1.0.0",
    )
    # Without its version the resource counts again.
    assert held.replace("WasmPlugin", [plugin(ONE, "3.0.0"), plugin(TWO, "2.0.0")]).changed == {ONE}


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_a_mark_of_istios_makes_every_response_a_change(where: str) -> None:
    def marked(key: str) -> mcp.Resource:
        made = plugin(ONE)
        getattr(made.metadata, where)[key] = "y"
        return made

    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE)])
    assert not held.replace("WasmPlugin", [marked("team.example.com/x")])
    for _ in range(2):
        assert held.replace("WasmPlugin", [marked("example.istio.io/x")]).changed == {ONE}
    assert held.replace("WasmPlugin", [plugin(ONE)]).changed == {ONE}
    assert not held.replace("WasmPlugin", [plugin(ONE)])


def test_the_last_of_two_with_one_name_counts_and_is_a_change_each_time() -> None:
    held = Configuration()
    for _ in range(2):
        assert held.replace("WasmPlugin", [plugin(ONE, "1.0.0"), plugin(ONE, "9.0.0")]).changed == {ONE}
        assert [found.url for found in held.freeze()[1]] == ["oci://r.example/p:9.0.0"]


INVALID = {
    "sha256": {"sha256": "abc"},
    "url": {"url": "ftp://r.example/p"},
    "no parse": {"url": "oci://r.example/p:1%zz"},
    "variables": {"vmConfig": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
}


@pytest.mark.parametrize("spec", INVALID.values(), ids=list(INVALID))
def test_what_istiod_1_27_refuses_leaves_the_old_one_in_force(spec: dict[str, Any]) -> None:
    held = Configuration(validates=True)
    held.replace("WasmPlugin", [plugin(ONE), plugin(TWO)])
    before = versions(held)
    received = held.replace("WasmPlugin", [plugin(ONE, **spec), plugin(TWO)])
    assert set(received.refused) == {ONE}
    assert not received
    assert held.replace("WasmPlugin", [plugin(ONE, **spec), plugin(TWO, "2.0.0")]).changed == {TWO}
    assert versions(held)[ONE] == before[ONE]
    assert {found.key: found.url for found in held.freeze()[1]}[ONE] == "oci://r.example/p:1.0.0"
    assert held.replace("WasmPlugin", [plugin(TWO, "2.0.0")]).removed == {ONE}


@pytest.mark.parametrize("spec", INVALID.values(), ids=list(INVALID))
def test_what_istiod_1_27_refuses_is_not_even_added(spec: dict[str, Any]) -> None:
    held = Configuration(validates=True)
    assert not held.replace("WasmPlugin", [plugin(ONE, **spec)])
    assert versions(held) == {}


def test_the_fork_takes_whatever_comes() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE)])
    assert held.replace("WasmPlugin", [plugin(ONE, sha256="abc")]).changed == {ONE}
    assert list(versions(held)) == [ONE]


def test_a_resource_missing_from_a_later_response_is_deleted() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE), plugin(TWO)])
    received = held.replace("WasmPlugin", [plugin(TWO)])
    assert received.removed == {ONE}
    assert not received.changed
    assert list(versions(held)) == [TWO]


def test_a_response_for_one_kind_deletes_nothing_of_another() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE)])
    held.replace("Gateway", [])
    assert list(versions(held)) == [ONE]


def test_a_plugin_that_comes_back_unchanged_has_a_new_version() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE)])
    before = versions(held)
    held.replace("WasmPlugin", [])
    held.replace("WasmPlugin", [plugin(ONE)])
    assert versions(held) != before


def undecodable(name: str) -> mcp.Resource:
    made = plugin(name)
    made.body.value = b"\xff\xff"
    return made


def of_another_type(name: str) -> mcp.Resource:
    return mcp_resource("Gateway", name, GATEWAY["higress-system/gateway"])


def without_a_body(name: str) -> mcp.Resource:
    return mcp.Resource(metadata=mcp.Metadata(name=name))


def test_a_body_of_another_type_is_refused_and_what_it_was_to_replace_stays() -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE)])
    received = held.replace("WasmPlugin", [of_another_type(ONE)])
    assert set(received.refused) == {ONE}
    assert not received
    assert list(versions(held)) == [ONE]


def of_an_unknown_type(name: str) -> mcp.Resource:
    made = plugin(name)
    made.body.type_url = "type.googleapis.com/no.such.Type"
    return made


@pytest.mark.parametrize("bad", [undecodable, of_an_unknown_type, without_a_body])
def test_a_resource_that_cant_be_read_is_left_out_and_what_it_replaces_is_gone(bad: Any) -> None:
    held = Configuration()
    held.replace("WasmPlugin", [plugin(ONE), plugin(TWO)])
    received = held.replace("WasmPlugin", [bad(ONE), plugin(TWO)])
    assert set(received.refused) == {ONE}
    assert received.removed == {ONE}
    assert list(versions(held)) == [TWO]


@pytest.mark.parametrize("name", ["", "one", "higress-system/one/more"])
def test_a_name_without_a_namespace_is_refused(name: str) -> None:
    received = Configuration().replace("WasmPlugin", [plugin(name)])
    assert set(received.refused) == {name}
    assert not received


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"url": "127.0.0.1:5000/p:1"}, id="a URL that Go can't parse"),
        pytest.param({"url": "oci://r.example/p:1%"}, id="a URL with a broken escape"),
    ],
)
def test_a_plugin_that_istiod_discards_is_neither_in_the_listener_nor_served(spec: dict[str, Any]) -> None:
    held = Configuration()
    held.replace("Gateway", [mcp_resource("Gateway", *next(iter(GATEWAY.items())))])
    held.replace("WasmPlugin", [mcp_resource("WasmPlugin", ONE, spec), plugin(TWO)])
    for _ in range(2):
        context = push_context(held)
        assert [name.rpartition(".")[2] for name in answered(context, ECDS)] == ["two"]
        assert "one" not in str(answered(context, LDS))
        # Told again, it is still discarded, and nothing has changed.
        assert not held.replace("WasmPlugin", [mcp_resource("WasmPlugin", ONE, spec), plugin(TWO)])


def test_a_configuration_with_a_value_that_is_not_even_null_discards_the_plugin() -> None:
    broken = mcp_resource("WasmPlugin", ONE, {"url": "oci://r.example/p:1"})
    spec = plugin(ONE)
    # A google.protobuf.Value with no kind set, under the key "k": no JSON says this, bytes can.
    spec.body.value += bytes.fromhex("3a070a050a016b1200")
    held = Configuration()
    assert held.replace("WasmPlugin", [spec]).changed == {ONE}
    assert versions(held) == {}
    held.replace("WasmPlugin", [broken])
    assert list(versions(held)) == [ONE]


def test_a_push_context_does_not_follow_later_changes() -> None:
    held = Configuration()
    held.replace("Gateway", [mcp_resource("Gateway", *next(iter(GATEWAY.items())))])
    held.replace("WasmPlugin", [plugin(ONE)])
    context = push_context(held)
    held.replace("WasmPlugin", [plugin(TWO)])
    held.replace("Gateway", [])
    assert [name.rpartition(".")[2] for name in answered(context, ECDS)] == ["one"]
    assert list(answered(context, LDS)) == ["0.0.0.0_18080"]


def test_an_answer_is_made_once_for_all_proxies_that_are_alike() -> None:
    held = Configuration()
    held.replace("Gateway", [mcp_resource("Gateway", *next(iter(GATEWAY.items())))])
    context = push_context(held)
    node = "router~127.0.0.1~gw-{}.higress-system~higress-system.svc.cluster.local"
    labels = {"higress": "higress-system-higress-gateway"}
    first = context.answer(Node(node.format(1), labels), LDS, None)
    assert first is context.answer(Node(node.format(2), dict(labels)), LDS, None)
    assert first is not context.answer(Node(node.format(1), {}), LDS, None)


def test_an_unknown_type_has_no_answer() -> None:
    node_type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    assert push_context(Configuration()).answer(NODE, node_type, None) is None


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"WasmPlugin"}, [LDS, ECDS]),
        ({"Gateway"}, [LDS, RDS]),
        ({"VirtualService"}, [LDS, RDS]),
        ({"ServiceEntry"}, [CDS, EDS, LDS, RDS]),
        ({"ServiceEntry", "WasmPlugin"}, [CDS, EDS, LDS, RDS, ECDS]),
        ({"MeshConfig"}, []),
        (set(), []),
    ],
)
def test_a_push_goes_out_as_clusters_endpoints_listeners_routes_extensions(
    kinds: set[str], expected: list[str]
) -> None:
    assert pushed_for(kinds) == expected

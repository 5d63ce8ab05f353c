"""A configuration dump in columns: as Envoy writes it and as istiod does, and whatever else it may hold."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from sim.report.proxy_config import (
    ClusterFilter,
    ConfigDump,
    ListenerFilter,
    NoSection,
    clusters_table,
    ecds_table,
    listeners_table,
    routes_table,
)

ADMIN = "type.googleapis.com/envoy.admin.v3."
EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
HTTP = "envoy.filters.network.http_connection_manager"
TCP = "envoy.filters.network.tcp_proxy"


def as_envoy(data: Any) -> Any:
    return data


def as_istiod(data: Any) -> Any:
    """With the field names of protobuf's JSON."""
    if isinstance(data, list):
        return [as_istiod(each) for each in data]
    if not isinstance(data, dict):
        return data
    renamed = {}
    for key, value in data.items():
        first, *more = key.split("_")
        renamed[first + "".join(word.capitalize() for word in more)] = as_istiod(value)
    return renamed


spelt = pytest.mark.parametrize("spelt", [as_envoy, as_istiod])


def dump(section: str, **content: Any) -> ConfigDump:
    return ConfigDump({"configs": [{"@type": f"{ADMIN}{section}ConfigDump", **content}]})


def wasm(name: str, code: dict[str, Any]) -> dict[str, Any]:
    config = {"name": name, "vm_config": {"code": code}}
    return {"@type": EXTENSION, "name": name, "typed_config": {"@type": WASM, "config": config}}


def listener(port: int, *filters: dict[str, Any], match: dict[str, Any] | None = None) -> dict[str, Any]:
    chain = {"filters": list(filters), **({"filter_chain_match": match} if match else {})}
    address = {"socket_address": {"address": "0.0.0.0", "port_value": port}}
    return {"name": f"l{port}", "address": address, "filter_chains": [chain]}


def http(**config: Any) -> dict[str, Any]:
    return {"name": HTTP, "typed_config": config}


def words(table: object) -> list[str]:
    """The rows under the header, in single spaces."""
    return [" ".join(line.split()) for line in str(table).splitlines()[1:]]


# -- ECDS -------------------------------------------------------------------------------------------------------------


@spelt
def test_extensions_are_sorted_by_type_and_name(spelt: Any) -> None:
    failed = {"@type": EXTENSION, "name": "c", "typed_config": {"@type": RBAC, "rules": {}}}
    content = {"ecds_filters": [{"ecds_filter": each} for each in (wasm("b", {}), wasm("a", {}), failed)]}
    assert str(ecds_table(dump("Ecds", **spelt(content)).ecds())).splitlines() == [
        "ECDS NAME     TYPE",
        "c             envoy.extensions.filters.http.rbac.v3.RBAC",
        "a             envoy.extensions.filters.http.wasm.v3.Wasm",
        "b             envoy.extensions.filters.http.wasm.v3.Wasm",
    ]


@spelt
def test_wide_tells_the_url_before_the_agent_and_the_file_after_it(spelt: Any) -> None:
    remote = wasm("ns.a", {"remote": {"http_uri": {"uri": "oci://r/a:1"}, "sha256": "beef"}})
    local = wasm("ns.b", {"local": {"filename": "/data/b.wasm"}})
    content = {
        "ecds_filters": [
            {"version_info": "v1", "ecds_filter": remote},
            {"ecds_filter": local, "last_updated": "2026-01-31T12:00:00.000Z"},
        ]
    }
    table = ecds_table(dump("Ecds", **spelt(content)).ecds(), wide=True)
    assert list(table.header) == ["ECDS NAME", "TYPE", "CODE", "SHA256", "VERSION", "UPDATED"]
    kind = WASM.partition("/")[2]
    assert list(map(list, table.rows)) == [
        ["ns.a", kind, "oci://r/a:1", "beef", "v1", "-"],
        ["ns.b", kind, "/data/b.wasm", "-", "-", "2026-01-31T12:00:00.000Z"],
    ]


def test_a_filter_without_its_extension_around_it_is_named_by_its_plugin() -> None:
    bare = {"@type": WASM, "config": {"name": "ns.a", "vmConfig": {"code": {"local": {"filename": "/a"}}}}}
    table = ecds_table(dump("Ecds", ecdsFilters=[{"ecdsFilter": bare}]).ecds(), wide=True)
    assert list(table.rows[0])[:3] == ["ns.a", WASM.partition("/")[2], "/a"]


def test_several_ecds_sections_are_one() -> None:
    sections = [
        {"@type": f"{ADMIN}EcdsConfigDump", "ecds_filters": [{"ecds_filter": wasm(name, {})}]} for name in ("a", "b")
    ]
    merged = ConfigDump({"configs": sections}).ecds()
    assert [each["ecds_filter"]["name"] for each in merged["ecds_filters"]] == ["a", "b"]


# -- listeners --------------------------------------------------------------------------------------------------------


@spelt
def test_a_listener_tells_where_it_leads(spelt: Any) -> None:
    inline = {"virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "x"}}]}]}
    several = {
        "virtual_hosts": [
            {"domains": ["a.com", "b.com"], "routes": [{"match": {"path": "/one"}}, {"match": {"prefix": "/two"}}]},
            {"domains": ["*"], "routes": [{"match": {"safe_regex": {"regex": "^/3$"}}}]},
        ]
    }
    found = [
        listener(85, {"name": TCP, "typed_config": {"cluster": "BlackHoleCluster"}}),
        listener(84, {"name": TCP, "typed_config": {"cluster": "outbound|1||h"}}, match={"destination_port": 7}),
        listener(83, http(route_config=several)),
        listener(82, http(route_config=inline)),
        listener(81, http(), match={"server_names": ["a", "b"], "transport_protocol": "tls"}),
        listener(80, {"name": "ns.network-plugin"}, http(rds={"route_config_name": "http.80"})),
    ]
    content = {"dynamic_listeners": [{"active_state": {"listener": each}} for each in found]}
    assert list(map(list, listeners_table(dump("Listeners", **spelt(content)).listeners()).rows)) == [
        ["0.0.0.0", "80", "ALL", "Route: http.80"],
        ["0.0.0.0", "81", "SNI: a,b; Trans: tls", "HTTP"],
        ["0.0.0.0", "82", "ALL", "Cluster: x"],
        ["0.0.0.0", "83", "ALL", "Inline Route: a.com/b.com /one, /two*; regex ^/3$"],
        ["0.0.0.0", "84", "Addr: *:7", "Cluster: outbound|1||h"],
        ["0.0.0.0", "85", "ALL", "Non-HTTP/Non-TCP"],
    ]


def test_static_listeners_are_shown_and_warming_ones_not() -> None:
    found = dump(
        "Listeners",
        dynamic_listeners=[{"name": "warming", "warming_state": {"listener": listener(1)}}],
        static_listeners=[{"listener": listener(2)}],
    ).listeners()
    assert [each["name"] for each in found] == ["l2"]


def test_chains_name_their_protocols_and_addresses() -> None:
    match = {
        "application_protocols": ["http/1.0", "http/1.1", "h2c"],
        "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
        "destination_port": 80,
    }
    assert words(listeners_table([listener(1, http(), match=match)])) == [
        "0.0.0.0 1 App: HTTP; Addr: 10.0.0.0/8:80 HTTP"
    ]
    other = {"application_protocols": ["h3"]}
    assert "App: h3" in words(listeners_table([listener(1, match=other)]))[0]


@pytest.mark.parametrize(
    ("meant", "ports"),
    [
        (ListenerFilter(), [80, 81, 82]),
        (ListenerFilter(port=81), [81]),
        (ListenerFilter(kind="http"), [80]),
        (ListenerFilter(kind="TCP"), [81]),
        (ListenerFilter(kind="unknown"), [82]),
        (ListenerFilter(address="0.0.0.0", port=80), [80]),
        (ListenerFilter(address="127.0.0.1"), []),
    ],
)
def test_listeners_are_picked_by_address_port_and_type(meant: ListenerFilter, ports: list[int]) -> None:
    every = [listener(80, http()), listener(81, {"name": TCP, "typed_config": {"cluster": "x"}}), listener(82)]
    assert [each["address"]["socket_address"]["port_value"] for each in every if meant.takes(each)] == ports


# -- routes -----------------------------------------------------------------------------------------------------------


@spelt
def test_routes_are_shown_in_their_order_with_what_they_were_made_of(spelt: Any) -> None:
    made_of = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart"
    configuration = {
        "name": "http.80",
        "virtual_hosts": [
            {
                "name": "cart.shop:80",
                "domains": ["cart.shop.svc.cluster.local", "cart.shop:80", "cart", "cart.shop", "cart.shop.svc"],
                "routes": [
                    {
                        "match": {"path_separated_prefix": "/cart"},
                        "metadata": {"filter_metadata": {"istio": {"config": made_of}}},
                    },
                    {"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}},
                ],
            },
            {"name": "none:80", "domains": ["none.com"]},
        ],
    }
    content = {"dynamic_route_configs": [{"route_config": configuration}]}
    assert words(routes_table(dump("Routes", **spelt(content)).routes())) == [
        "http.80 cart.shop:80 cart, cart.shop PathPrefix:/cart cart.shop",
        "http.80 none:80 none.com /* 404",
    ]


def test_many_domains_are_counted_and_addresses_lose_their_ports() -> None:
    def domains(*names: str) -> str:
        host = {"name": "h", "domains": list(names)}
        return str(routes_table([{"name": "r", "virtual_hosts": [host]}]).rows[0][2])

    assert domains("a", "b", "c", "d") == "a, b + 2 more..."
    assert domains("[fd00:10:96::1]", "[fd00:10:96::1]:80") == "[fd00:10:96::1]"
    assert domains("foo.com:80") == "foo.com:80"
    assert domains("foo.com", "foo.com:*") == "foo.com"


# -- clusters ---------------------------------------------------------------------------------------------------------


@spelt
def test_clusters_are_sorted_by_host_and_their_names_taken_apart(spelt: Any) -> None:
    clusters = [
        {"name": "outbound|8080||b.ns.svc.cluster.local", "type": "EDS"},
        {"name": "outbound|80|v1|b.ns.svc.cluster.local", "type": "EDS"},
        {"name": "outbound|80||b.ns.svc.cluster.local", "type": "EDS"},
        {"name": "BlackHoleCluster"},
    ]
    content = {
        "dynamic_active_clusters": [{"cluster": each} for each in clusters],
        "static_clusters": [{"cluster": {"name": "xds-grpc", "cluster_type": {"name": "envoy.own"}}}],
        "dynamic_warming_clusters": [{"cluster": {"name": "not-yet"}}],
    }
    assert words(clusters_table(dump("Clusters", **spelt(content)).clusters())) == [
        "BlackHoleCluster - - - STATIC",
        "b.ns.svc.cluster.local 80 - outbound EDS",
        "b.ns.svc.cluster.local 8080 - outbound EDS",
        "b.ns.svc.cluster.local 80 v1 outbound EDS",
        "xds-grpc - - - envoy.own",
    ]


@pytest.mark.parametrize(
    ("meant", "count"),
    [
        (ClusterFilter(), 3),
        (ClusterFilter(fqdn="a.ns"), 2),
        (ClusterFilter(port=80), 2),
        (ClusterFilter(port=8), 0),
        (ClusterFilter(subset="v1"), 1),
        (ClusterFilter(fqdn="a.ns", port=80, direction="inbound"), 1),
    ],
)
def test_clusters_are_picked_by_the_parts_of_their_names(meant: ClusterFilter, count: int) -> None:
    names = ["outbound|8080|v1|a.ns", "inbound|80||a.ns", "outbound|80||b.ns"]
    assert sum(meant.takes({"name": name}) for name in names) == count


# -- what a dump may be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, [], "configs", {}, {"configs": {}}, {"configs": None}])
def test_what_is_no_dump_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="no list"):
        ConfigDump(data)


@pytest.mark.parametrize("section", ["Listeners", "Routes", "Clusters", "Ecds"])
def test_a_section_that_is_not_there_is_named(section: str) -> None:
    without = ConfigDump({"configs": [{"@type": f"{ADMIN}BootstrapConfigDump"}]})
    with pytest.raises(NoSection, match=section):
        getattr(without, section.lower())()


WHOLE: dict[str, Any] = {
    "configs": [
        {
            "@type": f"{ADMIN}ListenersConfigDump",
            "dynamic_listeners": [
                {"active_state": {"listener": listener(1, http(rds={"route_config_name": "r"}))}},
                {
                    "active_state": {
                        "listener": {
                            "additional_addresses": [{"address": {"socket_address": {"address": "::"}}}],
                            "default_filter_chain": {
                                "filter_chain_match": {
                                    "server_names": ["a"],
                                    "application_protocols": ["h2"],
                                    "prefix_ranges": [{"address_prefix": "::", "prefix_len": 0}],
                                },
                                "filters": [
                                    http(
                                        route_config={
                                            "virtual_hosts": [
                                                {
                                                    "domains": ["*"],
                                                    "routes": [
                                                        {"match": {"prefix": "/"}, "route": {"cluster": "c"}},
                                                    ],
                                                }
                                            ]
                                        }
                                    )
                                ],
                            },
                        }
                    }
                },
            ],
            "static_listeners": [{"listener": listener(2, {"name": TCP, "typed_config": {"cluster": "c"}})}],
        },
        {
            "@type": f"{ADMIN}RoutesConfigDump",
            "dynamic_route_configs": [
                {
                    "route_config": {
                        "name": "r",
                        "virtual_hosts": [
                            {
                                "name": "h",
                                "domains": ["a", "b"],
                                "routes": [
                                    {
                                        "match": {"safe_regex": {"regex": "/.*"}},
                                        "route": {"cluster": "c"},
                                        "metadata": {"filter_metadata": {"istio": {"config": "/apis"}}},
                                    }
                                ],
                            }
                        ],
                    }
                }
            ],
        },
        {
            "@type": f"{ADMIN}ClustersConfigDump",
            "dynamic_active_clusters": [{"cluster": {"name": "a|1||b", "cluster_type": {"name": "own"}}}],
        },
        {
            "@type": f"{ADMIN}EcdsConfigDump",
            "ecds_filters": [
                {"version_info": "1", "ecds_filter": wasm("a", {"remote": {"http_uri": {"uri": "u"}, "sha256": "s"}})},
                {"ecds_filter": wasm("b", {"local": {"filename": "f"}})},
            ],
        },
    ]
}


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside."""
    for key, value in enumerate(data) if isinstance(data, list) else data.items() if isinstance(data, dict) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def with_value(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy that has the value in that place."""
    changed = copy.deepcopy(data)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("junk", [None, True, 7, "", "text", [], ["text"], [[{}]], {}, {"name": {}}], ids=repr)
def test_no_value_in_a_dump_makes_a_table_fail(junk: Any) -> None:
    for path in places(WHOLE):
        data = with_value(WHOLE, path, junk)
        try:
            found = ConfigDump(data)
        except ValueError:
            assert path == ("configs",)
            continue
        for read, table in (
            (found.listeners, listeners_table),
            (found.routes, routes_table),
            (found.clusters, clusters_table),
            (found.ecds, lambda section: ecds_table(section, wide=True)),
        ):
            with contextlib.suppress(NoSection):
                content: Any = read()
                assert str(table(content)), path

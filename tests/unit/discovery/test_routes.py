"""VirtualServices and ServiceEntries → routes, clusters and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sim.model import CDS, EDS, RDS
from tests.unit.discovery.worlds import GATEWAY, SERVICE, answered, configuration, push_context

TO_ECHO = {"destination": {"host": "echo.example.com", "port": {"number": 80}}}


def virtual_hosts(services: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    held = configuration(Gateway=GATEWAY, VirtualService=services)
    routes = answered(push_context(held), RDS)
    assert list(routes) == ["http.18080"]
    found: list[dict[str, Any]] = routes["http.18080"]["virtual_hosts"]
    return found


def service(*hosts: str, http: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"hosts": list(hosts), "http": http if http is not None else [{"name": "r", "route": [TO_ECHO]}]}


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ({"exact": "/a"}, {"path": "/a"}),
        ({"prefix": "/a"}, {"prefix": "/a"}),
        ({"regex": "/a.*"}, {"safe_regex": {"regex": "/a.*"}}),
        (None, {"prefix": "/"}),
    ],
    ids=["exact", "prefix", "regex", "none"],
)
def test_a_path_is_matched_as_it_says(uri: dict[str, str] | None, match: dict[str, Any]) -> None:
    http = {"name": "r", "match": [{"uri": uri}] if uri else [], "route": [TO_ECHO]}
    (host,) = virtual_hosts({"higress-system/a": service("*", http=[http])})
    (route,) = host["routes"]
    assert route["match"] == match
    assert route["name"] == "r"
    assert route["route"]["cluster"] == "outbound|80||echo.example.com"


def test_each_match_of_a_route_is_one_route_in_their_order() -> None:
    matches = [{"uri": {"exact": "/a"}}, {"uri": {"prefix": "/b"}}]
    (host,) = virtual_hosts({"higress-system/a": service("*", http=[{"match": matches, "route": [TO_ECHO]}])})
    assert [route["match"] for route in host["routes"]] == [{"path": "/a"}, {"prefix": "/b"}]


def test_a_subset_is_part_of_the_clusters_name() -> None:
    destination = {"host": "echo.example.com", "subset": "v2", "port": {"number": 80}}
    (host,) = virtual_hosts({"higress-system/a": service("*", http=[{"route": [{"destination": destination}]}])})
    assert host["routes"][0]["route"]["cluster"] == "outbound|80|v2|echo.example.com"


def test_a_host_stands_with_and_without_a_port_and_a_star_alone() -> None:
    hosts = virtual_hosts({"higress-system/a": service("b.example.com", "*", "*.a.example.com")})
    assert {host["name"]: host["domains"] for host in hosts} == {
        "*:18080": ["*"],
        "*.a.example.com:18080": ["*.a.example.com", "*.a.example.com:*"],
        "b.example.com:18080": ["b.example.com", "b.example.com:*"],
    }


def test_routes_of_one_host_stand_together_in_the_order_of_their_services_names() -> None:
    first = service("a.example.com", http=[{"name": "first", "route": [TO_ECHO]}])
    second = service("a.example.com", http=[{"name": "second", "route": [TO_ECHO]}])
    (host,) = virtual_hosts({"higress-system/z": second, "higress-system/a": first})
    assert [route["name"] for route in host["routes"]] == ["first", "second"]


def test_without_routes_every_request_is_answered_404() -> None:
    (host,) = virtual_hosts({})
    assert host["domains"] == ["*"]
    assert [route["direct_response"]["status"] for route in host["routes"]] == [404]


def test_a_route_to_nowhere_is_left_out() -> None:
    (host,) = virtual_hosts({"higress-system/a": service("*", http=[{"name": "empty"}, {"route": [TO_ECHO]}])})
    assert len(host["routes"]) == 1


def test_every_port_of_every_host_is_a_cluster_and_its_endpoints() -> None:
    context = push_context(configuration(ServiceEntry=SERVICE))
    clusters = answered(context, CDS)
    assert list(clusters) == ["outbound|80||echo.example.com", "BlackHoleCluster"]
    assert clusters["outbound|80||echo.example.com"]["type"] == "EDS"
    assignment = answered(context, EDS)["outbound|80||echo.example.com"]
    (locality,) = assignment["endpoints"]
    addresses = [member["endpoint"]["address"]["socket_address"] for member in locality["lb_endpoints"]]
    assert addresses == [{"address": "127.0.0.1", "port_value": 18090}]


@pytest.mark.parametrize(
    ("port", "ports", "expected"),
    [
        ({"targetPort": 8080}, {"http": 9090}, 9090),
        ({"targetPort": 8080}, {"other": 9090}, 8080),
        ({}, {}, 80),
    ],
    ids=["the endpoint's own", "the service's target", "the service's"],
)
def test_an_endpoints_port_is_its_own_or_the_services_target_or_the_services(
    port: dict[str, Any], ports: dict[str, int], expected: int
) -> None:
    entry = {
        "hosts": ["echo.example.com"],
        "ports": [{"number": 80, "name": "http", **port}],
        "endpoints": [{"address": "10.0.0.1", "ports": ports}],
    }
    assignment = answered(push_context(configuration(ServiceEntry={"higress-system/echo": entry})), EDS)
    member = assignment["outbound|80||echo.example.com"]["endpoints"][0]["lb_endpoints"][0]
    assert member["endpoint"]["address"]["socket_address"]["port_value"] == expected


def test_a_service_without_endpoints_has_an_empty_assignment_so_that_its_cluster_can_warm() -> None:
    entry = {"hosts": ["echo.example.com"], "ports": [{"number": 80, "name": "http"}]}
    assignment = answered(push_context(configuration(ServiceEntry={"higress-system/echo": entry})), EDS)
    assert "endpoints" not in assignment["outbound|80||echo.example.com"]


def test_a_service_of_two_entries_has_the_endpoints_of_both() -> None:
    def entry(address: str) -> dict[str, Any]:
        return {**SERVICE["higress-system/echo"], "endpoints": [{"address": address}]}

    held = configuration(ServiceEntry={"a/echo": entry("10.0.0.1"), "b/echo": entry("10.0.0.2")})
    assignment = answered(push_context(held), EDS)["outbound|80||echo.example.com"]
    assert len(assignment["endpoints"][0]["lb_endpoints"]) == 2
    assert len(answered(push_context(held), CDS)) == 2

from __future__ import annotations

import re
from typing import Any

import pytest

from sim.clock import SkewedClock
from sim.core import Controller, CoreOptions, Key, Store, as_json
from sim.manifests import parse_manifests
from sim.proto_gen import istio_networking_pb2 as networking
from sim.trace import Trace

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {ports: [{name: web, port: 80, targetPort: 8080}, {name: admin, port: 9000}]}
"""


def ingress(paths: str, *, name: str = "app", host: str = "foo.com", extra: str = "") -> str:
    written = f"host: '{host}', " if host else ""
    return f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  rules:
  - {{{written}http: {{paths: [{paths}]}}}}
  {extra}
"""


def path(path: str, kind: str = "Prefix", port: str = "number: 80", service: str = "echo") -> str:
    return f"{{path: {path}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{{port}}}}}}}}}"


class World:
    def __init__(self, **options: Any) -> None:
        self.clock = SkewedClock()
        self.store = Store(self.clock)
        self.trace = Trace()
        self.controller = Controller(self.store, CoreOptions(upstream=("127.0.0.1", 4321), **options), self.trace)

    def apply(self, *texts: str) -> None:
        for text in texts:
            for manifest in parse_manifests(text, "app.yaml"):
                self.store.apply(manifest)
                self.clock.advance(1)

    def routes(self) -> dict[str, list[networking.HTTPRoute]]:
        """By host, in the order in which the VirtualServices list them."""
        found: dict[str, list[networking.HTTPRoute]] = {}
        for resource in self.controller.resources("VirtualService"):
            assert isinstance(resource.body, networking.VirtualService)
            found[resource.body.hosts[0]] = list(resource.body.http)
        return found

    def problems(self) -> list[str]:
        return [event.data["error"] for event in self.trace if event.span == "failed"]


def written(route: networking.HTTPRoute) -> tuple[str, str]:
    uri = route.match[0].uri
    return (uri.WhichOneof("match_type") or "", uri.exact or uri.prefix or uri.regex)


def test_without_an_ingress_everything_goes_to_the_upstream() -> None:
    world = World(gateway_port=8888)
    (virtual_service,) = world.controller.resources("VirtualService")
    (gateway,) = world.controller.resources("Gateway")
    (entry,) = world.controller.resources("ServiceEntry")
    assert as_json(gateway.body) == {
        "selector": {"higress": "higress-system-higress-gateway"},
        "servers": [{"hosts": ["*"], "port": {"number": 8888, "protocol": "HTTP", "name": "http-8888-ingress"}}],
    }
    assert as_json(virtual_service.body) == {
        "hosts": ["*"],
        "gateways": [gateway.name],
        "http": [
            {
                "name": "higress-system/catch-all",
                "match": [{"uri": {"prefix": "/"}}],
                "route": [
                    {
                        "destination": {
                            "host": "upstream.higress-system.svc.cluster.local",
                            "port": {"number": 80},
                        },
                        "weight": 100,
                    }
                ],
            }
        ],
    }
    assert entry.name == "higress-system/upstream"
    assert as_json(entry.body) == {
        "hosts": ["upstream.higress-system.svc.cluster.local"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "protocol": "HTTP", "name": "http-80"}],
        "endpoints": [{"address": "127.0.0.1", "ports": {"http-80": 4321}}],
    }


def test_a_route_bears_the_ingress_s_name_and_leads_to_the_service() -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/a") + ", " + path("/b", "Exact", "name: admin")))
    (routes,) = world.routes().values()
    assert [route.name for route in routes] == ["default/app", "default/app"]
    assert [route.route[0].destination.port.number for route in routes] == [9000, 80]
    assert {route.route[0].destination.host for route in routes} == {"echo.default.svc.cluster.local"}
    entry, upstream = world.controller.resources("ServiceEntry")
    # The cluster of the route that there was before outlives it, for the requests on their way.
    assert as_json(upstream.body)["hosts"] == ["upstream.higress-system.svc.cluster.local"]
    assert as_json(entry.body)["ports"] == [
        {"number": 80, "protocol": "HTTP", "name": "web"},
        {"number": 9000, "protocol": "HTTP", "name": "admin"},
    ]
    assert as_json(entry.body)["endpoints"] == [{"address": "127.0.0.1", "ports": {"admin": 4321, "web": 4321}}]


@pytest.mark.parametrize("kind", ["Prefix", "ImplementationSpecific"])
def test_a_prefix_ends_at_a_slash(kind: str) -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/v1.0/foo/", kind)))
    ((route,),) = world.routes().values()
    matched, text = written(route)
    assert matched == "regex"
    accepted = [
        tried
        for tried in ("/v1.0/foo", "/v1.0/foo/", "/v1.0/foo/bar", "/v1.0/foobar", "/v1x0/foo", "/")
        if re.fullmatch(text, tried)
    ]
    assert accepted == ["/v1.0/foo", "/v1.0/foo/", "/v1.0/foo/bar"]


def test_exact_comes_before_the_longest_prefix_and_the_root_comes_last() -> None:
    world = World()
    paths = [path("/"), path("/a"), path("/a/b"), path("/a", "Exact"), path("/a/b/c", "Exact")]
    world.apply(SERVICE, ingress(", ".join(paths)))
    (routes,) = world.routes().values()
    assert [written(route) for route in routes] == [
        ("exact", "/a/b/c"),
        ("exact", "/a"),
        ("regex", r"/a/b((\/).*)?"),
        ("regex", r"/a((\/).*)?"),
        ("prefix", "/"),
    ]


def test_each_host_has_a_virtual_service_and_no_host_means_any() -> None:
    world = World()
    world.apply(SERVICE)
    for number, host in enumerate(["", "*.foo.com", "a.foo.com"]):
        world.apply(ingress(path("/"), name=f"app-{number}", host=host))
    assert set(world.routes()) == {"*", "*.foo.com", "a.foo.com"}
    after = [event for event in world.trace if event.span == "completed"][-1].payloads["after"].render()
    hosts = [found["hosts"][0] for found in after["VirtualService"].values()]
    assert hosts == ["a.foo.com", "*.foo.com", "*"]


def test_the_older_ingress_keeps_a_path_that_both_name() -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/a"), name="z-older"), ingress(path("/a"), name="a-younger"))
    ((route,),) = world.routes().values()
    assert route.name == "default/z-older"
    assert world.problems() == ["Prefix /a of host foo.com is already taken by default/z-older"]


def test_a_path_to_a_port_that_does_not_exist_is_skipped_with_a_reason_and_a_line() -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/good") + ", " + path("/bad", port="number: 81")))
    ((route,),) = world.routes().values()
    assert written(route)[1].startswith("/good")
    failed = next(event for event in world.trace if event.span == "failed")
    assert (failed.event, failed.resource) == ("core.convert", "default/app")
    assert failed.data["error"] == "service default/echo has no port 81; its ports: web 80, admin 9000"
    assert failed.data["where"].startswith("app.yaml:7:")
    assert failed.data["key"] == "spec.rules[0].http.paths[1]"


def test_a_named_port_waits_for_its_service() -> None:
    world = World()
    world.apply(ingress(path("/", port="name: web")))
    assert world.routes() == {}
    assert world.problems() == ["service default/echo, whose port web is meant, does not exist"]
    world.apply(SERVICE)
    assert list(world.routes()) == ["foo.com"]


def test_a_lasting_problem_is_told_once() -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/", port="number: 81")), ingress(path("/"), name="other", host="b.com"))
    assert len(world.problems()) == 1


def test_the_default_backend_takes_what_is_left() -> None:
    world = World()
    backend = "defaultBackend: {service: {name: echo, port: {number: 9000}}}"
    world.apply(SERVICE, ingress(path("/a"), extra=backend))
    routes = world.routes()
    assert [route.name for route in routes["foo.com"]] == ["default/app", "default/app-default"]
    assert [written(route) for route in routes["*"]] == [("prefix", "/")]
    assert routes["*"][0].route[0].destination.port.number == 9000


def test_a_host_with_a_root_path_needs_no_default_backend() -> None:
    world = World()
    backend = "defaultBackend: {service: {name: echo, port: {number: 9000}}}"
    world.apply(SERVICE, ingress(path("/"), extra=backend))
    assert [route.name for route in world.routes()["foo.com"]] == ["default/app"]


def test_only_ingresses_of_the_class_are_read_where_one_is_set() -> None:
    world = World(ingress_class="higress")
    world.apply(SERVICE, ingress(path("/"), name="none"))
    world.apply(ingress(path("/"), name="ours", host="b.com", extra="ingressClassName: higress"))
    assert list(world.routes()) == ["b.com"]
    assert world.problems() == ["only Ingresses of the class higress are read"]


def test_removing_the_last_ingress_brings_the_catch_all_back() -> None:
    world = World()
    world.apply(SERVICE, ingress(path("/")))
    heard: list[tuple[set[str], set[str]]] = []
    world.controller.listen(lambda kinds, plugins: heard.append((set(kinds), set(plugins))))
    world.store.delete(Key("networking.k8s.io/v1", "Ingress", "default", "app"))
    assert [route.name for route in world.routes()["*"]] == ["higress-system/catch-all"]
    assert heard == [({"VirtualService", "ServiceEntry"}, set())]


def test_an_ingress_that_says_nothing_is_a_problem_not_an_exception() -> None:
    world = World()
    world.apply("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: empty}}")
    world.apply(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: odd},"
        " spec: {rules: [null, {host: a.com}, {http: {paths: []}}]}}"
    )
    assert world.problems() == [
        "neither rules nor defaultBackend is set",
        "the rule has no paths",
        "the rule has no paths",
        "the rule has no paths",
    ]
    assert world.routes() == {}

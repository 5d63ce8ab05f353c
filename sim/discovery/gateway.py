"""Gateway, VirtualService and ServiceEntry → listeners, routes, clusters and endpoints of a gateway proxy.

Imitates istiod's pilot/pkg/networking/core for the part that a plugin's rollout touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import (
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    ExtensionConfigSource,
    SocketAddress,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    Rds,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher

from sim.discovery.plugins import Plugin, Slots
from sim.model import Node
from sim.profiles import PlainFilter, PluginSlot, Profile
from sim.proto_gen import istio_networking_pb2 as net
from sim.xds import Resource
from sim.xds.packing import pack, pack_json, resource

_CONNECT_TIMEOUT = timedelta(seconds=10)
#: Listeners that are remembered; a chain that comes back, as in a rollback, is among the last few.
_MOST_LISTENERS = 32
ALL_PHASES = ("AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE")


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What Discovery knows of the gateway, by `namespace/name`."""

    gateways: Mapping[str, net.Gateway]
    virtual_services: Mapping[str, net.VirtualService]
    service_entries: Mapping[str, net.ServiceEntry]


def cluster_name(host: str, port: int, subset: str = "") -> str:
    """Istio's name of an outbound cluster."""
    return f"outbound|{port}|{subset}|{host}"


def _ads() -> ConfigSource:
    return ConfigSource(
        ads=AggregatedConfigSource(), initial_fetch_timeout=timedelta(0), resource_api_version=ApiVersion.V3
    )


def gateway_ports(state: GatewayState, node: Node) -> list[int]:
    """The HTTP ports that the node's gateways serve."""
    ports = {
        server.port.number
        for gateway in state.gateways.values()
        if all(node.labels.get(key) == value for key, value in gateway.selector.items())
        for server in gateway.servers
        if server.port.protocol.upper() in ("HTTP", "HTTP2", "GRPC")
    }
    return sorted(ports)


@dataclass(frozen=True, slots=True)
class _Link:
    """All that the listener holds of a plugin: nothing in it changes with the image or the configuration."""

    extension_name: str
    fails_open: bool
    plugin: Plugin = field(compare=False)


class ListenerFactory:
    """Makes a gateway's listeners. The same chain gives the same bytes, and costs nothing the second time."""

    def __init__(self, profile: Profile, bind: str) -> None:
        self._profile = profile
        self._bind = bind
        self._made: dict[tuple[str, int, tuple[tuple[_Link, ...], ...]], Resource] = {}

    def listeners(self, state: GatewayState, plugins: Sequence[Plugin], node: Node) -> list[Resource]:
        """One listener a port. It is named as Istio names it (0.0.0.0_<port>) but binds where `bind` says.

        Or at the proxy's own address where that is a loopback one: so several gateways share a machine and a port.
        """
        return [self._listener(plugins, node, port) for port in gateway_ports(state, node)]

    def bind_of(self, node: Node) -> str:
        """Where this proxy's listeners bind."""
        return node.host if node.host.startswith("127.") else self._bind

    def _listener(self, plugins: Sequence[Plugin], node: Node, port: int) -> Resource:
        slots = Slots(plugins, self._profile, node, port)
        chain = [self._links(slots.of(ALL_PHASES, network=True))]
        for entry in self._profile.http_filters:
            if isinstance(entry, PluginSlot):
                chain.append(self._links(slots.of(entry.plugins, network=False)))
        bind = self.bind_of(node)
        key = (bind, port, tuple(chain))
        if key not in self._made:
            if len(self._made) >= _MOST_LISTENERS:
                self._made.pop(next(iter(self._made)))
            self._made[key] = self._build(bind, port, chain)
        return self._made[key]

    def _links(self, plugins: Sequence[Plugin]) -> tuple[_Link, ...]:
        return tuple(_Link(plugin.extension_name(self._profile), plugin.fails_open, plugin) for plugin in plugins)

    def _build(self, bind: str, port: int, chain: Sequence[Sequence[_Link]]) -> Resource:
        name = f"0.0.0.0_{port}"
        network, *slots = chain
        manager = HttpConnectionManager(
            stat_prefix=f"outbound_{name}",
            rds=Rds(config_source=_ads(), route_config_name=f"http.{port}"),
            server_name="istio-envoy",
            use_remote_address=True,
            normalize_path=True,
            upgrade_configs=[HttpConnectionManagerUpgradeConfig(upgrade_type="websocket")],
            http_filters=self._http_filters(slots),
        )
        filters = [Filter(name=link.extension_name, config_discovery=self._source(link)) for link in network]
        filters.append(Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)))
        listener = Listener(
            name=name,
            address=Address(socket_address=SocketAddress(address=bind, port_value=port)),
            filter_chains=[FilterChain(filters=filters)],
            traffic_direction=TrafficDirection.OUTBOUND,
        )
        return resource(name, listener)

    def _source(self, link: _Link) -> ExtensionConfigSource:
        return link.plugin.config_source(self._profile)

    def _http_filters(self, slots: Sequence[Sequence[_Link]]) -> list[HttpFilter]:
        """The HTTP chain in the profile's order; a plugin is a name and its `config_discovery`, no more."""
        remaining = iter(slots)
        chain: list[HttpFilter] = []
        for entry in self._profile.http_filters:
            if isinstance(entry, PlainFilter):
                chain.append(HttpFilter(name=entry.name, typed_config=pack_json(entry.config)))
            else:
                links = next(remaining)
                chain += [HttpFilter(name=link.extension_name, config_discovery=self._source(link)) for link in links]
        return chain


def route_configurations(state: GatewayState, node: Node) -> list[Resource]:
    """One route configuration a port, named `http.<port>`."""
    return [
        resource(
            f"http.{port}",
            RouteConfiguration(name=f"http.{port}", virtual_hosts=_virtual_hosts(state, port)),
        )
        for port in gateway_ports(state, node)
    ]


def _virtual_hosts(state: GatewayState, port: int) -> list[VirtualHost]:
    by_host: dict[str, list[Route]] = {}
    for name in sorted(state.virtual_services):
        service = state.virtual_services[name]
        for host in service.hosts:
            by_host.setdefault(host, []).extend(_routes(service))
    if not by_host:
        # istiod gives a gateway without routes one that answers 404 to all.
        refuse = Route(match=RouteMatch(prefix="/"), direct_response=DirectResponseAction(status=404))
        return [VirtualHost(name=f"blackhole:{port}", domains=["*"], routes=[refuse])]
    return [
        VirtualHost(
            name=f"{host}:{port}",
            domains=["*"] if host == "*" else [host, f"{host}:*"],
            routes=routes,
        )
        for host, routes in sorted(by_host.items())
    ]


def _routes(service: net.VirtualService) -> Iterable[Route]:
    for http in service.http:
        if not http.route:
            continue
        destination = http.route[0].destination
        action = RouteAction(
            cluster=cluster_name(destination.host, destination.port.number, destination.subset),
            timeout=timedelta(0),
        )
        for match in http.match or [net.HTTPMatchRequest()]:
            yield Route(name=http.name, match=_route_match(match.uri), route=action)


def _route_match(uri: net.StringMatch) -> RouteMatch:
    match uri.WhichOneof("match_type"):
        case "exact":
            return RouteMatch(path=uri.exact)
        case "regex":
            return RouteMatch(safe_regex=RegexMatcher(regex=uri.regex))
        case "prefix":
            return RouteMatch(prefix=uri.prefix)
        case _:
            return RouteMatch(prefix="/")


def clusters(state: GatewayState) -> list[Resource]:
    """An EDS cluster for each port of each host, and Istio's black hole."""
    made = [
        resource(
            name,
            Cluster(
                name=name,
                type=ClusterDiscoveryType.EDS,
                eds_cluster_config=ClusterEdsClusterConfig(eds_config=_ads(), service_name=name),
                connect_timeout=_CONNECT_TIMEOUT,
            ),
        )
        for name in endpoints_by_cluster(state)
    ]
    black_hole = Cluster(name="BlackHoleCluster", type=ClusterDiscoveryType.STATIC, connect_timeout=_CONNECT_TIMEOUT)
    return [*made, resource("BlackHoleCluster", black_hole)]


def endpoints_by_cluster(state: GatewayState) -> dict[str, list[tuple[str, int]]]:
    """The addresses behind each outbound cluster."""
    found: dict[str, list[tuple[str, int]]] = {}
    for key in sorted(state.service_entries):
        entry = state.service_entries[key]
        for host in entry.hosts:
            for port in entry.ports:
                addresses = found.setdefault(cluster_name(host, port.number), [])
                for endpoint in entry.endpoints:
                    number = endpoint.ports.get(port.name) or port.target_port or port.number
                    addresses.append((endpoint.address, number))
    return found


def load_assignments(state: GatewayState) -> list[Resource]:
    """The endpoints of every EDS cluster."""
    made = []
    for name, addresses in endpoints_by_cluster(state).items():
        members = [
            LbEndpoint(
                endpoint=Endpoint(address=Address(socket_address=SocketAddress(address=address, port_value=port)))
            )
            for address, port in addresses
        ]
        groups = [LocalityLbEndpoints(lb_endpoints=members)] if members else []
        made.append(resource(name, ClusterLoadAssignment(cluster_name=name, endpoints=groups)))
    return made

"""Going through the motions once, so that the first rollout is not measured with the cost of first use."""

from __future__ import annotations

from sim.discovery.gateway import ListenerFactory
from sim.discovery.plugins import PullSecrets
from sim.discovery.state import PUSH_ORDER, Configuration, PushContext
from sim.model import Node
from sim.profiles import Profile
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_mcp_pb2 as mcp
from sim.proto_gen import istio_networking_pb2 as net
from sim.xds.messages import encode_delta, encode_sotw


def warm_up(profile: Profile) -> None:
    """Make and encode one resource of every type, and forget it.

    The message classes build their validators when they are first used; for a listener that takes half a second.
    """
    node = Node("router~127.0.0.1~warm.up~up.svc.cluster.local")
    configuration = Configuration()
    plugin = ext.WasmPlugin(url="oci://warm/up:1", fail_strategy=ext.FAIL_OPEN)
    plugin.plugin_config.update({"a": 1})
    service = net.ServiceEntry(hosts=["warm.up"], ports=[net.ServicePort(number=80, name="http")])
    service.endpoints.add(address="127.0.0.1")
    routes = net.VirtualService(hosts=["*"])
    routes.http.add(name="warm").route.add().destination.host = "warm.up"
    gateway = net.Gateway()
    gateway.servers.add(port=net.Port(number=1, protocol="HTTP"))
    for kind, message in (
        ("WasmPlugin", plugin),
        ("ServiceEntry", service),
        ("VirtualService", routes),
        ("Gateway", gateway),
    ):
        wrapped = mcp.Resource(metadata=mcp.Metadata(name="up/warm"))
        wrapped.body.Pack(message)
        configuration.replace(kind, [wrapped])
    state, plugins = configuration.freeze()
    context = PushContext("warm", 0, profile, state, plugins, PullSecrets({}), ListenerFactory(profile, "127.0.0.1"))
    for type_url in PUSH_ORDER:
        answer = context.answer(node, type_url, None)
        if answer is not None:
            encode_sotw(answer, "")
            encode_delta(answer, [], "")

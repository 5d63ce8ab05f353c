"""The floor: an xDS server that has nothing to do but push an ECDS resource whose file is already there."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sim.discovery.gateway import GatewayState, ListenerFactory, clusters, load_assignments, route_configurations
from sim.discovery.plugins import Plugin
from sim.envoy import BootstrapOptions, EnvoyBinary, EnvoyOptions, envoy, reserved_port
from sim.model import CDS, ECDS, EDS, HTTP_WASM, LDS, RDS, Node, gateway_node
from sim.profiles import Profile
from sim.proto_gen import envoy_extension_pb2 as envoy_ext
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_networking_pb2 as net
from sim.scenario.readiness import gateway_ready
from sim.trace import Trace
from sim.xds import AdsServer, Answer, Reaction, Resource, ServerStream, ads_server
from sim.xds.packing import pack_own


class Floor:
    """Serves what Discovery would, except that the plugin's code is a local file named by `show`."""

    def __init__(self, profile: Profile, port: int, upstream_port: int, directory: Path, plugin: Plugin) -> None:
        self._nonces = itertools.count(1)
        self._directory = directory
        self._name = plugin.extension_name(profile)
        node = gateway_node()
        state = _state(port, upstream_port, node)
        self._resources: dict[str, list[Resource]] = {
            CDS: clusters(state),
            EDS: load_assignments(state),
            LDS: ListenerFactory(profile, "127.0.0.1").listeners(state, [plugin], node),
            RDS: route_configurations(state, node),
            ECDS: [],
        }
        self._version = 0
        self.port = port
        self.trace = Trace()

    def place(self, module: bytes) -> Path:
        """Put a module's file where Envoy will read it."""
        path = self._directory / f"{hashlib.sha256(module).hexdigest()}.wasm"
        if not path.exists():
            path.write_bytes(module)
        return path

    def show(self, path: Path) -> None:
        """Make this file the plugin's code, for the push that follows."""
        self._version += 1
        vm = envoy_ext.VmConfig(runtime="envoy.wasm.runtime.v8")
        vm.code.local.filename = str(path)
        wasm = envoy_ext.Wasm(config=envoy_ext.PluginConfig(name=self._name, vm_config=vm))
        extension = envoy_ext.TypedExtensionConfig(name=self._name, typed_config=pack_own(HTTP_WASM, wasm))
        self._resources[ECDS] = [Resource(self._name, ECDS, extension.SerializeToString())]

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        found = self._resources.get(type_url)
        return None if found is None else Answer(type_url, str(self._version), found)

    def nonce(self) -> str:
        return str(next(self._nonces))

    def opened(self, stream: ServerStream) -> None:
        """Nothing is observed."""

    def received(self, stream: ServerStream, reaction: Reaction) -> None:
        """Except what tells that the gateway is ready."""
        if reaction.kind == "ack":
            self.trace.emit("envoy.ack", type_url=reaction.type_url)

    def sent(self, stream: ServerStream, answer: Answer, nonce: str, pushed: bool) -> None:
        """Nothing is observed."""

    def closed(self, stream: ServerStream) -> None:
        """Nothing is observed."""


def _state(port: int, upstream_port: int, node: Node) -> GatewayState:
    gateway = net.Gateway(selector=node.labels)
    gateway.servers.add(port=net.Port(number=port, protocol="HTTP", name="http"), hosts=["*"])
    entry = net.ServiceEntry(hosts=["upstream"], ports=[net.ServicePort(number=80, name="http")])
    entry.endpoints.add(address="127.0.0.1", ports={"http": upstream_port})
    routes = net.VirtualService(hosts=["*"])
    destination = routes.http.add(name="all").route.add().destination
    destination.host, destination.port.number = "upstream", 80
    return GatewayState({"g": gateway}, {"v": routes}, {"s": entry})


@asynccontextmanager
async def floor(
    profile: Profile, binary: EnvoyBinary, directory: Path, module: bytes
) -> AsyncIterator[tuple[Floor, AdsServer]]:
    """An Envoy whose plugin runs `module`, and the server that feeds it."""
    plugin = Plugin("higress-system", "marker", ext.WasmPlugin(url="oci://floor"), "1")
    async with AsyncExitStack() as stack:
        port = stack.enter_context(reserved_port())
        upstream_port = stack.enter_context(reserved_port())
        part = Floor(profile, port, upstream_port, directory, plugin)
        part.show(part.place(module))
        server = await stack.enter_async_context(ads_server(part, part, f"unix:{directory}/floor.sock"))
        running = await stack.enter_async_context(
            envoy(
                EnvoyOptions(
                    binary=binary,
                    bootstrap=BootstrapOptions(
                        node=gateway_node(),
                        xds_address=server.address,
                        delta=profile.xds_variant == "delta",
                        upstream_port=upstream_port,
                    ),
                    directory=directory,
                ),
                part.trace,
            )
        )
        await gateway_ready(running, port, part.trace)
        yield part, server

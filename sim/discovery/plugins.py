"""Istio WasmPlugins → the gateway's filters and extension configurations.

Imitates istiod: pilot/pkg/model/extensions.go (URL, code source, environment, selection, order) and
pilot/pkg/networking/core/extension (`config_discovery`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    ExtensionConfigSource,
)
from envoy_data_plane.envoy.extensions.filters.http.composite.v3 import Composite
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.wrappers_pb2 import StringValue

from sim.discovery.go_json import struct_text
from sim.discovery.go_url import normalised
from sim.model import ECDS, HTTP_COMPOSITE, HTTP_WASM, NETWORK_WASM, TYPE_PREFIX, Node
from sim.profiles import Profile
from sim.proto_gen import envoy_extension_pb2 as envoy
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_type_pb2 as istio_type
from sim.xds import Resource
from sim.xds.packing import pack, pack_own

ENV_PULL_POLICY = "ISTIO_META_WASM_IMAGE_PULL_POLICY"
ENV_PULL_SECRET = "ISTIO_META_WASM_IMAGE_PULL_SECRET"
ENV_RESOURCE_VERSION = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"

ROOT_NAMESPACE = "istio-system"
_NO_PRIORITY = -(2**31)
_FETCH_TIMEOUT = timedelta(seconds=30)
_GATEWAY_API = "gateway.networking.k8s.io"
#: The label by which a proxy says which Gateway of the Gateway API it serves.
_GATEWAY_NAME = f"{_GATEWAY_API}/gateway-name"
_FAILURE_POLICIES = {
    ext.FAIL_CLOSE: envoy.FAIL_CLOSED,
    ext.FAIL_OPEN: envoy.FAIL_OPEN,
    ext.FAIL_RELOAD: envoy.FAIL_RELOAD,
}


def normalise_url(url: str) -> str | None:
    """The URL as Go's `url.Parse` and `String` leave it, `oci` where it has no scheme; None if it has no parse.

    So `127.0.0.1:5000/p:1` has none (a first path segment with a colon), and the plugin vanishes without a word.
    """
    return normalised(url, "oci")


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """Docker configurations by `namespace/name`, as JSON text; istiod reads them from Kubernetes."""

    by_name: dict[str, str]

    def get(self, namespace: str, name: str) -> str:
        """The configuration, empty when there is no such secret, as istiod fills it in."""
        return self.by_name.get(f"{namespace}/{name}", "")


def secret_name(reference: str) -> str | None:
    """The name in an `imagePullSecret`: `name`, `namespace/name` or `kubernetes://…`.

    A namespace in it counts for nothing: a plugin uses the secrets of its own. Empty for a kind of which a plugin gets
    none; None where istiod takes the plugin for one without a secret. (pilot/pkg/model/credentials/resource.go)
    """
    if reference.startswith("builtin://"):
        return None
    if reference.startswith("invalid://"):
        return ""
    for scheme in ("kubernetes-gateway://", "configmap://"):
        if reference.startswith(scheme):
            namespace, _, rest = reference.removeprefix(scheme).partition("/")
            return "" if namespace and rest.partition("/")[0] else None
    first, slash, rest = reference.removeprefix("kubernetes://").partition("/")
    return rest.partition("/")[0] if slash else first


class Plugin:
    """One WasmPlugin with all that is derived from it. `created_s` is when it was made, 0 if unknown.

    Raises ValueError for a spec that istiod discards: a URL that Go can't parse, a value without a kind.
    """

    def __init__(self, namespace: str, name: str, spec: ext.WasmPlugin, version: str, created_s: float = 0) -> None:
        url = normalise_url(spec.url)
        if url is None:
            raise ValueError(f"no URL: {spec.url!r}")
        self.namespace = namespace
        self.name = name
        self.spec = spec
        self.version = version
        self.created_s = created_s
        self.url = url
        # As istiod does: an empty object is no configuration.
        self.configuration = struct_text(spec.plugin_config) if spec.plugin_config.fields else None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def selects(self, node: Node, port: int, profile: Profile) -> bool:
        """Whether the plugin applies to a gateway proxy's listener."""
        if not self._attaches(node, profile):
            return False
        if not self.spec.match:
            return True
        return any(self._matches(selector, port) for selector in self.spec.match)

    def served(self, node: Node, profile: Profile) -> bool:
        """Whether a proxy that names the plugin gets its extension configuration, in its listeners or not.

        A kind of plugin that istiod does not know yet has a filter there, and no extension configuration.
        """
        if profile.network_plugins and self.spec.type not in ext.PluginType.values():
            return False
        return self._in_reach(node) if profile.extensions_served == "named" else self._attaches(node, profile)

    def _in_reach(self, node: Node) -> bool:
        return self.namespace in (ROOT_NAMESPACE, node.namespace)

    def _attaches(self, node: Node, profile: Profile) -> bool:
        """Whether the plugin is for the proxy at all, by targetRef or else by selector."""
        if not self._in_reach(node):
            return False
        targets = self._targets() if profile.target_refs else []
        if targets:
            gateway = node.labels.get(_GATEWAY_NAME)
            return self.namespace == node.namespace and any(
                target.group == _GATEWAY_API
                and target.kind == "Gateway"
                and target.name == gateway
                and target.namespace in ("", node.namespace)
                for target in targets
            )
        return all(node.labels.get(key) == value for key, value in self.spec.selector.match_labels.items())

    def _targets(self) -> Sequence[istio_type.PolicyTargetReference]:
        if self.spec.targetRefs:
            return self.spec.targetRefs
        return [self.spec.targetRef] if self.spec.HasField("targetRef") else []

    @staticmethod
    def _matches(selector: ext.WasmPlugin.TrafficSelector, port: int) -> bool:
        # For a gateway the workload counts as the client (istio.io, WorkloadMode).
        if selector.mode == istio_type.SERVER:
            return False
        return not selector.ports or any(p.number == port for p in selector.ports)

    @property
    def fails_open(self) -> bool:
        return bool(self.spec.fail_strategy == ext.FAIL_OPEN)

    def is_network(self, profile: Profile) -> bool:
        return profile.network_plugins and self.spec.type == ext.NETWORK

    def extension_name(self, profile: Profile) -> str:
        return profile.extension_name.format(namespace=self.namespace, name=self.name)

    def order(self, profile: Profile) -> tuple[int, bool, float, str]:
        """Within a phase: by descending priority, without one last; then the root namespace where the profile has it,
        the older before the younger, and by name and namespace.
        """
        priority = self.spec.priority.value if self.spec.HasField("priority") else _NO_PRIORITY
        in_root = self.namespace == ROOT_NAMESPACE
        later = in_root if profile.root_namespace_plugins == "last" else not in_root
        return (-priority, later, self.created_s, f"{self.name}.{self.namespace}")

    def config_source(self, profile: Profile) -> ExtensionConfigSource:
        """The filter's `config_discovery`: nothing of the plugin itself."""
        rule = profile.config_discovery
        type_urls = [TYPE_PREFIX + name for name in rule.type_urls]
        if self.is_network(profile):
            type_urls = [name.replace(".filters.http.", ".filters.network.") for name in type_urls]
        source = ExtensionConfigSource(
            config_source=ConfigSource(
                ads=AggregatedConfigSource(),
                initial_fetch_timeout=timedelta(0),
                resource_api_version=ApiVersion.V3,
            ),
            type_urls=type_urls,
        )
        if rule.default_config == "always" or (rule.default_config == "fail_open" and self.fails_open):
            source.default_config = pack(Composite())
            source.type_urls.append(HTTP_COMPOSITE)
            source.apply_default_config_without_warming = rule.apply_default_config_without_warming
        return source

    def extension(self, profile: Profile, secrets: PullSecrets) -> Resource:
        """The TypedExtensionConfig that ECDS serves, its code still remote."""
        config = envoy.PluginConfig(
            name=f"{self.namespace}.{self.name}",
            root_id=self.spec.plugin_name,
            vm_config=self._vm_config(secrets),
            configuration=self._configuration(),
        )
        if profile.failure_field == "fail_open":
            config.fail_open = self.fails_open
        else:
            config.failure_policy = _FAILURE_POLICIES.get(self.spec.fail_strategy, envoy.UNSPECIFIED)
        name = self.extension_name(profile)
        wasm = pack_own(NETWORK_WASM if self.is_network(profile) else HTTP_WASM, envoy.Wasm(config=config))
        extension = envoy.TypedExtensionConfig(name=name, typed_config=wasm)
        return Resource(name, ECDS, extension.SerializeToString())

    def _vm_config(self, secrets: PullSecrets) -> envoy.VmConfig:
        variables: dict[str, str] = {}
        secret = secret_name(self.spec.image_pull_secret) if self.spec.image_pull_secret else None
        if secret is not None:
            variables[ENV_PULL_SECRET] = secrets.get(self.namespace, secret) if secret else ""
        if self.spec.image_pull_policy != ext.UNSPECIFIED_POLICY:
            variables[ENV_PULL_POLICY] = _name_of(self.spec.image_pull_policy)
        variables[ENV_RESOURCE_VERSION] = self.version
        host_keys = []
        for variable in self.spec.vm_config.env:
            if variable.value_from == ext.HOST:
                host_keys.append(variable.name)
            elif variable.value_from == ext.INLINE:
                variables[variable.name] = variable.value
        return envoy.VmConfig(
            runtime="envoy.wasm.runtime.v8",
            code=self._code(),
            environment_variables=envoy.EnvironmentVariables(key_values=variables, host_env_keys=host_keys),
        )

    def _code(self) -> envoy.AsyncDataSource:
        if self.url.startswith("file:"):
            return envoy.AsyncDataSource(local=envoy.DataSource(filename=self.spec.url.removeprefix("file://")))
        return envoy.AsyncDataSource(
            remote=envoy.RemoteDataSource(
                http_uri=envoy.HttpUri(uri=self.url, cluster="_", timeout=_FETCH_TIMEOUT),
                sha256=self.spec.sha256,
            )
        )

    def _configuration(self) -> ProtoAny:
        if self.configuration is None:
            return ProtoAny()
        text = StringValue(value=self.configuration)
        return ProtoAny(type_url=TYPE_PREFIX + "google.protobuf.StringValue", value=text.SerializeToString())


def _name_of(policy: ext.PullPolicy) -> str:
    """A policy that is not known yet has its number for a name."""
    return ext.PullPolicy.Name(policy) if policy in ext.PullPolicy.values() else str(policy)


class Slots:
    """The plugins of one listener, by phase and kind, in the order of the chain.

    A phase that istiod does not know has no place in it.
    """

    def __init__(self, plugins: Iterable[Plugin], profile: Profile, node: Node, port: int) -> None:
        self._slots: dict[tuple[int, bool], list[Plugin]] = {}
        for plugin in plugins:
            if plugin.selects(node, port, profile):
                self._slots.setdefault((plugin.spec.phase, plugin.is_network(profile)), []).append(plugin)
        for slot in self._slots.values():
            slot.sort(key=lambda plugin: plugin.order(profile))

    def of(self, phases: Sequence[str], *, network: bool) -> list[Plugin]:
        """Those that stand where these phases have their place."""
        return [plugin for phase in phases for plugin in self._slots.get((ext.PluginPhase.Value(phase), network), ())]

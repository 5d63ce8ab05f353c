"""Discovery's debug pages, with the shapes of istiod's (pilot/pkg/xds/debug.go, 1.27)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import betterproto2

from sim.debug_pages import NoAnswer, Page, debug_pages, kubernetes_object
from sim.discovery.plugins import ENV_PULL_SECRET
from sim.discovery.server import Discovery
from sim.model import CDS, ECDS, EDS, LDS, RDS, SHORT_NAMES, TYPE_PREFIX, Node
from sim.trace import Event, Trace
from sim.xds import ServerStream
from sim.xds.packing import to_json

_SYNCZ_NAMES = {CDS: "cluster", LDS: "listener", RDS: "route", EDS: "endpoint", ECDS: "extensionconfig"}
_TYPE_URLS = {short: type_url for type_url, short in SHORT_NAMES.items()}
_ADMIN = TYPE_PREFIX + "envoy.admin.v3."


class SendTimes:
    """When each type last went out on each stream, from the trace; from the moment on that this is made."""

    def __init__(self, trace: Trace) -> None:
        self._times: dict[int, dict[str, datetime]] = {}
        trace.listen(self._follow)

    def of(self, stream: int, type_url: str) -> datetime | None:
        return self._times.get(stream, {}).get(type_url)

    def _follow(self, event: Event) -> None:
        if event.event == "discovery.push" and event.type_url is not None:
            self._times.setdefault(event.data["stream"], {})[event.type_url] = datetime.now(UTC)
        elif event.event == "discovery.stream_closed":
            self._times.pop(event.data["stream"], None)


class DebugPages:
    """The pages' content. A page's query is that of istiod's."""

    def __init__(self, part: Discovery, times: SendTimes) -> None:
        self._part = part
        self._times = times

    @property
    def pages(self) -> list[Page]:
        return [
            Page("syncz", "What each proxy was sent and acknowledged", self.syncz),
            Page("configz", "The configuration received from Core", self.configz),
            Page("ecdsz", "The extension configurations of a proxy; ?proxyID=NAME", self.ecdsz),
            Page("config_dump", "What a proxy is sent, as Envoy's config_dump; ?proxyID=NAME", self.config_dump),
        ]

    def syncz(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """One object a proxy, its keys as istiod prints them; `namespace` asks for the proxies of one."""
        namespace = query.get("namespace", "")
        return [self._sync_status(stream) for stream in self._streams() if namespace in ("", stream.node.namespace)]

    def configz(self, _: Mapping[str, str]) -> list[dict[str, Any]]:
        """All that Core sent, as Kubernetes objects under the API version that it was asked for."""
        configuration = self._part.configuration
        plugins = {plugin.key: plugin for plugin in configuration.freeze()[1]}
        found = []
        for api_version in self._part.profile.mcp_types:
            kind = api_version.rpartition("/")[2]
            for name, spec in sorted(configuration.by_kind.get(kind, {}).items()):
                plugin = plugins.get(name) if kind == "WasmPlugin" else None
                found.append(
                    kubernetes_object(
                        api_version,
                        name,
                        spec,
                        created=datetime.fromtimestamp(plugin.created_s, UTC) if plugin and plugin.created_s else None,
                        resource_version=plugin.version if plugin else "",
                    )
                )
        return found

    def ecdsz(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The filters that a proxy's extension configurations hold: as in istiod, without the name around them."""
        return self.config_dump({**query, "types": "ecds"})

    def config_dump(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A proxy's resources in the layout of Envoy's /config_dump, the endpoints only with `include_eds`.

        With `types` (such as `ecds,lds`) the bare resources of those types. Unlike istiod's, the whole dump keeps
        the extension's own name around a Wasm filter, as Envoy's has it.
        """
        stream = self._stream(query.get("proxyID", ""))
        if query.get("types"):
            wanted = [_TYPE_URLS.get(word.upper(), word) for word in query["types"].split(",")]
            resources = [found for type_url in wanted for found in self._resources(stream, type_url)]
            return {"configs": [_filter_inside(found) for found in resources]}
        version = self._part.context.version

        def entries(type_url: str, key: str) -> list[dict[str, Any]]:
            return [{"versionInfo": version, key: found} for found in self._resources(stream, type_url)]

        listeners = [
            {"name": found.get("name", ""), "activeState": {"versionInfo": version, "listener": found}}
            for found in self._resources(stream, LDS)
        ]
        clusters = [{"cluster": found} for found in self._resources(stream, CDS)]
        sections: dict[str, dict[str, Any]] = {
            "Bootstrap": {},
            "Clusters": {"versionInfo": version, "dynamicActiveClusters": clusters},
        }
        if "include_eds" in query:
            sections["Endpoints"] = {"dynamicEndpointConfigs": entries(EDS, "endpointConfig")}
        sections |= {
            "Listeners": {"versionInfo": version, "dynamicListeners": listeners},
            "ScopedRoutes": {},
            "Routes": {"dynamicRouteConfigs": entries(RDS, "routeConfig")},
            "Secrets": {},
            "Ecds": {"ecdsFilters": entries(ECDS, "ecdsFilter")},
        }
        return {"configs": [{"@type": f"{_ADMIN}{name}ConfigDump", **held} for name, held in sections.items()]}

    def _streams(self) -> list[ServerStream]:
        """The streams of clients that have said who they are, by proxy and age."""
        known = [stream for stream in self._part.ads.streams.values() if stream.node.id]
        return sorted(known, key=lambda stream: (_identity(stream.node)[1], stream.id))

    def _stream(self, wanted: str) -> ServerStream:
        """The newest connection of the proxy of this name, or as in istiod one whose ID contains it.

        Raises NoAnswer: 400 without a name, 404 when no such proxy is connected.
        """
        streams = self._streams()
        names = [_identity(stream.node)[1] for stream in streams]
        connected = f"connected: {', '.join(dict.fromkeys(names)) or 'none'}"
        if not wanted:
            raise NoAnswer(400, f"add ?proxyID=NAME to say which proxy is meant; {connected}")
        same = [stream for stream, name in zip(streams, names, strict=True) if name == wanted]
        alike = [stream for stream, name in zip(streams, names, strict=True) if wanted in f"{name}-{stream.id}"]
        if not same and not alike:
            raise NoAnswer(404, f"no proxy {wanted} is connected to this Discovery; {connected}")
        return (same or alike)[-1]

    def _resources(self, stream: ServerStream, type_url: str) -> list[dict[str, Any]]:
        """What a push would send of a type, as JSON; nothing of a type that the proxy does not watch."""
        watch = stream.watches.get(type_url)
        if watch is None:
            return []
        names = None if watch.wildcard else frozenset(watch.names)
        answer = self._part.context.answer(stream.node, type_url, names)
        if answer is None:
            return []
        found = [to_json(resource.type_url, resource.body, betterproto2.Casing.CAMEL) for resource in answer.resources]
        for resource in found:
            _redact(resource)
        return found

    def _sync_status(self, stream: ServerStream) -> dict[str, Any]:
        kind, name = _identity(stream.node)
        status = {
            "cluster_id": stream.cluster_id,
            "proxy": name,
            "proxy_type": kind,
            "istio_version": stream.istio_version,
        }
        for type_url, key in _SYNCZ_NAMES.items():
            watch = stream.watches.get(type_url)
            status[f"{key}_sent"] = watch.nonce_sent if watch else ""
            status[f"{key}_acked"] = watch.nonce_acked if watch else ""
        resources: dict[str, dict[str, str]] = {}
        for type_url, watch in sorted(stream.watches.items()):
            sent = self._times.of(stream.id, type_url)
            resources[type_url] = _set(
                {
                    "sent": watch.nonce_sent,
                    "acked": watch.nonce_acked,
                    "sentTime": sent.isoformat().replace("+00:00", "Z") if sent else "",
                    "lastError": watch.error or "",
                }
            )
        return {**_set(status), **({"resources": resources} if resources else {})}


def _set(fields: dict[str, str]) -> dict[str, str]:
    """Those that are not empty: istiod leaves out the others."""
    return {key: value for key, value in fields.items() if value}


def _identity(node: Node) -> tuple[str, str]:
    """The proxy's type and name: `router` and `gateway-1.higress-system`; an ID that is not Istio's is its own name."""
    parts = node.id.split("~")
    return (parts[0], parts[2]) if len(parts) == 4 else ("", node.id)


def _filter_inside(resource: dict[str, Any]) -> dict[str, Any]:
    inside = resource.get("typedConfig")
    return inside if resource["@type"] == ECDS and isinstance(inside, dict) else resource


def _redact(resource: dict[str, Any]) -> None:
    """A pull secret is nobody's to see."""
    wasm = resource.get("typedConfig", {}).get("config", {})
    variables = wasm.get("vmConfig", {}).get("environmentVariables", {}).get("keyValues", {})
    if ENV_PULL_SECRET in variables:
        variables[ENV_PULL_SECRET] = "<Redacted>"


@asynccontextmanager
async def debug_server(part: Discovery, times: SendTimes, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Discovery's debug port, up while inside; yields its address. Raises EnvironmentProblem when it is taken."""
    async with debug_pages("discovery", DebugPages(part, times).pages, listen) as address:
        yield address

"""Core's controller: follows the store, converts, and holds what Discovery may be sent.

Imitates the life of a WasmPlugin in Higress (`AddOrUpdateWasmPlugin`, `DeleteWasmPlugin` and `List` of
pkg/ingress/config/ingress_config.go, and secret_config_mgr.go): only the controller's own namespace is read; an
update that does not convert leaves the previous conversion in force; a Secret's change is followed once a value of
it was used, so a Secret that arrives after its plugin counts from the next change of any WasmPlugin on.
Istio WasmPlugins, which a cluster's istiod reads by itself, are passed on from every namespace as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from google.protobuf.message import Message

from sim.core.convert import as_json, convert, decode_istio
from sim.core.errors import ConversionError
from sim.core.ingress import Routing, make_routing
from sim.core.options import CoreOptions
from sim.core.store import EventType, Store, StoredObject
from sim.core.templates import TemplateError, fill
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN
from sim.proto_gen import istio_extensions_pb2 as istio
from sim.trace import Payload, Trace

Kind = Literal["WasmPlugin", "Gateway", "VirtualService", "ServiceEntry"]
KINDS: tuple[Kind, ...] = ("WasmPlugin", "Gateway", "VirtualService", "ServiceEntry")

#: Called with the changed kinds and the names (`namespace/name`) of the changed plugins.
Listener = Callable[[frozenset[Kind], frozenset[str]], None]

_CHANGES: dict[EventType, str] = {"ADDED": "created", "MODIFIED": "configured", "DELETED": "deleted"}


@dataclass(frozen=True, slots=True)
class McpResource:
    """One resource as MCP carries it. `create_time` is None where Core keeps none, as for all it converts."""

    name: str
    body: Message
    create_time: datetime | None = None


class Controller:
    """Reads `store` from the start and follows it until `close`. Everything happens inside the store's calls.

    `revision` counts the effective changes. No bad object makes it raise: failures are trace events.
    """

    def __init__(self, store: Store, options: CoreOptions, trace: Trace) -> None:
        self.revision = 0
        self._store = store
        self._options = options
        self._trace = trace
        self._listeners: list[Listener] = []
        #: By namespace/name: what was converted, and what was passed on.
        self._converted: dict[str, istio.WasmPlugin] = {}
        self._passed: dict[str, tuple[istio.WasmPlugin, datetime]] = {}
        self._used_secrets: dict[str, frozenset[str]] = {}
        self._template_errors: dict[str, str] = {}
        self._skipped: set[tuple[str, tuple[str | int, ...], str]] = set()
        self._listed: dict[Kind, dict[str, McpResource]] = {kind: {} for kind in KINDS}
        self._set_routing(make_routing((), (), options))
        for found in store.list():
            self._follow("ADDED", found, listed=True)
        self._stop = store.watch(self._follow)

    def close(self) -> None:
        """Stop following the store."""
        self._stop()

    def resources(self, kind: Kind) -> list[McpResource]:
        """What Discovery may be sent of a kind, by name."""
        return [self._listed[kind][name] for name in sorted(self._listed[kind])]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each effective change; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _follow(self, event: EventType, subject: StoredObject, *, listed: bool = False) -> None:
        is_plugin = subject.key.kind == WASM_PLUGIN
        is_higress = subject.key.api_version == HIGRESS_WASM
        # What was there when Core started is read, not changed.
        noted: dict[str, Any] = {"change": "listed" if listed else _CHANGES[event]}
        if is_plugin and is_higress and subject.key.namespace != self._options.namespace:
            noted["ignored"] = f"only the namespace {self._options.namespace} is read"
        self._trace.emit("core.apply", **_fields(subject), **noted)
        if "ignored" in noted:
            return
        if is_plugin:
            self._follow_plugin(event, subject, is_higress)
            self._list_plugins()
        elif subject.key.kind == "Secret":
            if any(subject.name in used for used in self._used_secrets.values()):
                self._list_plugins()
        else:
            self._route(subject)

    def _follow_plugin(self, event: EventType, subject: StoredObject, is_higress: bool) -> None:
        held: dict[str, Any] = self._converted if is_higress else self._passed
        if event == "DELETED":
            held.pop(subject.name, None)
            return
        payloads = {"before": Payload(subject.as_json)}
        span = self._trace.span("core.convert", **_fields(subject))
        try:
            spec = subject.spec
            plugin = convert(spec, self._options.selector) if is_higress else decode_istio(spec)
        except ConversionError as error:
            span.fail(error.reason, payloads=payloads, kept_previous=subject.name in held)
            return
        if plugin is None:
            held.pop(subject.name, None)
            span.complete(payloads=payloads, outcome="disabled")
            return
        payloads["after"] = Payload(_rendering(subject.name, plugin))
        span.complete(payloads=payloads, outcome="converted" if is_higress else "passed on")
        held[subject.name] = plugin if is_higress else (plugin, subject.creation_timestamp)

    def _list_plugins(self) -> None:
        """As `List` of Higress: every conversion with its references filled in, just now."""
        listed = {name: McpResource(name, plugin, made) for name, (plugin, made) in self._passed.items()}
        for name, plugin in self._converted.items():
            listed[name] = McpResource(name, self._filled(name, plugin))
        for gone in self._used_secrets.keys() - self._converted.keys():
            del self._used_secrets[gone]
        self._changed({"WasmPlugin": listed})

    def _filled(self, name: str, plugin: istio.WasmPlugin) -> istio.WasmPlugin:
        try:
            filled, used = fill(plugin, self._options.namespace, self._store.secret_value)
        except TemplateError as error:
            # Higress forgets a dependency only when a resource has no reference left.
            self._used_secrets[name] = self._used_secrets.get(name, frozenset()) | error.used
            if self._template_errors.get(name) != error.reason:
                self._template_errors[name] = error.reason
                self._trace.span("core.template", resource=name, plugin=name).fail(error.reason)
            return plugin
        self._template_errors.pop(name, None)
        if used:
            self._used_secrets[name] = self._used_secrets.get(name, frozenset()) | used
        else:
            self._used_secrets.pop(name, None)
        return filled

    def _route(self, subject: StoredObject) -> None:
        span = self._trace.span("core.convert", **_fields(subject))
        routing = make_routing(self._store.list("Ingress"), self._store.list("Service"), self._options)
        skipped = {(found.ingress.name, found.path, found.reason): found for found in routing.skipped}
        for identity in skipped.keys() - self._skipped:
            found = skipped[identity]
            where = found.ingress.manifest.where(*found.path)
            self._trace.span("core.convert", **_fields(found.ingress)).fail(
                found.reason, where=str(where), key=where.key
            )
        self._skipped = set(skipped)
        payloads = {"before": Payload(subject.as_json), "after": Payload(routing.as_json)}
        span.complete(payloads=payloads, skipped=len(skipped))
        self._set_routing(routing)

    def _set_routing(self, routing: Routing) -> None:
        messages: dict[Kind, Mapping[str, Message]] = {
            "Gateway": routing.gateways,
            "VirtualService": routing.virtual_services,
            "ServiceEntry": routing.service_entries,
        }
        self._changed(
            {
                kind: {name: McpResource(name, body) for name, body in bodies.items()}
                for kind, bodies in messages.items()
            }
        )

    def _changed(self, listed: dict[Kind, dict[str, McpResource]]) -> None:
        """Take over the new resources, and tell the listeners where they differ from the old."""
        kinds = frozenset(kind for kind, new in listed.items() if new != self._listed[kind])
        if not kinds:
            return
        old_plugins = self._listed["WasmPlugin"]
        self._listed.update(listed)
        new_plugins = self._listed["WasmPlugin"]
        names = old_plugins.keys() | new_plugins.keys()
        plugins = frozenset(name for name in names if old_plugins.get(name) != new_plugins.get(name))
        self.revision += 1
        for listener in tuple(self._listeners):
            listener(kinds, plugins)


def istio_object(name: str, plugin: istio.WasmPlugin) -> dict[str, Any]:
    """A converted plugin as the Kubernetes object it would be; `name` is `namespace/name`."""
    namespace, _, short = name.partition("/")
    return {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": WASM_PLUGIN,
        "metadata": {"name": short, "namespace": namespace},
        "spec": as_json(plugin),
    }


def _rendering(name: str, plugin: istio.WasmPlugin) -> Callable[[], dict[str, Any]]:
    return lambda: istio_object(name, plugin)


def _fields(subject: StoredObject) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type_url": subject.type_url,
        "resource": subject.name,
        "version_info": subject.resource_version,
    }
    if subject.key.kind == WASM_PLUGIN:
        fields["plugin"] = subject.name
        fields["image"] = subject.spec.get("url")
    return fields

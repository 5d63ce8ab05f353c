"""The resources that are served: what discovery says of them, and the shape of their objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.manifests import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN
from sim.manifests.kinds import KINDS, METADATA, Kind
from sim.manifests.schema import Fields, Shape, Text, Unchecked

#: Names of nested keys, outermost first.
Names = tuple[str, ...]

_READ = ("get", "list", "watch")
_ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CUSTOM = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
#: Lists whose items are told apart: by these keys of an item, or, where there are none, by the item itself.
_METADATA_LISTS: dict[Names, Names] = {("metadata", "finalizers"): (), ("metadata", "ownerReferences"): ("uid",)}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one API version.

    `struct_keys` are the top keys that Kubernetes' own types always have; a custom resource has none. `unowned_keys`
    are those that no change counts for. `has_rules`: its CustomResourceDefinition has rules in CEL. `generations`: its
    objects count their changes for everybody to see. `lists` are those whose items are told apart; `atomic` mappings
    have one owner as a whole.
    """

    api_version: str
    kind: str
    plural: str
    singular: str
    shape: Fields
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL
    namespaced: bool = True
    custom: bool = False
    has_rules: bool = False
    generations: bool = False
    struct_keys: frozenset[str] = frozenset()
    unowned_keys: frozenset[str] = frozenset({"apiVersion", "kind", "status"})
    lists: Mapping[Names, Names] = field(default_factory=lambda: _METADATA_LISTS)
    atomic: frozenset[Names] = frozenset()

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"


def _shape(api_version: str, kind: str) -> Fields:
    found = next(known for known in KINDS if (known.api_version, known.kind) == (api_version, kind))
    return _whole(found)


def _whole(kind: Kind) -> Fields:
    return Fields({**_TYPE, "metadata": METADATA, **kind.body}, required=kind.required)


_TYPE: dict[str, Shape] = {"apiVersion": Text(), "kind": Text()}
_NAMESPACE = Fields({**_TYPE, "metadata": METADATA, "spec": Unchecked(), "status": Unchecked()})
_NOTHING = Fields({**_TYPE, "metadata": METADATA})

HIGRESS_PLUGINS = Resource(
    HIGRESS_WASM,
    WASM_PLUGIN,
    "wasmplugins",
    "wasmplugin",
    _shape(HIGRESS_WASM, WASM_PLUGIN),
    categories=("higress-io", "extensions-higress-io"),
    verbs=_CUSTOM,
    custom=True,
    generations=True,
)
ISTIO_PLUGINS = Resource(
    ISTIO_WASM,
    WASM_PLUGIN,
    "wasmplugins",
    "wasmplugin",
    _shape(ISTIO_WASM, WASM_PLUGIN),
    categories=("istio-io", "extensions-istio-io"),
    verbs=_CUSTOM,
    custom=True,
    has_rules=True,
    generations=True,
    lists={**_METADATA_LISTS, ("spec", "vmConfig", "env"): ("name",)},
)
INGRESSES = Resource(
    "networking.k8s.io/v1",
    "Ingress",
    "ingresses",
    "ingress",
    _shape("networking.k8s.io/v1", "Ingress"),
    short_names=("ing",),
    generations=True,
    struct_keys=frozenset({"spec"}),
    atomic=frozenset({("spec", "defaultBackend", "service", "port"), ("spec", "defaultBackend", "resource")}),
)
SERVICES = Resource(
    "v1",
    "Service",
    "services",
    "service",
    _shape("v1", "Service"),
    short_names=("svc",),
    categories=("all",),
    struct_keys=frozenset({"spec"}),
    lists={**_METADATA_LISTS, ("spec", "ports"): ("port", "protocol")},
    atomic=frozenset({("spec", "selector")}),
)
SECRETS = Resource("v1", "Secret", "secrets", "secret", _shape("v1", "Secret"))
NAMESPACES = Resource(
    "v1",
    "Namespace",
    "namespaces",
    "namespace",
    _NAMESPACE,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    namespaced=False,
    unowned_keys=frozenset({"apiVersion", "kind", "spec", "status"}),
)
# What `kubectl describe` asks for beside the object; there are none.
EVENTS = Resource("v1", "Event", "events", "event", _NOTHING, short_names=("ev",), verbs=_READ)
ENDPOINTS = Resource("v1", "Endpoints", "endpoints", "endpoints", _NOTHING, short_names=("ep",), verbs=_READ)
ENDPOINT_SLICES = Resource(
    "discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "endpointslice", _NOTHING, verbs=_READ
)

RESOURCES: tuple[Resource, ...] = (
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    SECRETS,
    SERVICES,
    ENDPOINT_SLICES,
    HIGRESS_PLUGINS,
    ISTIO_PLUGINS,
    INGRESSES,
)


def find_resource(api_version: str, plural: str) -> Resource | None:
    return next((known for known in RESOURCES if (known.api_version, known.plural) == (api_version, plural)), None)


def resource_of(api_version: str, kind: str) -> Resource | None:
    """The resource whose objects are of this kind."""
    return next((known for known in RESOURCES if (known.api_version, known.kind) == (api_version, kind)), None)

"""The kinds of object that ecdsim takes, and the shape of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.manifests.schema import (
    Boolean,
    Fields,
    Free,
    Integer,
    IntOrText,
    Items,
    Shape,
    Text,
    TextMap,
    Unchecked,
)

HIGRESS_WASM = "extensions.higress.io/v1alpha1"
ISTIO_WASM = "extensions.istio.io/v1alpha1"
WASM_PLUGIN = "WasmPlugin"

_PHASES = ("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")
_POLICIES = ("UNSPECIFIED_POLICY", "IfNotPresent", "Always")
_NAMES = Items(Text())
_ONLY_ISTIO = (
    f"Core sets the selector by itself and the rest is only in Istio's API; remove it or use apiVersion: {ISTIO_WASM}"
)
_ONLY_HIGRESS = f"it is a field of Higress' API; use apiVersion: {HIGRESS_WASM}"

_VM_CONFIG = Fields({"env": Items(Fields({"name": Text(), "value": Text(), "valueFrom": Text(("INLINE", "HOST"))}))})

_HIGRESS_SPEC = Fields(
    {
        "url": Text(),
        "sha256": Text(),
        "imagePullPolicy": Text(_POLICIES),
        "imagePullSecret": Text(),
        "verificationKey": Text(),
        "pluginConfig": Free(),
        "pluginName": Text(),
        "phase": Text(_PHASES),
        "priority": Integer(nullable=True),
        "failStrategy": Text(("FAIL_CLOSE", "FAIL_OPEN")),
        "vmConfig": _VM_CONFIG,
        "defaultConfig": Free(),
        "defaultConfigDisable": Boolean(),
        "matchRules": Items(
            Fields(
                {
                    "ingress": _NAMES,
                    "domain": _NAMES,
                    "service": _NAMES,
                    "routeType": Text(("HTTP", "GRPC")),
                    "config": Free(),
                    "configDisable": Boolean(),
                }
            )
        ),
    },
    elsewhere=dict.fromkeys(("selector", "targetRef", "targetRefs", "match", "type"), _ONLY_ISTIO),
)

_TARGET = Fields({"group": Text(), "kind": Text(), "name": Text(), "namespace": Text()}, required=("kind", "name"))
_PORT_NUMBER = Integer(1, 65535)

_ISTIO_SPEC = Fields(
    {
        "selector": Fields({"matchLabels": TextMap()}),
        "url": Text(nonempty=True),
        "sha256": Text(pattern=r"$|[a-f0-9]{64}"),
        "imagePullPolicy": Text(_POLICIES),
        "imagePullSecret": Text(),
        "verificationKey": Text(),
        "pluginConfig": Free(),
        "pluginName": Text(),
        "phase": Text(_PHASES),
        "priority": Integer(nullable=True),
        "failStrategy": Text(("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")),
        "vmConfig": _VM_CONFIG,
        "match": Items(
            Fields(
                {
                    "mode": Text(("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")),
                    "ports": Items(Fields({"number": _PORT_NUMBER}, required=("number",))),
                }
            )
        ),
        "type": Text(("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK")),
        "targetRef": _TARGET,
        "targetRefs": Items(_TARGET),
    },
    required=("url",),
    elsewhere=dict.fromkeys(("defaultConfig", "defaultConfigDisable", "matchRules"), _ONLY_HIGRESS),
)

_BACKEND_PORT = Fields({"name": Text(), "number": _PORT_NUMBER})
_BACKEND = Fields(
    {
        "service": Fields({"name": Text(nonempty=True), "port": _BACKEND_PORT}, required=("name",)),
        "resource": Fields({"apiGroup": Text(), "kind": Text(), "name": Text()}),
    },
    elsewhere={
        "serviceName": "networking.k8s.io/v1 writes service: {name: …, port: {number: …}}",
        "servicePort": "networking.k8s.io/v1 writes service: {name: …, port: {number: …}}",
    },
)

_INGRESS_SPEC = Fields(
    {
        "ingressClassName": Text(),
        "defaultBackend": _BACKEND,
        "rules": Items(
            Fields(
                {
                    "host": Text(),
                    "http": Fields(
                        {
                            "paths": Items(
                                Fields(
                                    {
                                        "path": Text(pattern="/.*"),
                                        "pathType": Text(("Exact", "Prefix", "ImplementationSpecific")),
                                        "backend": _BACKEND,
                                    },
                                    required=("pathType", "backend"),
                                )
                            )
                        },
                        required=("paths",),
                    ),
                }
            )
        ),
        "tls": Items(Fields({"hosts": _NAMES, "secretName": Text()})),
    },
    elsewhere={"backend": "networking.k8s.io/v1 calls it defaultBackend"},
)

_SERVICE_SPEC = Fields(
    {
        "ports": Items(
            Fields(
                {
                    "name": Text(),
                    "port": _PORT_NUMBER,
                    "targetPort": IntOrText(),
                    "nodePort": Integer(0, 65535),
                    "protocol": Text(("SCTP", "TCP", "UDP")),
                    "appProtocol": Text(),
                },
                required=("port",),
            )
        ),
        "selector": TextMap(),
        "type": Text(("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")),
        "clusterIP": Text(),
        "externalName": Text(),
        **dict.fromkeys(
            (
                "allocateLoadBalancerNodePorts",
                "clusterIPs",
                "externalIPs",
                "externalTrafficPolicy",
                "healthCheckNodePort",
                "internalTrafficPolicy",
                "ipFamilies",
                "ipFamilyPolicy",
                "loadBalancerClass",
                "loadBalancerIP",
                "loadBalancerSourceRanges",
                "publishNotReadyAddresses",
                "sessionAffinity",
                "sessionAffinityConfig",
                "trafficDistribution",
            ),
            Unchecked(),
        ),
    }
)

METADATA = Fields(
    {
        "name": Text(),
        "namespace": Text(),
        "labels": TextMap(),
        "annotations": TextMap(),
        **dict.fromkeys(
            (
                "creationTimestamp",
                "deletionGracePeriodSeconds",
                "deletionTimestamp",
                "finalizers",
                "generateName",
                "generation",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "selfLink",
                "uid",
            ),
            Unchecked(),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Kind:
    """`body` holds the keys beside apiVersion, kind and metadata. `crd`: checked as a custom resource is.

    `dotted`: the name may be an RFC 1123 subdomain; else it is a label that begins with a letter.
    """

    api_version: str
    kind: str
    body: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    crd: bool = False
    dotted: bool = True


KINDS: tuple[Kind, ...] = (
    Kind(HIGRESS_WASM, WASM_PLUGIN, {"spec": _HIGRESS_SPEC, "status": Unchecked()}, crd=True),
    Kind(ISTIO_WASM, WASM_PLUGIN, {"spec": _ISTIO_SPEC, "status": Unchecked()}, crd=True),
    Kind("networking.k8s.io/v1", "Ingress", {"spec": _INGRESS_SPEC, "status": Unchecked()}),
    Kind("v1", "Service", {"spec": _SERVICE_SPEC, "status": Unchecked()}, dotted=False),
    Kind("v1", "Secret", {"data": TextMap(), "stringData": TextMap(), "type": Text(), "immutable": Boolean()}),
)

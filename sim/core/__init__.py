"""Core: what the Higress controller does with WasmPlugins, Ingresses, Services and Secrets, up to MCP.

Behaviour as captured in tests/golden/core-higress.json from Higress at commit 4e0d691, whose sources each module
names: pkg/ingress/config/ingress_config.go and ingress_template.go, pkg/ingress/kube/ingressv1/controller.go.
"""

from sim.core.controller import KINDS, Controller, Kind, McpResource, istio_object
from sim.core.convert import as_json, convert, decode_istio
from sim.core.errors import ConversionError, DecodeError
from sim.core.ingress import Routing, Skipped, make_routing
from sim.core.options import CoreOptions
from sim.core.store import Change, EventType, Key, Store, StoredObject
from sim.core.templates import TemplateError, fill

__all__ = [
    "KINDS",
    "Change",
    "Controller",
    "ConversionError",
    "CoreOptions",
    "DecodeError",
    "EventType",
    "Key",
    "Kind",
    "McpResource",
    "Routing",
    "Skipped",
    "Store",
    "StoredObject",
    "TemplateError",
    "as_json",
    "convert",
    "decode_istio",
    "fill",
    "istio_object",
    "make_routing",
]

"""Higress WasmPlugin → Istio WasmPlugin.

Imitates `convertIstioWasmPlugin` of Higress (pkg/ingress/config/ingress_config.go, commit 4e0d691), its order of
checks included, and so its oddities: `pluginConfig`, even empty, ends it at once; a route type other than HTTP takes
the place of every ingress name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

from sim.core.decode import decode_into
from sim.core.errors import ConversionError
from sim.core.go_text import go_message
from sim.proto_gen import higress_extensions_pb2 as higress
from sim.proto_gen import istio_extensions_pb2 as istio

RULES = "_rules_"
MATCH_ROUTE = "_match_route_"
MATCH_SERVICE = "_match_service_"
MATCH_DOMAIN = "_match_domain_"

#: Alike in both messages, by name and number.
_COPIED = (
    "url",
    "sha256",
    "image_pull_policy",
    "image_pull_secret",
    "verification_key",
    "plugin_name",
    "phase",
    "fail_strategy",
)


def decode_higress(spec: Any) -> higress.WasmPlugin:
    """The `spec` of a manifest as Higress' message. Raises DecodeError."""
    message = higress.WasmPlugin()
    decode_into(message, spec)
    return message


def decode_istio(spec: Any) -> istio.WasmPlugin:
    """The `spec` of an Istio manifest, which Core passes on as it is. Raises DecodeError."""
    message = istio.WasmPlugin()
    decode_into(message, spec)
    return message


def as_json(message: Message) -> dict[str, Any]:
    """The message as Istio's types marshal it: camelCase, enums by name, defaults left out."""
    return json_format.MessageToDict(message)


def convert(spec: Any, selector: Mapping[str, str]) -> istio.WasmPlugin | None:
    """The Istio WasmPlugin for a Higress `spec`; None when everything in it is disabled.

    `selector`: the gateway's labels, from Core's options; one in the object is ignored.
    Raises ConversionError, whose `reason` is Higress' own.
    """
    return convert_message(decode_higress(spec), selector)


def convert_message(source: higress.WasmPlugin, selector: Mapping[str, str]) -> istio.WasmPlugin | None:
    """`convert`, of a decoded message, which stays as it is."""
    result = istio.WasmPlugin()
    result.selector.match_labels.update(selector)
    for name in _COPIED:
        setattr(result, name, getattr(source, name))
    if source.HasField("priority"):
        result.priority.CopyFrom(source.priority)
    if source.HasField("vm_config"):
        result.vm_config.SetInParent()
        for variable in source.vm_config.env:
            result.vm_config.env.add(
                name=variable.name,
                value=variable.value,
                value_from=cast(istio.EnvValueSource, variable.value_from),
            )
    if source.HasField("plugin_config"):
        result.plugin_config.CopyFrom(source.plugin_config)
        return result
    default_disabled = source.default_config_disable.value
    if source.HasField("default_config") and not default_disabled:
        result.plugin_config.CopyFrom(source.default_config)
    if source.match_rules:
        result.plugin_config.SetInParent()
    rules = [_rule(rule) for rule in source.match_rules if not rule.config_disable.value]
    if rules:
        target = result.plugin_config.fields[RULES]
        target.Clear()
        for rule in rules:
            target.list_value.values.add().struct_value.CopyFrom(rule)
    elif default_disabled:
        return None
    return result


def _rule(rule: higress.MatchRule) -> struct_pb2.Struct:
    if not (rule.ingress or rule.domain or rule.service):
        shown = higress.MatchRule()
        shown.CopyFrom(rule)
        shown.config.SetInParent()
        raise ConversionError(
            f"invalid match rule has no match condition, rule:{go_message(shown)}",
            hint="give every enabled rule of matchRules an ingress, domain or service",
        )
    ingresses: Iterable[str] = rule.ingress
    if rule.route_type != higress.HTTP:
        known = higress.RouteType.DESCRIPTOR.values_by_number.get(rule.route_type)
        ingresses = [known.name if known else str(rule.route_type)] * len(rule.ingress)
    result = struct_pb2.Struct()
    result.CopyFrom(rule.config)
    for key, names in ((MATCH_ROUTE, ingresses), (MATCH_SERVICE, rule.service), (MATCH_DOMAIN, rule.domain)):
        values = [struct_pb2.Value(string_value=name) for name in names]
        if values:
            result.fields[key].CopyFrom(struct_pb2.Value(list_value=struct_pb2.ListValue(values=values)))
    return result

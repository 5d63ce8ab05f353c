"""`${secret.name.key}` in a converted resource.

Imitates Higress' TemplateProcessor (pkg/ingress/config/ingress_template.go): the resource's JSON text is searched
and the values are pasted in unescaped, so a value with a quote in it breaks the text, or adds keys to it. When
anything fails the resource keeps all its placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from sim.core.convert import as_json, decode_istio
from sim.core.errors import ConversionError, DecodeError
from sim.core.go_text import json_problem
from sim.proto_gen import istio_extensions_pb2 as istio

#: Gives the value of (namespace, name, key) or raises LookupError with the reason.
SecretLookup = Callable[[str, str, str], str]

_REFERENCE = re.compile(r"\$\{([^.}/]+)\.(?:([^/}]+)/)?([^.}/]+)\.([^}]+)\}")
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class TemplateError(ConversionError):
    """A reference can't be resolved, or the text with the values in it is no longer the JSON of a WasmPlugin.

    `used`: the Secrets (`namespace/name`) that were read before it failed.
    """

    def __init__(self, reason: str, used: frozenset[str]) -> None:
        super().__init__(reason, hint="check the names in ${secret.[namespace/]name.key} and the Secret's value")
        self.used = used


def fill(plugin: istio.WasmPlugin, namespace: str, lookup: SecretLookup) -> tuple[istio.WasmPlugin, frozenset[str]]:
    """The resource with its references replaced, and the Secrets (`namespace/name`) they named.

    Without a reference it is `plugin` itself. `namespace`: where a Secret is looked for when the reference names
    none. Raises TemplateError.
    """
    if b"${" not in plugin.SerializeToString():
        # Writing JSON costs more than all the rest of a conversion, and most plugins refer to nothing.
        return plugin, frozenset()
    text = _go_json(plugin)
    used: set[str] = set()
    references = list(_REFERENCE.finditer(text))
    if not references:
        return plugin, frozenset()
    for reference in references:
        value_type, in_namespace, name, key = reference.groups()
        in_namespace = in_namespace or namespace
        try:
            if value_type != "secret":
                raise LookupError(f"unsupported value type: {value_type}")
            value = lookup(in_namespace, name, key)
        except LookupError as error:
            reason = f"failed to get {value_type} value for {in_namespace}/{name}.{key}: {error.args[0]}"
            raise TemplateError(reason, frozenset(used)) from error
        used.add(f"{in_namespace}/{name}")
        text = text.replace(reference[0], value, 1)
    try:
        return decode_istio(json.loads(text)), frozenset(used)
    except json.JSONDecodeError as error:
        reason = json_problem(text, error)
    except DecodeError as error:
        reason = error.reason
    raise TemplateError(f"failed to unmarshal substituted config: {reason}", frozenset(used))


def _go_json(plugin: istio.WasmPlugin) -> str:
    """As encoding/json writes it: compact, keys of a configuration sorted, HTML's characters escaped."""
    data = as_json(plugin)
    if "pluginConfig" in data:
        data["pluginConfig"] = json.loads(json.dumps(data["pluginConfig"], sort_keys=True))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return "".join(_HTML.get(character, character) for character in text)

"""What `kubectl explain` says of a field, by kind and path; list indices are left out."""

from __future__ import annotations

_WASM = {
    "": "Puts a Wasm plugin into the gateway's filter chain.",
    "spec": "Which plugin, where in the chain, and with which configuration.",
    "spec.url": "Where the module is: oci://<registry>/<repository>:<tag>, http(s)://… or file://…; without any, oci.",
    "spec.sha256": "Checksum that the downloaded module must have.",
    "spec.imagePullPolicy": "When a known image is pulled again; Always asks the registry each time the spec changes.",
    "spec.imagePullSecret": "Name of the Secret with the registry's credentials, in the gateway's namespace.",
    "spec.verificationKey": "Public key for signed images; nobody reads it.",
    "spec.pluginConfig": "Configuration that the plugin gets as it is.",
    "spec.pluginName": "Root ID that the module registers itself under.",
    "spec.phase": "Which group of filters the plugin stands in.",
    "spec.priority": "Order inside of the phase; the higher number comes first.",
    "spec.failStrategy": "What happens to requests when the plugin can't be loaded or crashes.",
    "spec.vmConfig": "Settings of the Wasm virtual machine.",
    "spec.vmConfig.env": "Environment variables that the module sees.",
    "spec.vmConfig.env.name": "The variable's name.",
    "spec.vmConfig.env.value": "The variable's value.",
    "spec.vmConfig.env.valueFrom": "INLINE: the value given here; HOST: the proxy's own environment.",
    "status": "Written by nobody here.",
}
_HIGRESS = {
    "spec.pluginConfig": "What the plugin gets as it is; where it is set, defaultConfig and matchRules do not count.",
    "spec.defaultConfig": "Configuration for requests that no rule of matchRules is for.",
    "spec.defaultConfigDisable": "Leave defaultConfig out.",
    "spec.matchRules": "Configurations for some routes, domains or services; the first that matches counts.",
    "spec.matchRules.ingress": "Routes that the rule is for: <namespace>/<ingress>, or <ingress> in the gateway's own.",
    "spec.matchRules.domain": "Hosts that the rule is for; *.example.com stands for those that end so.",
    "spec.matchRules.service": "Services that the rule is for, by the host name of their cluster.",
    "spec.matchRules.routeType": "HTTP routes, or GRPC ones.",
    "spec.matchRules.config": "What the plugin is given for these requests.",
    "spec.matchRules.configDisable": "Leave this rule out.",
}
_ISTIO = {
    "spec.selector": "Which proxies the plugin is for.",
    "spec.selector.matchLabels": "Labels that such a proxy has.",
    "spec.match": "Which traffic the plugin sees.",
    "spec.match.mode": "The traffic's direction, as the proxy sees it.",
    "spec.match.ports": "Ports that the traffic comes in on.",
    "spec.match.ports.number": "A port.",
    "spec.type": "HTTP filter or network filter.",
    "spec.targetRef": "The gateway or service that the plugin is for.",
    "spec.targetRefs": "The gateways or services that the plugin is for.",
}
_INGRESS = {
    "": "Routes of the gateway: which host and path lead to which service.",
    "spec": "The routes.",
    "spec.ingressClassName": "Who serves it; higress, for the gateway that is replayed here.",
    "spec.defaultBackend": "Where requests go that no rule is for.",
    "spec.rules": "Routes by host.",
    "spec.rules.host": "The request's host; every host where it is left out.",
    "spec.rules.http": "The host's paths.",
    "spec.rules.http.paths": "Routes by path.",
    "spec.rules.http.paths.path": "Begins with a slash.",
    "spec.rules.http.paths.pathType": "How the path is compared.",
    "spec.rules.http.paths.backend": "Where such requests go.",
    "spec.tls": "Hosts with a certificate.",
}
_METADATA = {
    "metadata": "Name, labels and what the server keeps of the object.",
    "metadata.name": "Unique for the kind in its namespace.",
    "metadata.namespace": "Where the object is; default where none is given.",
    "metadata.labels": "Words to select objects by.",
    "metadata.annotations": "Notes that nobody selects by.",
    "apiVersion": "The version of the API that the object is written in.",
    "kind": "What the object is.",
}
_BY_KIND: dict[tuple[str, str], dict[str, str]] = {
    ("extensions.higress.io", "WasmPlugin"): {**_WASM, **_HIGRESS},
    ("extensions.istio.io", "WasmPlugin"): {**_WASM, **_ISTIO},
    ("networking.k8s.io", "Ingress"): _INGRESS,
    ("", "Service"): {"": "A name for something that routes lead to.", "spec": "Its ports, and how it is reached."},
    ("", "Secret"): {
        "": "Values that manifests do not show.",
        "data": "The values, in Base64.",
        "stringData": "The same as plain text, for writing alone.",
        "type": "What the values are for.",
        "immutable": "Refuse every later change of the values.",
    },
    ("", "Namespace"): {"": "A part of the cluster with names of its own."},
    ("", "Event"): {"": "Something that happened to an object; there are none here."},
}


def description(group: str, kind: str, path: tuple[str, ...]) -> str | None:
    text = ".".join(path)
    return _BY_KIND.get((group, kind), {}).get(text) or _METADATA.get(text)

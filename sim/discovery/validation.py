"""What istiod 1.27 refuses when a WasmPlugin comes: the old one, if there is one, then stays in force.

Imitates pkg/config/validation (`ValidateWasmPlugin`), which istiod's store of MCP resources asks. What passes here may
still be discarded when it is pushed: `127.0.0.1:5000/p:1` is a valid URL, and has no parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sim.discovery.go_url import normalised, request_scheme
from sim.proto_gen import istio_extensions_pb2 as ext
from sim.proto_gen import istio_type_pb2 as istio_type

_SCHEMES = frozenset({"", "file", "http", "https", "oci"})
_TARGETS = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("networking.istio.io", "ServiceEntry"),
    }
)
_LOWER_HEX = frozenset("0123456789abcdef")
_SHA256_CHARACTERS = 64
_MOST_SECRET_BYTES = 253
_MOST_NAME_BYTES = 256
_MOST_PORT = 65535


def refusal(spec: ext.WasmPlugin) -> str | None:
    """Why the specification is refused, None when it is not."""
    return next(_problems(spec), None)


def _problems(spec: ext.WasmPlugin) -> Iterator[str]:
    if spec.HasField("selector") + spec.HasField("targetRef") + bool(spec.targetRefs) > 1:
        yield "it has more than one of selector, targetRef and targetRefs"
    for key, value in spec.selector.match_labels.items():
        if not key or "*" in key or "*" in value:
            yield f"its selector's label {key}={value} has no key, or a *"
    targets = [spec.targetRef] if spec.HasField("targetRef") else []
    yield from _targets([*targets, *spec.targetRefs])
    if not _is_url(spec.url):
        yield f"its URL {spec.url!r} is none, or has another scheme than file, http, https and oci"
    if spec.sha256 and (len(spec.sha256) != _SHA256_CHARACTERS or not _LOWER_HEX.issuperset(spec.sha256)):
        yield f"its sha256 {spec.sha256!r} is not 64 lower-case hexadecimal digits"
    if _size_bytes(spec.image_pull_secret) > _MOST_SECRET_BYTES:
        yield f"its imagePullSecret is longer than {_MOST_SECRET_BYTES} bytes"
    if _size_bytes(spec.plugin_name) > _MOST_NAME_BYTES:
        yield f"its pluginName is longer than {_MOST_NAME_BYTES} bytes"
    yield from _variables(spec.vm_config.env)
    for selector in spec.match:
        for port in selector.ports:
            if not 1 <= port.number <= _MOST_PORT:
                yield f"its match has the port {port.number}"


def _targets(references: Iterable[istio_type.PolicyTargetReference]) -> Iterator[str]:
    for reference in references:
        if not reference.name:
            yield "its targetRef has no name"
        if reference.namespace:
            yield "its targetRef has a namespace"
        if (reference.group, reference.kind) not in _TARGETS:
            yield f"its targetRef is to a {reference.group}/{reference.kind}"


def _is_url(url: str) -> bool:
    scheme = request_scheme(url)
    if scheme is None:
        # What is no request URI may be one without its scheme.
        url = f"http://{url}" if url else url
        scheme = request_scheme(url)
    return scheme in _SCHEMES and normalised(url, "") is not None


def _variables(variables: Iterable[ext.EnvVar]) -> Iterator[str]:
    seen = set()
    for variable in variables:
        if not variable.name or _size_bytes(variable.name) > _MOST_NAME_BYTES:
            yield f"a variable has no name, or one longer than {_MOST_NAME_BYTES} bytes"
        if variable.name in seen:
            yield f"the variable {variable.name} stands twice"
        seen.add(variable.name)
        if variable.value_from != ext.INLINE and variable.value:
            yield f"the variable {variable.name} has a value and comes from the host"


def _size_bytes(text: str) -> int:
    return len(text.encode())

"""What a route or a filter chain matches, in a few words."""

from __future__ import annotations

from collections.abc import Iterator

from sim.report.proxy_config.fields import Json, listed, nested, number, text, texts

_ISTIO_PLAIN = ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2")
_PLAIN = ("http/1.0", "http/1.1", "h2c")
#: Istio's usual sets of protocols, by name.
_PROTOCOLS = {
    (*_PLAIN, "istio-http/1.0", "istio-http/1.1", "istio-h2"): "HTTP TLS",
    _ISTIO_PLAIN: "Istio HTTP Plain",
    ("istio-peer-exchange", "istio"): "TCP TLS",
    _PLAIN: "HTTP",
}


def route_match(match: Json) -> str:
    """`/api*` for a prefix, `/api` for a whole path, `regex …`. Headers and queries are not shown."""
    conditions = []
    if prefix := text(match, "prefix"):
        conditions.append(f"{prefix}*")
    if prefix := text(match, "path_separated_prefix"):
        conditions.append(f"PathPrefix:{prefix}")
    if path := text(match, "path"):
        conditions.append(path)
    if regex := text(nested(match, "safe_regex"), "regex"):
        conditions.append(f"regex {regex}")
    return " ".join(conditions)


def chain_match(match: Json) -> str:
    """What a filter chain takes; `ALL` without a condition."""
    return "; ".join(_chain_conditions(match)) or "ALL"


def _chain_conditions(match: Json) -> Iterator[str]:
    if names := texts(match, "server_names"):
        yield f"SNI: {','.join(names)}"
    if transport := text(match, "transport_protocol"):
        yield f"Trans: {transport}"
    if protocols := texts(match, "application_protocols"):
        yield f"App: {_PROTOCOLS.get(tuple(protocols), ','.join(protocols))}"
    ranges = [f"{text(each, 'address_prefix')}/{number(each, 'prefix_len')}" for each in listed(match, "prefix_ranges")]
    port = number(match, "destination_port")
    if ranges or port:
        yield f"Addr: {','.join(ranges) or '*'}{f':{port}' if port else ''}"

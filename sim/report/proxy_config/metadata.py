"""Which Istio object a route or cluster was made of."""

from __future__ import annotations

from sim.report.proxy_config.fields import Json, nested, text

_API = "/apis/networking.istio.io/"


def origin(resource: Json) -> str:
    """`name.namespace` from the path that Istio leaves in the metadata, empty where there is none."""
    metadata = nested(resource, "metadata", "filter_metadata")
    path = text(nested(metadata, "istio"), "config")
    if not path:
        return ""
    if not path.startswith(_API):
        return "<unknown>"
    pieces = path.split("/")
    return f"{pieces[7]}.{pieces[5]}" if len(pieces) == 8 else ""

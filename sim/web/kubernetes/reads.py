"""Lists: which objects, and how many of them at once."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sim.web.kubernetes.objects import Target
from sim.web.kubernetes.resources import EVENTS, Resource
from sim.web.kubernetes.selectors import Selection, parse_selection
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import bad_request

#: What Events are selected by, of which there are none.
_EVENT_FIELDS = (
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
)


def selection_of(target: Target, query: Mapping[str, str]) -> Selection:
    """Raises ApiError."""
    return parse_selection(query, _EVENT_FIELDS if target.resource is EVENTS else ())


def listed(shelf: Shelf, target: Target, query: Mapping[str, str]) -> dict[str, Any]:
    """The list that a query asks for: `labelSelector`, `fieldSelector`, `limit` and `continue`. Raises ApiError."""
    selection = selection_of(target, query)
    version_asked(query)
    limit = number(query, "limit")
    start = _start(query.get("continue", ""))
    found = [live for live in shelf.list(target.resource, target.namespace or None) if selection.matches(live)]
    found = [live for live in found if _place(live) >= start]
    metadata: dict[str, Any] = {"resourceVersion": shelf.version}
    if limit and len(found) > limit:
        token = json.dumps({"v": "meta.k8s.io/v1", "start": _place(found[limit])})
        metadata["continue"] = base64.urlsafe_b64encode(token.encode()).decode()
        if not selection.labels and not selection.fields:
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    elif target.resource.custom:
        metadata["continue"] = ""
    return as_list(found, target.resource, metadata)


def as_list(found: Sequence[dict[str, Any]], resource: Resource, metadata: dict[str, Any]) -> dict[str, Any]:
    kind = {"apiVersion": resource.api_version, "kind": resource.list_kind}
    return {**kind, "metadata": metadata, "items": list(found)}


def typed_list(content: dict[str, Any]) -> dict[str, Any]:
    """A list of Kubernetes' own kinds as it is sent: its items do not repeat what they are."""
    items = [
        {key: value for key, value in live.items() if key not in ("apiVersion", "kind")} for live in content["items"]
    ]
    return {**content, "items": items}


def number(query: Mapping[str, str], name: str) -> int:
    """Zero where it isn't given. Raises ApiError."""
    text = query.get(name, "")
    if text and not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal()):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(0, int(text or 0))


def version_asked(query: Mapping[str, str]) -> int:
    """Zero where none is given. Raises ApiError."""
    text = query.get("resourceVersion", "")
    if text and not (text.isascii() and text.isdecimal()):
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text or 0)


def _place(live: dict[str, Any]) -> list[str]:
    return [live["metadata"].get("namespace", ""), live["metadata"]["name"]]


def _start(token: str) -> list[str]:
    if not token:
        return []
    try:
        start = json.loads(base64.urlsafe_b64decode(token))["start"]
        return [str(part) for part in start]
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error

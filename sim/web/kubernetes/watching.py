"""Watches: what is there and what happens to it, one JSON object a line, for as long as the client listens.

Follows k8s.io/apiserver (pkg/endpoints/handlers/watch.go): a watch without a version begins with what is there; an
object that a selector stops to match is told as deleted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

from sim.core.store import EventType
from sim.web.kubernetes.journal import Entry
from sim.web.kubernetes.objects import Target
from sim.web.kubernetes.options import Accepted
from sim.web.kubernetes.reads import number, selection_of, version_asked
from sim.web.kubernetes.selectors import Selection
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import ApiError
from sim.web.kubernetes.table import as_partial, as_table

#: How often a watch that has nothing to tell looks whether somebody listens.
_LOOK_S = 5.0
_INITIAL_END = "k8s.io/initial-events-end"


class Watch:
    """One watch of the objects of `target`. Raises ApiError for a query that makes no sense."""

    def __init__(self, shelf: Shelf, target: Target, query: Mapping[str, str], accepted: Accepted) -> None:
        self._shelf = shelf
        self._target = target
        self._selection: Selection = selection_of(target, query)
        self._version = version_asked(query)
        self._timeout_s = number(query, "timeoutSeconds")
        self._initial = query.get("sendInitialEvents") == "true"
        self._shown = _form(target, accepted, query.get("includeObject", "Metadata"))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        await response.prepare(request)
        try:
            async with asyncio.timeout(self._timeout_s or None):
                await self._tell(request, response)
        except (TimeoutError, ConnectionError):
            pass
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        version = self._version
        if not version or self._initial:
            for live in self._shelf.list(self._target.resource, self._target.namespace or None):
                if self._selection.matches(live):
                    await response.write(_line("ADDED", self._shown(live)))
            version = int(self._shelf.version)
            if self._initial:
                await response.write(_line("BOOKMARK", self._bookmark()))
        while not self._shelf.journal.closed and not _is_gone(request):
            try:
                entries = self._shelf.changes_after(version)
            except ApiError as error:
                await response.write(_line("ERROR", error.as_json()))
                return
            for entry in entries:
                version = entry.version
                for event, content in self._seen(entry):
                    await response.write(_line(event, self._shown(content)))
            if not entries:
                await self._shelf.journal.news(_LOOK_S)

    def _seen(self, entry: Entry) -> Iterator[tuple[EventType, dict[str, Any]]]:
        """The change as this watch sees it, by its selectors."""
        resource, namespace = self._target.resource, self._target.namespace
        if entry.resource is not resource or (namespace and entry.after["metadata"].get("namespace") != namespace):
            return
        matched = entry.before is not None and self._selection.matches(entry.before)
        matches = entry.event != "DELETED" and self._selection.matches(entry.after)
        if matches:
            yield "MODIFIED" if matched else "ADDED", entry.after
        elif matched and entry.before is not None:
            # The last state that the watch may see, at the version of the change.
            version = entry.after["metadata"]["resourceVersion"]
            yield "DELETED", {**entry.before, "metadata": {**entry.before["metadata"], "resourceVersion": version}}

    def _bookmark(self) -> dict[str, Any]:
        resource = self._target.resource
        metadata = {"resourceVersion": self._shelf.version, "annotations": {_INITIAL_END: "true"}}
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _form(target: Target, accepted: Accepted, include: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if accepted.form == "object":
        return lambda content: content
    if accepted.form != "Table":
        return as_partial
    first = iter((True,))

    def table(content: dict[str, Any]) -> dict[str, Any]:
        # The columns are told once.
        metadata = {"resourceVersion": content["metadata"]["resourceVersion"]}
        return as_table([content], target.resource, metadata, include, definitions=next(first, False))

    return table


def _line(event: str, content: dict[str, Any]) -> bytes:
    return json.dumps({"type": event, "object": content}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()

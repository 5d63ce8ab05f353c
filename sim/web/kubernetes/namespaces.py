"""Namespaces: those that a gateway's cluster has, those that objects are in, and those that somebody makes."""

from __future__ import annotations

from typing import Any

from sim.core import Key, Store
from sim.core.store import EventType, StoredObject
from sim.manifests import DEFAULT_NAMESPACE, Document, Manifest, Metadata
from sim.web.kubernetes.resources import NAMESPACES
from sim.web.kubernetes.shelf import Shelf

ALWAYS = (DEFAULT_NAMESPACE, "higress-system", "istio-system", "kube-system")
#: Kubernetes lets nobody delete its own, and the gateway's stay with it.
KEPT = frozenset(ALWAYS)


def namespace_manifest(content: dict[str, Any]) -> Manifest:
    """A Namespace to be stored. `content` is checked already, as `sim.manifests` knows no such kind."""
    metadata = content["metadata"]
    document = Document("kubectl", content, None)
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    described = Metadata(metadata["name"], DEFAULT_NAMESPACE, dict(labels), dict(annotations))
    return Manifest(NAMESPACES.api_version, NAMESPACES.kind, described, content, document.where(), document)


def namespace_key(name: str) -> Key:
    return Key(NAMESPACES.api_version, NAMESPACES.kind, DEFAULT_NAMESPACE, name)


class Namespaces:
    """A shelf of namespaces beside that of the objects. Follows `objects` until `close`."""

    def __init__(self, objects: Store) -> None:
        self._store = Store()
        self.shelf = Shelf(self._store, self._change)
        for name in ALWAYS:
            self._make(name)
        for found in objects.list():
            self._make(found.key.namespace)
        self._stop = objects.watch(self._follow)

    def close(self) -> None:
        self._stop()
        self.shelf.close()

    def __contains__(self, name: str) -> bool:
        return self.shelf.get(namespace_key(name)) is not None

    def _follow(self, event: EventType, subject: StoredObject) -> None:
        if event == "ADDED":
            self._make(subject.key.namespace)

    def _make(self, name: str) -> None:
        if name not in self:
            content = {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, "metadata": {"name": name}}
            self._store.apply(namespace_manifest(content))

    async def _change(self, what: Manifest | Key) -> None:
        if isinstance(what, Key):
            self._store.delete(what)
        else:
            self._store.apply(what)

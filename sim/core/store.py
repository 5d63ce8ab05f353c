"""Core's objects, kept as the Kubernetes API server keeps them: versions, generations, watches."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sim.clock import Clock, SystemClock
from sim.manifests import Manifest, Metadata

Change = Literal["created", "configured", "unchanged"]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]

#: The keys of an object that its author doesn't own.
_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


class Key(NamedTuple):
    """What identifies an object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Key:
        return cls(manifest.api_version, manifest.kind, manifest.namespace, manifest.name)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One state of an object; a change makes a new one. `content` is its author's text as data."""

    key: Key
    metadata: Metadata
    content: dict[str, Any]
    manifest: Manifest
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: datetime

    @property
    def name(self) -> str:
        """`namespace/name`"""
        return f"{self.key.namespace}/{self.key.name}"

    @property
    def spec(self) -> dict[str, Any]:
        return self.content.get("spec") or {}

    @property
    def type_url(self) -> str:
        """`extensions.higress.io/v1alpha1/WasmPlugin`"""
        return f"{self.key.api_version}/{self.key.kind}"

    def as_json(self) -> dict[str, Any]:
        """The object as `kubectl get -o json` shows it."""
        metadata = {
            **self.content["metadata"],
            "namespace": self.key.namespace,
            "uid": self.uid,
            "resourceVersion": self.resource_version,
            "generation": self.generation,
            "creationTimestamp": self.creation_timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {**self.content, "metadata": metadata}


Listener = Callable[[EventType, StoredObject], None]


class Store:
    """Holds objects by key. Not thread-safe; listeners are called in the call that changed something."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._objects: dict[Key, StoredObject] = {}
        self._listeners: list[Listener] = []
        self._counter = 0

    @property
    def resource_version(self) -> str:
        """That of the newest change, of whatever object; "0" before the first."""
        return str(self._counter)

    def apply(self, manifest: Manifest) -> Change:
        """Make the object what the manifest says. `unchanged`: it is so already, and nobody is told."""
        key = Key.of(manifest)
        content = _owned(manifest.content)
        before = self._objects.get(key)
        if before is not None and before.content == content:
            return "unchanged"
        self._counter += 1
        after = StoredObject(
            key=key,
            metadata=manifest.metadata,
            content=content,
            manifest=manifest,
            uid=before.uid if before else str(uuid.uuid4()),
            resource_version=str(self._counter),
            generation=_generation(before, content),
            creation_timestamp=before.creation_timestamp if before else self._now(),
        )
        self._objects[key] = after
        self._tell("ADDED" if before is None else "MODIFIED", after)
        return "created" if before is None else "configured"

    def delete(self, key: Key) -> StoredObject | None:
        """Remove the object and return its last state, at the deletion's version; None when there was none."""
        found = self._objects.pop(key, None)
        if found is None:
            return None
        self._counter += 1
        last = replace(found, resource_version=str(self._counter))
        self._tell("DELETED", last)
        return last

    def get(self, key: Key) -> StoredObject | None:
        return self._objects.get(key)

    def list(self, kind: str | None = None, namespace: str | None = None) -> list[StoredObject]:
        """The objects of a kind (of every API group that has it) and namespace, sorted by key."""
        return sorted(
            (
                found
                for found in self._objects.values()
                if kind in (None, found.key.kind) and namespace in (None, found.key.namespace)
            ),
            key=lambda found: found.key,
        )

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` on every later change; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def secret_value(self, namespace: str, name: str, key: str) -> str:
        """A Secret's value, decoded. Raises LookupError, in Higress' words, when there is none."""
        secret = self.get(Key("v1", "Secret", namespace, name))
        if secret is None:
            raise LookupError(f"secret {namespace}/{name} not found")
        plain = secret.content.get("stringData") or {}
        if key in plain:
            return str(plain[key])
        encoded = (secret.content.get("data") or {}).get(key)
        if encoded is None:
            raise LookupError(f"key {key} not found in secret {namespace}/{name}")
        return base64.b64decode(encoded).decode(errors="replace")

    def _tell(self, event: EventType, subject: StoredObject) -> None:
        for listener in tuple(self._listeners):
            listener(event, subject)

    def _now(self) -> datetime:
        # Kubernetes keeps whole seconds, so objects made together are equally old.
        return self._clock.now().replace(microsecond=0)


def _owned(content: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in content["metadata"].items() if key not in _SERVER_METADATA}
    return {**{key: value for key, value in content.items() if key != "status"}, "metadata": metadata}


def _generation(before: StoredObject | None, content: dict[str, Any]) -> int:
    if before is None:
        return 1
    changed = any(before.content.get(key) != content.get(key) for key in {*before.content, *content} - {"metadata"})
    return before.generation + changed

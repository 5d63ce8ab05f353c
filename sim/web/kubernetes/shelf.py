"""A store's objects as the API shows them: with defaults, with the owners of their fields, and with a history.

The store keeps what their authors wrote; who changed which field is known here alone. What others changed (a file, a
step, the page) counts as an update by `ecdsim`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from sim.core import Key, Store
from sim.core.store import EventType, StoredObject
from sim.manifests import Manifest
from sim.web.kubernetes.defaults import with_defaults
from sim.web.kubernetes.journal import Entry, Journal
from sim.web.kubernetes.managed_fields import Ownership, after_update, as_managed_fields
from sim.web.kubernetes.resources import Resource, resource_of

#: Carries an object out, or, by its key, its deletion.
Change = Callable[[Manifest | Key], Awaitable[None]]

OTHERS = "ecdsim"
_MOST_PENDING = 256


def timestamp(moment: datetime) -> str:
    """`2026-01-31T12:00:00Z`"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Shelf:
    """Follows `store` from the start until `close`.

    Whoever changes the store is held up by nothing but a note; it is worked out when somebody looks.
    """

    def __init__(self, store: Store, change: Change) -> None:
        self.store = store
        self.change = change
        self.journal = Journal(int(store.resource_version))
        self._owners: dict[Key, Ownership] = {}
        self._seen: dict[Key, dict[str, Any]] = {}
        #: What a request is about to make of an object: its content, and then its owners.
        self._intended: dict[Key, tuple[dict[str, Any], Ownership]] = {}
        #: Those that somebody holds or waits for; names come and go.
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._pending: deque[tuple[EventType, StoredObject, datetime]] = deque()
        for found in store.list():
            self._take("ADDED", found, found.creation_timestamp)
        self._stop = store.watch(self._follow)

    def close(self) -> None:
        self._stop()
        self.journal.close()

    def end_watches(self) -> None:
        self.journal.close()

    @property
    def version(self) -> str:
        return self.store.resource_version

    def get(self, key: Key) -> dict[str, Any] | None:
        self._catch_up()
        return self._seen.get(key)

    def owners(self, key: Key) -> Ownership:
        self._catch_up()
        return self._owners.get(key, ())

    def changes_after(self, version: int) -> list[Entry]:
        """Raises ApiError, 410, where some of them are forgotten."""
        self._catch_up()
        return self.journal.after(version)

    def list(self, resource: Resource, namespace: str | None) -> list[dict[str, Any]]:
        """By namespace and name."""
        self._catch_up()
        keys = [
            key
            for key in self._seen
            if (key.api_version, key.kind) == (resource.api_version, resource.kind)
            and namespace in (None, key.namespace)
        ]
        return [self._seen[key] for key in sorted(keys)]

    def lock(self, key: Key) -> asyncio.Lock:
        """Held by whoever looks at an object in order to change it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def put(self, manifest: Manifest, owners: Ownership) -> dict[str, Any] | None:
        """Carry the change out; the object afterwards. None if somebody else removed it in the meantime."""
        key = Key.of(manifest)
        self._intended[key] = manifest.content, owners
        try:
            await self.change(manifest)
            self._catch_up()
        finally:
            left = self._intended.pop(key, None)
        stored = self.store.get(key)
        if left is not None and stored is not None and _same(stored.content, manifest.content):
            # The store had nothing to change, so it told nobody.
            return self.own(key, owners)
        return self._seen.get(key)

    def own(self, key: Key, owners: Ownership) -> dict[str, Any]:
        """Note who owns the fields of an object that stays as it is. Unlike elsewhere, it stays at its version too."""
        self._catch_up()
        stored = self.store.get(key)
        assert stored is not None
        self._owners[key] = owners
        self._seen[key] = self._shown(stored)
        return self._seen[key]

    async def remove(self, key: Key) -> None:
        await self.change(key)

    def _follow(self, event: EventType, subject: StoredObject) -> None:
        self._pending.append((event, subject, datetime.now(UTC)))
        if len(self._pending) >= _MOST_PENDING:
            self._catch_up()
        self.journal.wake()

    def _catch_up(self) -> None:
        while self._pending:
            event, subject, moment = self._pending.popleft()
            if (entry := self._take(event, subject, moment)) is not None:
                self.journal.note(entry)

    def _take(self, event: EventType, subject: StoredObject, moment: datetime) -> Entry | None:
        resource = resource_of(subject.key.api_version, subject.key.kind)
        if resource is None:
            return None
        before = self._seen.get(subject.key)
        if event != "DELETED":
            self._owners[subject.key] = self._owners_after(subject, before, resource, timestamp(moment))
        after = self._shown(subject)
        if event == "DELETED":
            self._seen.pop(subject.key, None)
            self._owners.pop(subject.key, None)
        else:
            self._seen[subject.key] = after
        return Entry(int(subject.resource_version), event, resource, before, after)

    def _owners_after(
        self, subject: StoredObject, before: dict[str, Any] | None, resource: Resource, time: str
    ) -> Ownership:
        intended = self._intended.get(subject.key)
        if intended is not None and _same(subject.content, intended[0]):
            del self._intended[subject.key]
            return intended[1]
        after = with_defaults(subject.content, resource)
        return after_update(self._owners.get(subject.key, ()), before or {}, after, resource, OTHERS, time)

    def _shown(self, subject: StoredObject) -> dict[str, Any]:
        resource = resource_of(subject.key.api_version, subject.key.kind)
        assert resource is not None
        content = with_defaults(subject.as_json(), resource)
        metadata = dict(content["metadata"])
        if not resource.generations:
            del metadata["generation"]
        elif "deletionTimestamp" in metadata:
            metadata["generation"] += 1
        if not resource.namespaced:
            del metadata["namespace"]
        if owners := self._owners.get(subject.key):
            metadata["managedFields"] = as_managed_fields(owners)
        return {**content, "metadata": metadata}


def _same(stored: dict[str, Any], intended: dict[str, Any]) -> bool:
    """Whether the store's content is what was asked for; it keeps no status."""
    return stored == {key: value for key, value in intended.items() if key != "status"}

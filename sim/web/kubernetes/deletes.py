"""Deletion: one object, a collection, a namespace with all that is in it.

Follows k8s.io/apiserver (pkg/registry/generic/registry/store.go): preconditions, and finalizers, which hold an object
until somebody takes the last of them away. Nothing here depends on other objects, so every propagation policy is the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.web.kubernetes.body import Body
from sim.web.kubernetes.namespaces import KEPT
from sim.web.kubernetes.objects import Target, authored, now, storable
from sim.web.kubernetes.reads import as_list
from sim.web.kubernetes.resources import NAMESPACES, RESOURCES, SERVICES
from sim.web.kubernetes.selectors import Selection
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import bad_request, conflict, forbidden, invalid, not_supported, success

_TYPES: dict[str, Any] = {"dryRun": [], "preconditions": {}, "propagationPolicy": ""}
_POLICIES = ("Foreground", "Background", "Orphan")
#: Whose deletion answers with the object, where others answer with a Status.
_SHOWN = (SERVICES, NAMESPACES)


class DeleteOptions:
    """The body of a deletion, which may be empty. Raises ApiError."""

    def __init__(self, body: Body | None, dry_runs: Sequence[str]) -> None:
        options = body.data if body is not None else {}
        if not isinstance(options, dict) or not all(
            isinstance(options.get(key, default), type(default) | None) for key, default in _TYPES.items()
        ):
            raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
        policy = options.get("propagationPolicy")
        if policy is not None and policy not in _POLICIES:
            cause = not_supported(("propagationPolicy",), policy, (*_POLICIES, "nil"))
            raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
        dry = (options.get("dryRun") or []) or list(dry_runs)
        if dry and dry != ["All"]:
            cause = not_supported(("dryRun",), dry[0], ("All",))
            raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
        self.dry_run = bool(dry)
        self.preconditions: dict[str, Any] = options.get("preconditions") or {}


class Deleter:
    """`shelf` is where the target's objects are; `objects` is where those of a namespace are."""

    def __init__(self, shelf: Shelf, objects: Shelf) -> None:
        self._shelf = shelf
        self._objects = objects

    async def delete(self, target: Target, options: DeleteOptions) -> dict[str, Any]:
        """What is answered: a Status, or the object. Raises ApiError."""
        async with self._shelf.lock(target.key):
            live = self._shelf.get(target.key)
            if live is None:
                raise target.not_found()
            self._check(target, live, options)
            gone = await self._remove(target, live, dry_run=options.dry_run)
        if target.resource is NAMESPACES:
            if not options.dry_run:
                await self._empty(target.name)
            return gone | {"status": {"phase": "Terminating"}}
        if target.resource in _SHOWN or "deletionTimestamp" in gone["metadata"]:
            return gone
        details = {"name": target.name, "group": target.resource.group, "kind": target.resource.plural}
        return success({key: value for key, value in details.items() if value} | {"uid": live["metadata"]["uid"]})

    async def delete_collection(self, target: Target, selection: Selection, options: DeleteOptions) -> dict[str, Any]:
        """The list of what was deleted. Raises ApiError."""
        resource = target.resource
        found = [live for live in self._shelf.list(resource, target.namespace) if selection.matches(live)]
        version = self._shelf.version
        for live in found:
            one = Target(resource, live["metadata"]["namespace"], live["metadata"]["name"])
            async with self._shelf.lock(one.key):
                if (current := self._shelf.get(one.key)) is not None:
                    await self._remove(one, current, dry_run=options.dry_run)
        metadata = {"resourceVersion": version} | ({"continue": ""} if resource.custom else {})
        return as_list(found, resource, metadata)

    def _check(self, target: Target, live: dict[str, Any], options: DeleteOptions) -> None:
        resource, metadata = target.resource, live["metadata"]
        if resource is NAMESPACES and target.name in KEPT:
            raise forbidden("this namespace may not be deleted", "", resource.plural, target.name)
        uid, version = options.preconditions.get("uid"), options.preconditions.get("resourceVersion")
        if uid is not None and uid != metadata["uid"]:
            raise conflict(
                resource.group, resource.kind, target.name,
                f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']}). "
                "The object might have been deleted and then recreated",
            )  # fmt: skip
        if version is not None and version != metadata["resourceVersion"]:
            raise conflict(
                resource.group, resource.kind, target.name,
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({metadata['resourceVersion']}). The object might have been modified",
            )  # fmt: skip

    async def _remove(self, target: Target, live: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """The last state of the object; or its present one, where a finalizer holds it."""
        if not live["metadata"].get("finalizers"):
            if not dry_run:
                await self._shelf.remove(target.key)
            return live
        if "deletionTimestamp" in live["metadata"]:
            return live
        metadata = {**authored(live)["metadata"], "deletionGracePeriodSeconds": 0, "deletionTimestamp": now()}
        held = {**live, "metadata": metadata}
        if dry_run:
            generation = {"generation": live["metadata"]["generation"] + 1} if target.resource.generations else {}
            return {**live, "metadata": {**live["metadata"], **metadata, **generation}}
        return await self._shelf.put(storable(held, target), self._shelf.owners(target.key)) or held

    async def _empty(self, namespace: str) -> None:
        for resource in RESOURCES:
            for live in self._objects.list(resource, namespace):
                await self._objects.remove(Target(resource, namespace, live["metadata"]["name"]).key)

"""Create, replace, patch, apply: from what a client sent to what is stored.

Follows k8s.io/apiserver (pkg/endpoints/handlers, pkg/registry/generic/registry/store.go): the order of the checks, and
what is said when one fails.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.web.kubernetes.body import Body
from sim.web.kubernetes.builtin_rules import update_causes
from sim.web.kubernetes.decode import Decoded, Undecodable, decode, strict_error
from sim.web.kubernetes.defaults import with_defaults
from sim.web.kubernetes.managed_fields import Ownership, after_apply, after_update, from_managed_fields
from sim.web.kubernetes.objects import SERVER_METADATA, Target, Written, authored, now, storable, would_be
from sim.web.kubernetes.options import WriteOptions
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    internal,
    invalid,
    invalid_value,
)
from sim.web.kubernetes.validation import causes

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Patch:
    """`apply` makes the new object out of the current one, and raises ApiError where it can't.

    `shown` is what an error repeats; where it is empty, the new object.
    """

    apply: Callable[[dict[str, Any]], Any]
    shown: str = ""


class Writer:
    """Changes the objects of one shelf. Each method raises ApiError."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def create(self, target: Target, body: Body, options: WriteOptions) -> Written:
        decoded = decode(body, target.resource)
        warnings = _strictly(decoded, options, lambda why: Undecodable(target.resource, why))
        content = decoded.content
        metadata = content["metadata"] = dict(content.get("metadata") or {})
        _check_namespace(metadata, target)
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            letters = (secrets.choice(_NAME_LETTERS) for _ in range(_GENERATED_LENGTH))
            metadata["name"] = metadata["generateName"] + "".join(letters)
        target = Target(target.resource, target.namespace, metadata.get("name") or target.name)
        for key in SERVER_METADATA:
            metadata.pop(key, None)
        async with self._shelf.lock(target.key):
            content = with_defaults(content, target.resource)
            self._check(content, target)
            if self._shelf.get(target.key) is not None:
                raise already_exists(target.resource.group, target.resource.plural, target.name)
            owners = after_update((), {}, content, target.resource, options.manager, now())
            return await self._store(target, None, content, owners, options, warnings)

    async def replace(self, target: Target, body: Body, options: WriteOptions) -> Written:
        decoded = decode(body, target.resource)
        warnings = _strictly(decoded, options, lambda why: Undecodable(target.resource, why))
        _check_identity(decoded.content, target)
        async with self._shelf.lock(target.key):
            live = self._live(target)
            metadata = decoded.content.get("metadata") or {}
            if target.resource.custom and not metadata.get("resourceVersion"):
                cause = Cause(
                    "metadata.resourceVersion",
                    "FieldValueInvalid",
                    "Invalid value: 0x0: must be specified for an update",
                )
                raise invalid(target.resource.group, target.resource.plural, target.name, [cause])
            return await self._update(target, live, decoded.content, options, warnings)

    async def patch(self, target: Target, patch: Patch, options: WriteOptions) -> Written:
        async with self._shelf.lock(target.key):
            live = self._live(target)
            patched = patch.apply(live)
            text = json.dumps(patched, separators=(",", ":"), ensure_ascii=False, sort_keys=True)

            def refuse(why: str) -> ApiError:
                return invalid("", "", "", [invalid_value(("patch",), patch.shown or text, why)])

            try:
                decoded = decode(Body(text.encode(), patched), target.resource)
            except Undecodable as error:
                raise refuse(error.why) from error
            warnings = _strictly(decoded, options, refuse)
            _check_identity(decoded.content, target)
            return await self._update(target, live, decoded.content, options, warnings)

    async def apply(self, target: Target, body: Body, options: WriteOptions) -> Written:
        """Server-side apply."""
        decoded = decode(body, target.resource)
        sent = decoded.content
        metadata = dict(sent.get("metadata") or {})
        config = {**sent, "metadata": metadata}
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        _check_identity(config, target)
        unknown = [problem for problem in decoded.problems if problem.startswith("unknown")]
        if unknown:
            field = unknown[0].split('"')[1]
            gvk = f"{target.resource.api_version}, Kind={target.resource.kind}"
            raise ApiError(
                500, "", f"failed to create typed patch object ({metadata.get('namespace', '')}/{target.name}; {gvk}): "
                f".{field}: field not declared in schema"
            )  # fmt: skip
        metadata.setdefault("name", target.name)
        if target.resource.namespaced:
            metadata["namespace"] = target.namespace
        async with self._shelf.lock(target.key):
            live = self._shelf.get(target.key)
            before = None if live is None else authored(live)
            given = metadata.get("resourceVersion")
            if given and (live is None or given != live["metadata"]["resourceVersion"]):
                raise target.conflict()
            applied = after_apply(
                self._shelf.owners(target.key), before, authored(config), target.resource, options.manager, now(),
                force=options.force,
            )  # fmt: skip
            content = with_defaults(_in_step(applied.content, sent, options), target.resource)
            self._check(content, target)
            return await self._store(target, live, content, applied.ownership, options, ())

    async def _update(
        self,
        target: Target,
        live: dict[str, Any],
        content: dict[str, Any],
        options: WriteOptions,
        warnings: tuple[str, ...],
    ) -> Written:
        metadata = dict(content.get("metadata") or {})
        known = live["metadata"]
        if (uid := metadata.get("uid")) and uid != known["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known['uid']}"
            parts = ("/registry", target.resource.group, target.resource.plural, target.namespace, target.name)
            path = "/".join(part for part in parts if part)
            raise target.conflict(
                f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
            )
        if (version := metadata.get("resourceVersion")) and version != known["resourceVersion"]:
            raise target.conflict()
        owners = self._shelf.owners(target.key)
        if "managedFields" in metadata and metadata["managedFields"] != known.get("managedFields"):
            owners = from_managed_fields(metadata["managedFields"])
        metadata = {key: value for key, value in metadata.items() if key not in SERVER_METADATA}
        metadata |= {key: known[key] for key in ("deletionGracePeriodSeconds", "deletionTimestamp") if key in known}
        metadata |= {"name": target.name} | ({"namespace": target.namespace} if target.resource.namespaced else {})
        content = with_defaults({**content, "metadata": metadata}, target.resource)
        self._check(content, target, live)
        before = authored(live)
        owners = after_update(owners, before, content, target.resource, options.manager, now())
        return await self._store(target, live, content, owners, options, warnings)

    def _live(self, target: Target) -> dict[str, Any]:
        live = self._shelf.get(target.key)
        if live is None:
            raise target.not_found()
        return live

    def _check(self, content: dict[str, Any], target: Target, live: dict[str, Any] | None = None) -> None:
        found = causes(content, target.resource)
        if live is not None:
            found += update_causes(live, content, target.resource)
        if found:
            raise invalid(target.resource.group, target.resource.kind, target.name, found)

    async def _store(
        self,
        target: Target,
        live: dict[str, Any] | None,
        content: dict[str, Any],
        owners: Ownership,
        options: WriteOptions,
        warnings: tuple[str, ...],
    ) -> Written:
        manifest = storable(content, target)
        if options.dry_run:
            return Written(would_be(manifest.content, owners, live, target), live is None, warnings)
        if live is not None and "deletionTimestamp" in live["metadata"] and not content["metadata"].get("finalizers"):
            # Its last finalizer is gone, and so is the object.
            await self._shelf.remove(target.key)
            return Written(would_be(manifest.content, owners, live, target), False, warnings)
        if live is not None and authored(live) == authored(with_defaults(manifest.content, target.resource)):
            return Written(self._shelf.own(target.key, owners), False, warnings)
        stored = await self._shelf.put(manifest, owners)
        if stored is None:
            raise internal(f"{target.resource.kind} {target.name} was not stored")
        return Written(stored, live is None, warnings)


def _strictly(decoded: Decoded, options: WriteOptions, refuse: Callable[[str], ApiError]) -> tuple[str, ...]:
    """The warnings; or, where fields are validated strictly, an error."""
    if options.validation == "Ignore" or not decoded.problems:
        return ()
    if options.validation == "Strict":
        raise refuse(strict_error(decoded.problems))
    return decoded.problems


def _check_namespace(metadata: dict[str, Any], target: Target) -> None:
    if not target.resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.get("namespace", target.namespace) != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = target.namespace


def _check_identity(content: dict[str, Any], target: Target) -> None:
    metadata = content.get("metadata") or {}
    if (name := metadata.get("name") or "") not in ("", target.name):
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
    if target.resource.namespaced:
        _check_namespace(dict(metadata), target)


def _in_step(content: dict[str, Any], sent: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
    """Where kubectl applied from its own side before, its note of what it applied is kept up to date."""
    annotations = content["metadata"].get("annotations") or {}
    if options.manager != "kubectl" or _LAST_APPLIED not in annotations:
        return content
    note = json.dumps(authored(sent), separators=(",", ":"), ensure_ascii=False, sort_keys=True) + "\n"
    metadata = {**content["metadata"], "annotations": {**annotations, _LAST_APPLIED: note}}
    return {**content, "metadata": metadata}

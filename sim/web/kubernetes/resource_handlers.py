"""Requests about resources: the path says which objects, the method and the query what is wanted of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from sim.web.kubernetes import merge
from sim.web.kubernetes.body import (
    JSON,
    YAML,
    Body,
    BodyError,
    as_yaml,
    go_text,
    go_type,
    parse_json,
    parse_yaml,
    summary,
)
from sim.web.kubernetes.deletes import DeleteOptions, Deleter
from sim.web.kubernetes.namespaces import Namespaces
from sim.web.kubernetes.objects import Target, Written
from sim.web.kubernetes.options import (
    Accepted,
    WriteOptions,
    accepted,
    check_apply_options,
    write_options,
)
from sim.web.kubernetes.protobuf import PROTOBUF, parse_protobuf
from sim.web.kubernetes.reads import listed, selection_of, typed_list
from sim.web.kubernetes.resources import NAMESPACES, RESOURCES, Resource, find_resource
from sim.web.kubernetes.shelf import Shelf
from sim.web.kubernetes.status import (
    ApiError,
    bad_request,
    method_not_allowed,
    no_such_resource,
    not_found,
    unsupported_media_type,
)
from sim.web.kubernetes.table import as_partial, as_table
from sim.web.kubernetes.watching import Watch
from sim.web.kubernetes.writes import Patch, Writer

_T = TypeVar("_T")
_Write = Coroutine[Any, Any, Written]

_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_REJECTED = "the server rejected our request due to an error in our request"
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
_PARSERS = {JSON: parse_json, YAML: parse_yaml, PROTOBUF: parse_protobuf}
#: How long a change may go on after its client went away.
_FINISH_S = 10.0
#: The verb that a resource has to have for a method, with and without a name.
_VERBS = {
    ("GET", True): "get",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("GET", False): "list",
    ("POST", False): "create",
    ("DELETE", False): "deletecollection",
}


class ResourceHandlers:
    """Answers for the objects of `objects`, and for `namespaces`."""

    def __init__(self, objects: Shelf, namespaces: Namespaces) -> None:
        self._objects = objects
        self._namespaces = namespaces

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Raises ApiError."""
        target = _target(request)
        shelf = self._namespaces.shelf if target.resource is NAMESPACES else self._objects
        method = "GET" if request.method == "HEAD" else request.method
        if _VERBS.get((method, bool(target.name))) not in target.resource.verbs:
            raise method_not_allowed()
        if method == "GET":
            return await self._read(request, shelf, target)
        form = accepted(request.headers.get("Accept", ""))
        if method == "DELETE":
            body = await _optional_body(request)
            options = DeleteOptions(body, request.query.getall("dryRun", []))
            deleter = Deleter(shelf, self._objects)
            if target.name:
                return _sent(await _finished(deleter.delete(target, options)), form)
            selection = selection_of(target, request.query)
            deleted = await _finished(deleter.delete_collection(target, selection, options))
            return _sent(_formed(deleted, target.resource, form, request), form)
        written = await _finished(await self._write(request, Writer(shelf), target, method))
        return _sent(_formed(written.content, target.resource, form, request), form, written)

    async def review_access(self, request: web.Request) -> web.StreamResponse:
        """`kubectl auth can-i`: whoever has the token may do whatever there is."""
        review = (await _body(request)).data
        wanted = ((review.get("spec") or {}) if isinstance(review, dict) else {}).get("resourceAttributes") or {}
        group, plural, verb = (str(wanted.get(key) or "") for key in ("group", "resource", "verb"))
        allowed = plural == "*" or any(
            (known.plural == plural and group in (known.group, "*") and verb in ("*", *known.verbs))
            for known in RESOURCES
        )
        status = {"allowed": allowed} | ({} if allowed else {"reason": "there is no such resource or verb here"})
        content = {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": f"authorization.k8s.io/{request.match_info['version']}",
            "metadata": {"creationTimestamp": None},
            "spec": {"resourceAttributes": wanted},
            "status": status,
        }
        return _sent(content, Accepted("object", JSON), Written(content, created=True))

    async def _read(self, request: web.Request, shelf: Shelf, target: Target) -> web.StreamResponse:
        form = accepted(request.headers.get("Accept", ""))
        if request.query.get("watch") in ("true", "1"):
            if target.name:
                raise bad_request("a watch is of a list; select one object by fieldSelector=metadata.name=…")
            return await Watch(shelf, target, request.query, form).serve(request)
        if not target.name:
            content = listed(shelf, target, request.query)
        elif (found := shelf.get(target.key)) is not None:
            content = found
        else:
            raise target.not_found()
        return _sent(_formed(content, target.resource, form, request), form)

    async def _write(self, request: web.Request, writer: Writer, target: Target, method: str) -> _Write:
        """What is to be done, read and ready."""
        agent = request.headers.get("User-Agent", "")
        options = write_options(request.query, request.query.getall("dryRun", []), agent, _OPTIONS[method])
        if method == "PATCH":
            return await self._patch(request, writer, target, options)
        body = await _body(request, target.resource)
        if method == "PUT":
            return writer.replace(target, body, options)
        self._check_namespace(target)
        return writer.create(target, body, options)

    async def _patch(self, request: web.Request, writer: Writer, target: Target, options: WriteOptions) -> _Write:
        known = [_JSON_PATCH, _MERGE, _APPLY] if target.resource.custom else [_JSON_PATCH, _MERGE, _STRATEGIC, _APPLY]
        if request.content_type not in known:
            raise unsupported_media_type(known)
        text = await request.read()
        if request.content_type == _APPLY:
            check_apply_options(request.query)
            self._check_namespace(target)
            try:
                # What begins as JSON is read as JSON: it is YAML too, and larger.
                body = parse_json(text) if text.lstrip().startswith(b"{") else parse_yaml(text)
            except BodyError as error:
                raise bad_request(f"error decoding YAML: {error}") from error
            return writer.apply(target, body, options)
        return writer.patch(target, _patching(request.content_type, text), options)

    def _check_namespace(self, target: Target) -> None:
        if target.resource.namespaced and target.namespace not in self._namespaces:
            raise not_found("", NAMESPACES.plural, target.namespace)


async def _finished(work: Coroutine[Any, Any, _T]) -> _T:
    """Its result. Work that was begun goes on when the client goes away, so that no change is left half done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait({task}, timeout=_FINISH_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _target(request: web.Request) -> Target:
    """Raises ApiError, 404, where the path leads to no resource."""
    match = request.match_info
    group = match.get("group", "")
    api_version = f"{group}/{match['version']}" if group else match["version"]
    resource = find_resource(api_version, match["plural"])
    if resource is None:
        # Where Kubernetes' own kinds are, a Status says so; elsewhere nobody knows the path at all.
        known = [other for other in RESOURCES if other.api_version == api_version]
        raise no_such_resource() if known and not known[0].custom else web.HTTPNotFound
    namespace, name = match.get("namespace", ""), match.get("name", "")
    # Only reading goes over all namespaces.
    method_needs_one = request.method != "GET" or bool(name)
    if resource.namespaced != bool(namespace) and (not resource.namespaced or method_needs_one):
        raise web.HTTPNotFound
    return Target(resource, namespace, name)


async def _body(request: web.Request, resource: Resource | None = None) -> Body:
    """Raises ApiError: 415 for a type that isn't known, 400 for a text that can't be read."""
    # Without a content type a body is JSON.
    media_type = request.content_type if "Content-Type" in request.headers else JSON
    if media_type not in _PARSERS:
        raise unsupported_media_type(list(_PARSERS))
    text = await request.read()
    try:
        return _PARSERS[media_type](text)
    except BodyError as error:
        kind = resource.kind if resource else "object"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            f"json parse error: {error} ({summary(text)})"
        ) from error


async def _optional_body(request: web.Request) -> Body | None:
    return await _body(request) if await request.read() else None


def _patching(media_type: str, text: bytes) -> Patch:
    """Raises ApiError for a text that is no patch."""
    is_list = media_type == _JSON_PATCH
    try:
        patch = parse_json(text).data
    except BodyError as error:
        raise bad_request(f"error decoding patch: {error}") from error
    if not isinstance(patch, list if is_list else dict):
        type_name = "[]handlers.jsonPatchOp" if is_list else "map[string]interface {}"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {go_type(patch)} into Go value of type {type_name}"
        )

    def apply(live: dict[str, Any]) -> Any:
        try:
            if is_list:
                return merge.json_patch(live, patch)
            return merge.strategic_merge(live, patch) if media_type == _STRATEGIC else merge.merge(live, patch)
        except merge.MergeKeyMissing as error:
            raise ApiError(500, "", str(error)) from error
        except merge.PatchFailed as error:
            raise ApiError(422, "Invalid", _REJECTED, {}) from error

    return Patch(apply, go_text(patch) if media_type == _STRATEGIC else "")


def _formed(content: dict[str, Any], resource: Resource, form: Accepted, request: web.Request) -> dict[str, Any]:
    """The object or list in the form that was asked for."""
    is_list = "items" in content
    if form.form == "object":
        return typed_list(content) if is_list and not resource.custom else content
    objects = content["items"] if is_list else [content]
    if form.form == "Table":
        metadata = (
            content["metadata"] if is_list else {"resourceVersion": content["metadata"].get("resourceVersion", "")}
        )
        metadata = {key: value for key, value in metadata.items() if value}
        return as_table(objects, resource, metadata, request.query.get("includeObject", "Metadata"))
    if not is_list:
        return as_partial(content)
    metadata = {key: value for key, value in content["metadata"].items() if value}
    items = [as_partial(found) for found in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}


def _sent(content: dict[str, Any], form: Accepted, written: Written | None = None) -> web.Response:
    if form.media_type == YAML:
        text = as_yaml(content)
    else:
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    response = web.Response(
        body=text.encode(),
        status=201 if written and written.created else 200,
        headers={"Content-Type": form.media_type, "Cache-Control": "no-cache, private"},
    )
    for warning in written.warnings if written else ():
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response

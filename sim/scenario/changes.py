"""What a bump and an edit make of a manifest: pure functions, for scenario files and for steps made by hand."""

from __future__ import annotations

from typing import Any

import jsonpatch

from sim.errors import InvalidInput
from sim.manifests import Manifest, manifest_from
from sim.oci import is_tag, parse_reference
from sim.oci.references import SCHEME

_IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))


def image_url(manifest: Manifest) -> str | None:
    """The plugin's URL where it names an image, with or without `oci://`; None for HTTP, files and no URL at all."""
    url = manifest.spec.get("url")
    if not isinstance(url, str) or not url:
        return None
    scheme, separator, _ = url.partition("://")
    return url if not separator or scheme == "oci" else None


def bumped(manifest: Manifest, *, tag: str | None = None, image: str | None = None) -> Manifest:
    """The plugin with another tag in its URL, a digest in it dropped, or with another image altogether.

    What else the author wrote of the URL stays, a missing scheme included. Raises InvalidInput for a tag or a
    reference that is none, and for a plugin whose URL is not an image's.
    """
    url = image_url(manifest)
    if url is None:
        raise InvalidInput(
            f"{manifest.key} has no image that could be bumped: its URL is {manifest.spec.get('url')!r}",
            hint="change the URL by a step edit: {plugin: …, patch: {spec: {url: …}}}",
        )
    scheme = SCHEME if url.startswith(SCHEME) else ""
    if image is not None:
        parse_reference(image)
        new = image if image.startswith(SCHEME) else f"{scheme}{image}"
    else:
        if tag is None or not is_tag(tag):
            raise InvalidInput(
                f"{tag!r} is not a tag", hint="a tag is 1 to 128 letters, digits, '_', '.' or '-', such as 2.0.0"
            )
        new = f"{scheme}{_without_tag(url.removeprefix(SCHEME))}:{tag}"
    return manifest.with_spec({**manifest.spec, "url": new})


def edited(manifest: Manifest, patch: dict[str, Any] | list[dict[str, Any]]) -> Manifest:
    """The object with a patch applied, checked as the API server would.

    A mapping is a JSON merge patch (RFC 7386), a list a JSON patch (RFC 6902). Raises InvalidInput when the patch does
    not fit, and when the outcome is not valid, or is another object.
    """
    content = json_patch(manifest.content, patch) if isinstance(patch, list) else merge_patch(manifest.content, patch)
    made = manifest_from(content, f"{manifest.location.file} with the patch")
    for path in _IDENTITY:
        if _at(made.content, path) != _at(manifest.content, path):
            raise InvalidInput(
                f"the patch changes {'.'.join(path)}, which makes it another object",
                hint="delete the old object and apply the new one instead",
            )
    return made


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902; the target is not changed. Raises InvalidInput for an operation that is none, or does not fit."""
    try:
        return jsonpatch.apply_patch(target, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise InvalidInput(
            f"the JSON patch does not fit: {error}",
            hint="write operations such as {op: replace, path: /spec/priority, value: 10}",
        ) from error


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _without_tag(reference: str) -> str:
    rest = reference.partition("@")[0]
    head, colon, tag = rest.rpartition(":")
    return head if colon and "/" not in tag else rest


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        content = content.get(step) if isinstance(content, dict) else None
    return content

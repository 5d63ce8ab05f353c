"""A Kubernetes manifest as its author wrote it: checked as `kubectl apply` would, with the line of every key."""

from __future__ import annotations

import base64
import binascii
import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from sim.errors import InvalidInput, Location
from sim.manifests.document import MAX_DEPTH, Document, Path, path_text, read_documents
from sim.manifests.kinds import HIGRESS_WASM, KINDS, METADATA, Kind
from sim.manifests.reading import read_text
from sim.manifests.scalars import resolve
from sim.manifests.schema import Fields, Problem, check, json_type

DEFAULT_NAMESPACE = "default"
MAX_FILE_BYTES = 20_000_000

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LENGTH = 253
_INVISIBLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff]")
#: Text of several lines that is easier to read as a block: one line break at its end, nothing invisible in it.
_BLOCK = re.compile(r"(?=[^ \n])([^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*[^\s\x7f-\x9f\ufeff]\n){2,}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """`namespace` is `default` where the manifest names none, as kubectl would have it."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object. `content` is the whole of it as JSON-ready data; nobody changes it in place."""

    api_version: str
    kind: str
    metadata: Metadata
    content: dict[str, Any]
    location: Location
    _document: Document = field(repr=False, compare=False)
    _prefix: Path = field(default=(), repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def key(self) -> str:
        """`namespace/name`"""
        return f"{self.namespace}/{self.name}"

    @property
    def spec(self) -> dict[str, Any]:
        """`{}` where there is none, as in every Secret."""
        return self.content.get("spec") or {}

    def where(self, *path: str | int) -> Location:
        """The file and line of a nested key, such as `where("spec", "matchRules", 0)`."""
        return self._document.where(*self._prefix, *path)

    def with_spec(self, spec: dict[str, Any]) -> Manifest:
        """The same object with another spec, checked. Raises InvalidInput."""
        return _manifest(self._document.part(self._prefix, {**self.content, "spec": spec}), ())


def load_manifests(path: FilePath) -> list[Manifest]:
    """The objects of a file, in order; of a folder, those of its .yaml, .yml and .json files by name.

    Raises InvalidInput with file, line and key.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml", ".json"))
        if not files:
            raise InvalidInput("no manifest in this folder", where=Location(str(path)), hint="put a .yaml file there")
    else:
        files = [path]
    manifests = [manifest for file in files for manifest in _objects(_read(file), str(file))]
    return _without_duplicates(manifests)


def parse_manifests(text: str, source_name: str) -> list[Manifest]:
    """The objects of a YAML text, in order, those inside a `kind: List` included. Raises InvalidInput."""
    return _without_duplicates(list(_objects(text, source_name)))


def manifest_from(content: dict[str, Any], source_name: str) -> Manifest:
    """An object that comes as data, from an API for instance; its locations have no lines. Raises InvalidInput."""
    document = Document(source_name, content, None)
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise InvalidInput(f"nested too deep, more than {MAX_DEPTH} levels", where=document.where())
    return _manifest(document, ())


def dump_manifest(manifest: Manifest) -> str:
    """YAML that kubectl, and `parse_manifests`, reads back as the same data."""
    return dump_data(manifest.content)


def dump_data(data: Any) -> str:
    """JSON-ready data as YAML that is read back as the same."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    # Such characters would be written as they are, and read as line breaks or not at all.
    yaml.allow_unicode = _INVISIBLE.search(json.dumps(data, ensure_ascii=False)) is None
    stream = io.StringIO()
    yaml.dump(_quoted(data), stream)
    return stream.getvalue()


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _read(file: FilePath) -> str:
    return read_text(file, MAX_FILE_BYTES, "a manifest")


def _objects(text: str, source_name: str) -> Iterator[Manifest]:
    for document in read_documents(text, source_name):
        data = document.data
        if isinstance(data, dict) and data.get("kind") == "List":
            yield from _items(document)
        else:
            yield _manifest(document, ())


def _items(document: Document) -> Iterator[Manifest]:
    items = document.data.get("items")
    if document.data.get("apiVersion") != "v1" or not isinstance(items, list):
        raise InvalidInput(
            "a List has apiVersion: v1 and a list of objects in items",
            where=document.where("apiVersion" if isinstance(items, list) else "items"),
        )
    for index in range(len(items)):
        yield _manifest(document, ("items", index))


def _manifest(document: Document, prefix: Path) -> Manifest:
    content = document.data
    for step in prefix:
        content = content[step]

    def refuse(path: Path, message: str, hint: str | None) -> InvalidInput:
        return InvalidInput(message, where=document.where(*prefix, *path), hint=hint)

    if not isinstance(content, dict):
        raise refuse((), f"an object must be a mapping, not {json_type(content)}", "begin with apiVersion: and kind:")
    kind = _kind(content, refuse)
    problems = list(_check(content, kind))
    if problems:
        first, *others = problems
        message = first.message
        for other in others:
            where = document.where(*prefix, *other.path)
            message += f"\n  also {where}: {path_text(other.path)}: {other.message}"
        raise refuse(first.path, message, first.hint)
    metadata = content["metadata"]
    return Manifest(
        api_version=kind.api_version,
        kind=kind.kind,
        metadata=Metadata(
            name=metadata["name"],
            namespace=metadata.get("namespace") or DEFAULT_NAMESPACE,
            labels=dict(metadata.get("labels") or {}),
            annotations=dict(metadata.get("annotations") or {}),
        ),
        content=content,
        location=document.where(*prefix),
        _document=document,
        _prefix=prefix,
    )


def _kind(content: dict[str, Any], refuse: Any) -> Kind:
    api_version, kind = content.get("apiVersion"), content.get("kind")
    for found in KINDS:
        if (found.api_version, found.kind) == (api_version, kind):
            return found
    names = sorted({found.kind for found in KINDS})
    by_kind = [found.api_version for found in KINDS if found.kind == kind]
    if api_version in names:
        right = next(found.api_version for found in KINDS if found.kind == api_version)
        raise refuse(
            ("apiVersion",),
            f"Invalid value: {api_version!r}: that is a kind, not an API version",
            f"write two lines, apiVersion: {right} and kind: {api_version}",
        )
    if not api_version:
        known = " or ".join(by_kind) or HIGRESS_WASM
        raise refuse(("apiVersion",), "Required value", f"add apiVersion: {known}")
    of_version = [found.kind for found in KINDS if found.api_version == api_version]
    if not kind:
        raise refuse(("kind",), "Required value", f"add kind: {' or '.join(of_version or names)}")
    if by_kind:
        raise refuse(
            ("apiVersion",),
            f'no matches for kind "{kind}" in version "{api_version}"',
            f"write apiVersion: {' or '.join(by_kind)}",
        )
    close = difflib.get_close_matches(str(kind), of_version or names, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise refuse(
        ("kind",),
        f'"{kind}" of "{api_version}" is not a kind that ecdsim takes',
        f"{meant}known: {', '.join(f'{found.kind} ({found.api_version})' for found in KINDS)}",
    )


def _check(content: dict[str, Any], kind: Kind) -> Iterator[Problem]:
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        yield Problem(("metadata",), "Required value", "add metadata: with a name in it")
        return
    yield from check(metadata, METADATA, ("metadata",), null_is_unset=True)
    yield from _check_names(metadata, kind)
    for key, value in content.items():
        if key in kind.body:
            null_is_unset = not kind.crd or key == "status"
            yield from check(value, kind.body[key], (key,), null_is_unset=null_is_unset)
        elif key not in ("apiVersion", "kind", "metadata"):
            close = difflib.get_close_matches(key, list(kind.body), n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(kind.body)}"
            if isinstance(spec := kind.body.get("spec"), Fields) and key in spec.known:
                hint = f"indent it, so that it stands under spec: (spec.{key})"
            yield Problem((key,), f'unknown field "{key}"', hint)
    if kind.kind == "Secret":
        yield from _check_secret(content.get("data"))


def _check_names(metadata: dict[str, Any], kind: Kind) -> Iterator[Problem]:
    name = metadata.get("name")
    if name is None or name == "":
        yield Problem(("metadata", "name"), "Required value", "add the object's name")
    elif isinstance(name, str):
        pattern = _SUBDOMAIN if kind.dotted else _SERVICE_NAME
        if pattern.fullmatch(name) is None or len(name) > _SUBDOMAIN_LENGTH:
            what = "small letters, digits, '-' and '.'" if kind.dotted else "small letters, digits and '-'"
            yield Problem(
                ("metadata", "name"),
                f'Invalid value: "{name}": not a name by RFC {"1123" if kind.dotted else "1035"}',
                f"use {what} only, with a letter or digit at both ends, for instance {_slug(name)}",
            )
    namespace = metadata.get("namespace")
    if isinstance(namespace, str) and namespace and _LABEL.fullmatch(namespace) is None:
        yield Problem(
            ("metadata", "namespace"),
            f'Invalid value: "{namespace}": not a name by RFC 1123',
            f"use small letters, digits and '-' only, for instance {_slug(namespace).replace('.', '-')}",
        )


def _check_secret(data: Any) -> Iterator[Problem]:
    for key, value in data.items() if isinstance(data, dict) else ():
        if not isinstance(value, str):
            continue
        try:
            base64.b64decode("".join(value.split()), validate=True)
        except binascii.Error as error:
            yield Problem(
                ("data", key), f"not Base64: {error}", f"write it under stringData.{key} as plain text, or encode it"
            )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "my-plugin"


def _without_duplicates(manifests: list[Manifest]) -> list[Manifest]:
    seen: dict[tuple[str, str, str], Manifest] = {}
    for manifest in manifests:
        identity = (f"{manifest.kind}.{manifest.api_version}", manifest.namespace, manifest.name)
        if (first := seen.get(identity)) is not None:
            raise InvalidInput(
                f"{manifest.kind} {manifest.key} is defined twice, first in {first.location}",
                where=manifest.where("metadata", "name"),
                hint="rename or remove one of the two",
            )
        seen[identity] = manifest
    return manifests


def _quoted(value: Any) -> Any:
    """Mark the strings that would be read back as something else when written bare."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str):
        return _quoted_text(value)
    return value


def _quoted_text(text: str) -> str:
    if _BLOCK.fullmatch(text):
        return str.__new__(LiteralScalarString, text)
    try:
        plain = resolve(text) == text and text not in ("<<", "=")
    except ValueError:
        plain = False
    return text if plain and "\n" not in text else str.__new__(DoubleQuotedScalarString, text)

"""Image references, as pilot-agent reads them: `[oci://][registry/]repository[:tag][@digest]`.

The grammar of the parts is the distribution project's (`reference/regexp.go`); what is a registry and what
is Docker Hub is decided as by go-containerregistry's `name.ParseReference` in its weak validation, which is what
pilot-agent calls: the first part is a registry only when it holds a `.` or a `:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeGuard
from urllib.parse import unquote

from sim.errors import InvalidInput

SCHEME = "oci://"
DOCKER_HUB = "index.docker.io"
DEFAULT_TAG = "latest"
DEFAULT_NAMESPACE = "library"

#: The algorithms of the digests that are read and served.
DIGEST_ALGORITHMS = ("sha256", "sha512")

#: The longest repository and the longest tag, in characters.
MAX_REPOSITORY = 255
MAX_TAG = 128

_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_TAG - 1}}}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

#: Of a URL: a port is digits, and may be left empty.
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_EXAMPLE = "write it as oci://registry.example.com/team/plugin:1.0.0"


def is_repository(text: str) -> bool:
    """Whether `text` is a repository name of the distribution specification, such as `plugins/request-block`."""
    return len(text) <= MAX_REPOSITORY and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag of the distribution specification."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of one of the two algorithms that are served: sha256 and sha512."""
    return _DIGEST.fullmatch(text) is not None


def is_sha256(value: object) -> TypeGuard[str]:
    """Whether this is a sha256 digest, the only kind that pilot-agent reads."""
    return isinstance(value, str) and is_digest(value) and value.startswith("sha256:")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. Without a digest there is always a tag; with both, the digest decides."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if self.tag is None and self.digest is None:
            object.__setattr__(self, "tag", DEFAULT_TAG)

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What a manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def url(self) -> str:
        """The reference as a WasmPlugin writes it, with its scheme."""
        return f"{SCHEME}{self}"

    def __str__(self) -> str:
        text = self.name
        if self.tag is not None:
            text += f":{self.tag}"
        if self.digest is not None:
            text += f"@{self.digest}"
        return text


def parse_reference(text: str) -> Reference:
    """Read a reference, with or without `oci://`; `str` of the result reads back as the same reference.

    Docker Hub's short names are completed: `busybox` is `index.docker.io/library/busybox:latest`.
    Raises InvalidInput, which says which part is wrong and what would be right.
    """
    rest = text.removeprefix(SCHEME)
    if "://" in rest:
        raise _invalid(text, f"its scheme {rest.partition('://')[0]!r} is not oci", _EXAMPLE)
    if not rest:
        raise _invalid(text, "it is empty", _EXAMPLE)
    if rest != rest.strip():
        raise _invalid(text, "there is white space around it", "remove the white space")

    rest, at, digest = rest.partition("@")
    if at:
        _check_digest(text, digest)
    head, colon, tag = rest.rpartition(":")
    if colon and "/" not in tag:
        _check_tag(text, tag)
        rest = head
    else:
        tag = ""

    registry, slash, repository = rest.partition("/")
    if not slash or not ("." in registry or ":" in registry):
        registry, repository = DOCKER_HUB, rest
    _check_registry(text, registry)
    _check_repository(text, repository)
    if registry == "docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"{DEFAULT_NAMESPACE}/{repository}"
    return Reference(registry, repository, tag or None, digest or None)


def parse_image_url(url: str) -> Reference:
    """Read the `oci://` URL of a plugin as pilot-agent does (istio `pkg/wasm/cache.go`): a URL, then a reference.

    Of the URL only host and path count, so that a user, a query and a fragment are of no account and escapes are
    resolved. A tag that is left empty is `latest`. Raises InvalidInput, also for a digest that is not sha256.
    """
    rest = re.split("[?#]", url.removeprefix(SCHEME), maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    if _HOST.fullmatch(host) is None:
        raise _invalid(url, f"{host!r} is not a host", "a host is a name or an address, and maybe :port")
    if _BROKEN_ESCAPE.search(path) is not None:
        raise _invalid(url, "it holds a % that is no escape", "write %25 for a %")
    found = parse_reference((host + slash + unquote(path)).removesuffix(":"))
    if found.digest is not None and not is_sha256(found.digest):
        raise _invalid(url, f"the agent can't pull by {found.digest}", "give the image's sha256 digest")
    return found


def _check_digest(text: str, digest: str) -> None:
    if not is_digest(digest):
        raise _invalid(
            text,
            f"{digest!r} is not a digest",
            "a digest is sha256: and 64, or sha512: and 128, hexadecimal digits in lower case",
        )


def _check_tag(text: str, tag: str) -> None:
    if not is_tag(tag):
        raise _invalid(
            text,
            f"{tag!r} is not a tag" if tag else "there is no tag after the last ':'",
            f"a tag is 1 to {MAX_TAG} letters, digits, '_', '.' or '-', and starts with none of the last two",
        )


def _check_registry(text: str, registry: str) -> None:
    match = _REGISTRY.fullmatch(registry)
    if match is None:
        raise _invalid(
            text, f"{registry!r} is not a registry", "a registry is a host name or an address, and maybe :port"
        )
    if match["port"] is not None and not 0 < int(match["port"]) < 65536:
        raise _invalid(text, f"{match['port']} is not a port", "a port is a number from 1 to 65535")


def _check_repository(text: str, repository: str) -> None:
    if not repository:
        raise _invalid(text, "it names a registry but no repository", _EXAMPLE)
    if len(repository) < 2 or len(repository) > MAX_REPOSITORY:
        raise _invalid(
            text,
            f"its repository has {len(repository)} characters",
            f"a repository has 2 to {MAX_REPOSITORY} characters",
        )
    if not is_repository(repository):
        wrong = next((part for part in repository.split("/") if not is_repository(part)), repository)
        hint = "use lower-case letters and digits, with '.', '_', '__' or '-' only between them"
        if is_repository(wrong.lower()):
            hint = f"write {wrong.lower()!r}: a repository is in lower case"
        raise _invalid(text, f"{wrong!r} can't be part of a repository", hint)


def _invalid(text: str, what: str, hint: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is not an image reference: {what}", hint=hint)

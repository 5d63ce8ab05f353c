"""Faults: what a registry asks before it answers a request, and the pulls that a scenario lets go wrong."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from sim.oci.json_object import json_object
from sim.oci.registry.auth import TOKEN_PATH, BasicAuth, TokenAuth
from sim.oci.registry.store import Repository, Store

#: Consulted before the handler, in order. The first response it returns is sent instead of the real one; None
#: lets the request pass. It may also sleep (a slow registry), or break the connection by `reset_connection`.
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

#: What a pull asks for.
PullStep = Literal["ping", "token", "manifest", "blob"]
PULL_STEPS: tuple[PullStep, ...] = ("ping", "token", "manifest", "blob")


class ConnectionEndedError(Exception):
    """A fault ended the connection; there is no response."""


def reset_connection(request: web.Request) -> None:
    """Break the request's connection with a TCP reset and end the request: raises ConnectionEndedError."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        if sock is not None:
            # Closing with a linger time of zero makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    raise ConnectionEndedError


def close_connection(request: web.Request) -> None:
    """Close the request's connection behind what was written and end the request: raises ConnectionEndedError."""
    if request.transport is not None:
        request.transport.close()
    raise ConnectionEndedError


@dataclass(frozen=True, slots=True)
class Pull:
    """A request of a client that pulls.

    `reference` is the tag or digest that a manifest or blob is asked for by; it and `repository` are empty where the
    request names none.
    """

    request: web.Request = field(repr=False)
    step: PullStep
    repository: str
    reference: str
    store: Store = field(repr=False)
    auth: BasicAuth | TokenAuth | None = field(repr=False)

    @property
    def permitted(self) -> bool:
        """Whether the registry will not refuse it for want of authentication."""
        if self.auth is None or self.step == "token":
            return True
        return self.auth.allows(self.request, self.repository or None, "pull")

    def blob(self) -> bytes | None:
        """The blob that it will be given, None where it will be given none."""
        known = self.store.known(self.repository)
        if self.step != "blob" or known is None or not known.has(self.reference) or not self.permitted:
            return None
        return self.store.content_path(self.reference).read_bytes()

    def manifest(self) -> tuple[str, str, bytes] | None:
        """Digest, media type and content of the manifest that it will be given, None where it will be given none."""
        known = self.store.known(self.repository)
        digest = known.digest_of(self.reference) if known is not None else None
        if self.step != "manifest" or known is None or digest is None or not self.permitted:
            return None
        return digest, known.manifests[digest], self.store.content_path(digest).read_bytes()

    def is_of(self, reference: str) -> bool:
        """Whether it asks for the image with this tag or digest: its manifest, or a blob of it; or the blob itself."""
        known = self.store.known(self.repository)
        if reference == self.reference:
            return True
        digest = known.digest_of(reference) if known is not None else None
        if known is None or digest is None:
            return False
        wanted = known.digest_of(self.reference) if self.step == "manifest" else self.reference
        return wanted in _image(self.store, known, digest)


def read_pull(request: web.Request, store: Store, auth: BasicAuth | TokenAuth | None) -> Pull | None:
    """The request as a pull, None where it is none: a listing, a push, or a question whether a blob is there.

    Only who pushes asks for a blob by HEAD: a pull takes it or leaves it.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    path = request.path
    if path == TOKEN_PATH:
        scope = next(iter(request.query.getall("scope", [])), "").split(":")
        return Pull(request, "token", scope[1] if len(scope) > 2 else "", "", store, auth)
    if path in ("/v2", "/v2/"):
        return Pull(request, "ping", "", "", store, auth)
    parts = path.split("/")
    if not path.startswith("/v2/") or len(parts) < 5:
        return None
    match parts[-2]:
        case "manifests":
            step: PullStep = "manifest"
        case "blobs" if request.method == "GET" and parts[-1] != "uploads":
            step = "blob"
        case _:
            return None
    return Pull(request, step, "/".join(parts[2:-2]), parts[-1], store, auth)


#: Asked about each pull. What it returns is sent instead of the real answer; None lets the pull pass.
PullFault = Callable[[Pull], Awaitable[web.StreamResponse | None]]


class PullFaults:
    """Named faults of a registry's answers to pulls; itself a `Fault`, for `registry.faults`.

    They are asked in the order they came in, and the first that answers, answers. Pushes are never hit. `store` and
    `auth` are the registry's; one that takes its place brings a `store` of its own.
    """

    def __init__(self, store: Store, auth: BasicAuth | TokenAuth | None = None) -> None:
        self.store = store
        self._auth = auth
        self._faults: dict[str, PullFault] = {}
        self._suspended = 0

    def add(self, name: str, fault: PullFault) -> None:
        self._faults[name] = fault

    def remove(self, name: str) -> None:
        """Raises KeyError when there is none of this name."""
        del self._faults[name]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """No request is hit that comes while inside: for pushes, whose client may ask for manifests and tokens too."""
        self._suspended += 1
        try:
            yield
        finally:
            self._suspended -= 1

    async def __call__(self, request: web.Request) -> web.StreamResponse | None:
        if self._suspended or not self._faults:
            return None
        pull = read_pull(request, self.store, self._auth)
        if pull is None:
            return None
        for fault in tuple(self._faults.values()):
            response = await fault(pull)
            if response is not None:
                return response
        return None


def _image(store: Store, known: Repository, digest: str) -> set[str]:
    """The digests of a manifest and all that it refers to."""
    found = {digest}
    try:
        document = json_object(store.content_path(digest).read_bytes())
    except ValueError:
        return found
    for key in ("layers", "fsLayers", "manifests", "config"):
        listed = document.get(key) or []
        for item in listed if isinstance(listed, list) else [listed]:
            inner = item.get("digest") if isinstance(item, dict) else None
            if not isinstance(inner, str) or inner in found:
                continue
            found |= _image(store, known, inner) if inner in known.manifests else {inner}
    return found

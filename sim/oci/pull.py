"""Pulling an image as pilot-agent does (istio `pkg/wasm/imagefetcher.go` over go-containerregistry's `remote`).

Requests in order: `GET /v2/`, a token where the answer asks for one, the manifest, and later the one layer that is
needed. A passing status (500, 502, 503 and their like) or a broken connection is tried three times; every other
answer is final. A broken connection that had been used before is tried once more at once.

Where the real agent trusts more than it says it does, this one does not: a layer's digest is checked although the file
that is wanted comes first in it, and a layer's `urls` are never followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self, cast

from sim.oci.archive import is_wasm, plugin_member
from sim.oci.conversation import Conversation
from sim.oci.credentials import Credentials, credentials_for
from sim.oci.digests import digest_like
from sim.oci.endpoints import Endpoint, Endpoints
from sim.oci.fetch_error import MAX_BYTES, FetchError, NotWasmError, TooLargeError
from sim.oci.http_client import HttpClient, UnreachableError
from sim.oci.manifest import Descriptor, read_manifest
from sim.oci.references import SCHEME, Reference, parse_image_url, parse_reference

#: Pauses between the tries of a request, in seconds.
PAUSES_S = (0.1, 0.3)

#: How long HTTPS is waited for before plain HTTP is tried beside it.
HEAD_START_S = 0.3

#: A layer up to this size is hashed and unpacked where it is; a thread would take longer than the work.
_INLINE_BYTES = 64 * 1024
#: … as long as it does not swell beyond this.
_INLINE_UNPACKED_BYTES = 1024 * 1024


class OciFetcher:
    """Pulls Wasm modules out of registries. An async context manager, which owns the connections.

    `mirrors`, `insecure_registries` and `allowed_registries` are explained at `Endpoints`. `ssl_context` trusts a
    private CA. `timeout_s` is for `prepare` and the fetch after it together; None waits for ever. `pauses_s` are the
    pauses between tries. `limit_bytes` is the most that a layer or a module may have.
    """

    def __init__(
        self,
        *,
        mirrors: Mapping[str, str] | None = None,
        insecure_registries: Collection[str] = (),
        allowed_registries: Collection[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout_s: float | None = 30.0,
        pauses_s: Sequence[float] = PAUSES_S,
        limit_bytes: int = MAX_BYTES,
    ) -> None:
        self._endpoints = Endpoints(mirrors or {}, insecure_registries, allowed_registries)
        self._http = HttpClient(ssl_context)
        self._timeout_s = timeout_s
        self._pauses_s = tuple(pauses_s)
        self._limit_bytes = limit_bytes

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, tb)

    async def prepare(self, reference: Reference | str, pull_secret: bytes | None = None) -> Prepared:
        """Ask for the manifest, so that the caller can decide by its digest whether to fetch the module.

        `reference` is the `oci://` URL of a plugin, or a reference. `pull_secret` is a Docker configuration file (see
        `credentials_for`). Raises FetchError, and InvalidInput for what is no reference.
        """
        target = _read(reference)
        deadline = None if self._timeout_s is None else asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                conversation = await self._open(target, credentials_for(target.registry, pull_secret))
                manifest = await conversation.manifest()
        except TimeoutError as error:
            raise timed_out(target) from error
        return Prepared(conversation, manifest, self._limit_bytes, deadline)

    async def _open(self, target: Reference, credentials: Credentials) -> Conversation:
        made = [
            Conversation(self._http, target, endpoint, credentials, self._pauses_s)
            for endpoint in self._endpoints.of(target.registry)
        ]
        if len(made) == 1:
            opened = await self._open_one(made[0])
        else:
            opened = await _first_to_answer(*made)
        await opened.authorize()
        return opened

    async def _open_one(self, conversation: Conversation) -> Conversation:
        try:
            await conversation.ping()
            return conversation
        except UnreachableError as error:
            secure = conversation.endpoint.base_url
            if not error.plain_http or not secure.startswith("https://"):
                raise conversation.unreachable(error) from error
        # The agent asks a server that answers TLS without TLS again by plain HTTP, wherever it is.
        plain = replace(conversation, endpoint=Endpoint("http://" + secure.removeprefix("https://")))
        try:
            await plain.ping()
        except UnreachableError as error:
            raise plain.unreachable(error) from error
        return plain


async def _first_to_answer(secure: Conversation, plain: Conversation) -> Conversation:
    """Whichever of the two is answered first; HTTPS gets a head start.

    Raises FetchError where neither is, with what went wrong in both.
    """
    pings = [asyncio.create_task(_pinged(secure), name="ping-https")]
    failures: list[FetchError] = []
    try:
        await asyncio.wait(pings, timeout=HEAD_START_S)
        if not pings[0].done() or pings[0].exception() is not None:
            pings.append(asyncio.create_task(_pinged(plain), name="ping-http"))
        for answered in asyncio.as_completed(pings):
            try:
                return await answered
            except FetchError as failed:
                failures.append(failed)
    finally:
        for ping in pings:
            ping.cancel()
        await asyncio.gather(*pings, return_exceptions=True)
    telling = next((failed for failed in failures if failed.status is not None), failures[-1])
    both = "; ".join(failed.message for failed in failures)
    raise FetchError(telling.reason, both, status=telling.status, hint=telling.hint)


async def _pinged(conversation: Conversation) -> Conversation:
    try:
        await conversation.ping()
    except UnreachableError as error:
        raise conversation.unreachable(error) from error
    return conversation


def _read(reference: Reference | str) -> Reference:
    if isinstance(reference, str):
        return parse_image_url(reference) if reference.startswith(SCHEME) else parse_reference(reference)
    return reference


class Prepared:
    """An image whose manifest is known, and whose module can be fetched.

    `digest` is the manifest's sha256 in hexadecimal: the agent's checksum for the module.
    """

    def __init__(self, conversation: Conversation, manifest: bytes, limit_bytes: int, deadline: float | None) -> None:
        self._conversation = conversation
        self._limit_bytes = limit_bytes
        self._deadline = deadline
        self.manifest = manifest
        self.digest = hashlib.sha256(manifest).hexdigest()

    def __repr__(self) -> str:
        return f"<Prepared {self._conversation.reference} {self.digest[:12]}>"

    async def fetch(self, downloaded: Callable[[int], None] | None = None) -> bytes:
        """Download the one layer that is needed, and take the Wasm module out of it.

        `downloaded` is called with the layer's size in bytes once it is there, before it is unpacked.
        Raises FetchError.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                module = await self._module(downloaded or (lambda _: None))
        except TimeoutError as error:
            raise timed_out(self._conversation.reference) from error
        if not is_wasm(module):
            raise NotWasmError(f"what {self._conversation.reference} holds is not a Wasm module")
        return module

    async def _module(self, downloaded: Callable[[int], None]) -> bytes:
        manifest = read_manifest(self.manifest)
        if manifest.is_docker:
            return await self._unpacked(manifest.archive_layer(), downloaded)
        try:
            return await self._unpacked(manifest.archive_layer(), downloaded)
        except FetchError as as_image:
            try:
                return await self._raw(manifest.module_layer(), downloaded)
            except FetchError as as_artifact:
                # Trouble on the way says more than that the other form does not fit.
                telling = as_image if as_artifact.reason == "invalid" else as_artifact
                raise FetchError(
                    telling.reason,
                    f"{self._conversation.reference}: as an image: {as_image.message}; "
                    f"as an artifact: {as_artifact.message}",
                    status=telling.status,
                    hint=telling.hint,
                ) from telling

    async def _raw(self, layer: Descriptor, downloaded: Callable[[int], None]) -> bytes:
        content = await self._conversation.blob(layer, self._limit_bytes)
        downloaded(len(content))
        if len(content) <= _INLINE_BYTES:
            _verify(layer, content)
        else:
            await asyncio.to_thread(_verify, layer, content)
        return content

    async def _unpacked(self, layer: Descriptor, downloaded: Callable[[int], None]) -> bytes:
        content = await self._conversation.blob(layer, self._limit_bytes)
        downloaded(len(content))
        limit_bytes = self._limit_bytes
        if len(content) <= _INLINE_BYTES:
            _verify(layer, content)
            try:
                return plugin_member(content, min(limit_bytes, _INLINE_UNPACKED_BYTES))
            except TooLargeError:
                # It swells: a thread takes it from the start.
                return await asyncio.to_thread(plugin_member, content, limit_bytes)
        # Side by side on two cores; what was unpacked counts only if the digest is right.
        verified, module = await asyncio.gather(
            asyncio.to_thread(_verify, layer, content),
            asyncio.to_thread(plugin_member, content, limit_bytes),
            return_exceptions=True,
        )
        for outcome in (verified, module):
            if isinstance(outcome, BaseException):
                raise outcome
        return cast(bytes, module)


def _verify(blob: Descriptor, content: bytes) -> None:
    actual = digest_like(blob.digest, content)
    if actual != blob.digest:
        raise FetchError("checksum", f"the layer {blob.digest} came as {actual}", hint="push the image again")


def timed_out(target: Reference) -> FetchError:
    """The error for an image that was not there in time."""
    return FetchError(
        "timeout",
        f"{target} was not there in time",
        hint="look for a slow registry or network, or allow more time",
    )

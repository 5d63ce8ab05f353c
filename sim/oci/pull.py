"""Pulling an image as pilot-agent does (istio `pkg/wasm/imagefetcher.go` over go-containerregistry's `remote`).

Requests in order: `GET /v2/`, a token where the answer asks for one, the manifest, and later the one layer that is
needed. A passing status (500, 502, 503 and their like) or a broken connection is tried three times; every other
answer is final. A broken connection that had been used before is tried once more at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, cast

from sim.oci.archive import is_wasm, plugin_member
from sim.oci.conversation import Conversation
from sim.oci.credentials import Credentials, credentials_for
from sim.oci.digests import digest_like
from sim.oci.endpoints import Endpoint, Endpoints
from sim.oci.fetch_error import MAX_BYTES, FetchError, TooLargeError
from sim.oci.http_client import HttpClient, UnreachableError
from sim.oci.manifest import Descriptor, read_manifest
from sim.oci.references import Reference, parse_reference

#: Pauses between the tries of a request, in seconds.
PAUSES_S = (0.1, 0.3)

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
        self._endpoints = Endpoints(mirrors or {}, insecure_registries, allowed_registries, tls=ssl_context is not None)
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

        `pull_secret` is a Docker configuration file (see `credentials_for`). Raises FetchError.
        """
        target = parse_reference(reference) if isinstance(reference, str) else reference
        deadline = None if self._timeout_s is None else asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                conversation = await self._open(target, credentials_for(target.registry, pull_secret))
                manifest = await conversation.manifest()
        except TimeoutError as error:
            raise timed_out(target) from error
        return Prepared(conversation, manifest, self._limit_bytes, deadline)

    async def _open(self, target: Reference, credentials: Credentials) -> Conversation:
        endpoints = self._endpoints.of(target.registry)
        while True:
            endpoint = endpoints.pop(0)
            conversation = Conversation(self._http, target, endpoint, credentials, self._pauses_s)
            try:
                await conversation.open()
                return conversation
            except UnreachableError as error:
                if not endpoints and error.plain_http and endpoint.base_url.startswith("https://"):
                    # The agent asks a server that answers TLS without TLS again by plain HTTP, wherever it is.
                    endpoints.append(Endpoint("http://" + endpoint.base_url.removeprefix("https://")))
                if not endpoints:
                    raise conversation.unreachable(error) from error


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
            raise FetchError(
                "invalid",
                f"what {self._conversation.reference} holds is not a Wasm module",
                hint="compile the plugin for wasm32 and push the result",
            )
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

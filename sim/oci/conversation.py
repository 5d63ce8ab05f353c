"""One image's conversation with its registry: ping, token, manifest, blob, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sim.oci.auth import Challenge, TokenSource, read_challenge
from sim.oci.credentials import Credentials
from sim.oci.digests import digest_like
from sim.oci.endpoints import Endpoint
from sim.oci.fetch_error import FetchError, TooLargeError
from sim.oci.http_client import ConnectionLostError, HttpClient, Retry, UnreachableError, drain, read_body
from sim.oci.manifest import Descriptor, child_of_index
from sim.oci.media_types import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_MANIFEST_V1,
    DOCKER_MANIFEST_V1_SIGNED,
    INDEXES,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA_1,
)
from sim.oci.references import Reference

#: Statuses that may pass.
RETRIED = frozenset({408, 499, 500, 502, 503, 504, 522})

MAX_MANIFEST_BYTES = 16 * 1024 * 1024

_ACCEPT = ",".join(
    (
        DOCKER_MANIFEST_V1,
        DOCKER_MANIFEST_V1_SIGNED,
        DOCKER_MANIFEST,
        OCI_MANIFEST,
        DOCKER_MANIFEST_LIST,
        OCI_INDEX,
    )
)
_MAX_INDEX_DEPTH = 8
_HINTS = {
    401: "give the WasmPlugin an imagePullSecret for this registry",
    403: "the pull secret's user may not read this repository",
    404: "check the repository and the tag",
    429: "the registry limits the rate; the agent does not try again",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response: all of its body where its status is 200, the beginning otherwise."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    challenge: Challenge | None


@dataclass(slots=True)
class Conversation:
    """Requests for one reference at one endpoint, on an HTTP client that the caller owns.

    `pauses_s` are the pauses between the tries of a request: two pauses make three tries.
    """

    http: HttpClient
    reference: Reference
    endpoint: Endpoint
    credentials: Credentials = field(repr=False)
    pauses_s: Sequence[float]
    tokens: TokenSource | None = None
    authorization: str | None = field(default=None, repr=False)

    async def ping(self) -> None:
        """Ask what the registry wants to see. Raises FetchError, and UnreachableError where nobody answers."""
        answer = await self._get(f"{self.endpoint.base_url}/v2/", {}, MAX_MANIFEST_BYTES)
        if answer.status not in (200, 401):
            raise self._refused("GET /v2/", answer)
        if answer.challenge is not None and answer.challenge.scheme == "bearer":
            self.tokens = TokenSource(
                self.http,
                answer.challenge,
                self.credentials,
                [f"repository:{self.reference.repository}:pull"],
                self.endpoint.verify,
                self._retry,
            )

    async def authorize(self) -> None:
        """Get a token where the registry asked for one. Raises FetchError.

        A registry that asked for something else, or for nothing, is told what the pull secret has: some let the ping
        pass and refuse the manifest.
        """
        if self.tokens is None:
            self.authorization = self.credentials.standing
            return
        try:
            self.authorization = await self.tokens.authorization()
        except (UnreachableError, ConnectionLostError) as error:
            raise self.unreachable(error) from error

    async def manifest(self) -> bytes:
        """The image's manifest; of an index, that of its child for linux/amd64. Raises FetchError."""
        answer = await self._ask("manifests", self.reference.identifier, {"Accept": _ACCEPT}, MAX_MANIFEST_BYTES)
        # The agent compares the whole header, so that a parameter behind the media type makes another one of it.
        raw, media_type = answer.body, answer.headers.get("Content-Type", "").strip()
        if self.reference.digest is not None:
            self._verify_manifest(self.reference.digest, raw)
        for _ in range(_MAX_INDEX_DEPTH):
            if media_type in SCHEMA_1:
                raise FetchError(
                    "invalid", f"{self.reference} is an image of schema 1", hint="push it again with a newer tool"
                )
            if media_type not in INDEXES:
                return raw
            child = child_of_index(raw)
            raw = await self._child(child)
            media_type = child.media_type
        raise FetchError("invalid", f"{self.reference} is an index without an end", hint="push the image again")

    async def blob(self, blob: Descriptor, limit_bytes: int) -> bytes:
        """A blob of the length that the manifest says; its digest is still to be checked. Raises FetchError."""
        if blob.size_bytes > limit_bytes:
            raise TooLargeError(limit_bytes)
        content = blob.data
        if content is None:
            content = (await self._ask("blobs", blob.digest, {}, limit_bytes)).body
        if len(content) != blob.size_bytes:
            raise FetchError(
                "checksum",
                f"{blob.digest} came with {len(content)} bytes, the manifest says {blob.size_bytes}",
                hint="push the image again",
            )
        return content

    def unreachable(self, error: Exception) -> FetchError:
        """The error for a registry that does not answer."""
        return FetchError(
            "download",
            f"{self.reference}: the registry at {self.endpoint.base_url} can't be reached: {error}",
            hint="check that it runs there",
        )

    @property
    def _retry(self) -> Retry:
        return Retry(self.pauses_s, RETRIED)

    async def _child(self, child: Descriptor) -> bytes:
        raw = child.data
        if raw is None:
            answer = await self._ask("manifests", child.digest, {"Accept": child.media_type}, MAX_MANIFEST_BYTES)
            raw = answer.body
        self._verify_manifest(child.digest, raw)
        return raw

    def _verify_manifest(self, digest: str, raw: bytes) -> None:
        if digest_like(digest, raw) != digest:
            raise FetchError(
                "checksum",
                f"the manifest that came for {self.reference.name}@{digest} has another digest",
                hint="the registry, or something before it, changes content",
            )

    async def _ask(self, kind: str, identifier: str, headers: Mapping[str, str], limit_bytes: int) -> _Answer:
        """The answer 200 to a GET. A token that is no longer taken, or that does not suffice, is renewed once."""
        url = f"{self.endpoint.base_url}/v2/{self.reference.repository}/{kind}/{identifier}"
        try:
            answer = await self._get(url, headers, limit_bytes)
            if answer.challenge is not None and self.tokens is not None:
                self.tokens.widen(answer.challenge)
                await self.authorize()
                answer = await self._get(url, headers, limit_bytes)
        except UnreachableError as error:
            raise self.unreachable(error) from error
        if answer.status != 200:
            raise self._refused(f"GET {kind}/{identifier}", answer)
        return answer

    async def _get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> _Answer:
        try:
            async with self.http.get(
                url, headers, authorization=self.authorization, verify=self.endpoint.verify, retry=self._retry
            ) as response:
                if response.status == 200:
                    return _Answer(200, response.headers, await read_body(response, limit_bytes), None)
                challenge = None
                if response.status == 401:
                    challenge = read_challenge(response.headers.getall("WWW-Authenticate", []))
                return _Answer(response.status, response.headers, await drain(response), challenge)
        except ConnectionLostError as error:
            raise self.unreachable(error) from error

    def _refused(self, what: str, answer: _Answer) -> FetchError:
        return FetchError(
            "download",
            f"{self.reference}: {what} was answered {answer.status}{_explanation(answer.body)}",
            status=answer.status,
            hint=_HINTS.get(answer.status, "look at the registry's log"),
        )


def _explanation(body: bytes) -> str:
    """The registry's own words, from an error body of the distribution specification."""
    try:
        errors = json.loads(body)["errors"]
        return ": " + "; ".join(f"{error['code']} {error.get('message', '')}".strip() for error in errors)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""

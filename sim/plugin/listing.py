"""What a registry holds: repositories, tags, and each image's digest, size and format."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from yarl import URL

from sim.errors import EnvironmentProblem, SimError
from sim.oci import FetchError, Reference
from sim.oci.auth import Challenge, TokenSource, read_challenge
from sim.oci.http_client import ConnectionLostError, HttpClient, UnreachableError, read_body
from sim.plugin.access import Access
from sim.plugin.manifests import read_layout

_MOST_BYTES = 16 << 20
_MOST_PAGES = 1000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_NOT_THERE = 404


@dataclass(frozen=True, slots=True)
class Listed:
    """A tag. `digest` and `format` are those of the image that the agent would load; `problem` says why there is
    none."""

    repository: str
    tag: str
    digest: str | None = None
    size_bytes: int | None = None
    format: str | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "repository": self.repository,
            "tag": self.tag,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "format": self.format,
            "problem": self.problem,
        }


async def list_images(access: Access, repository: str | None) -> list[Listed]:
    """Every tag of a repository, or of all that the registry tells of, by name.

    Raises EnvironmentProblem where the registry can't be reached or does not tell.
    """
    async with HttpClient() as http, access.fetcher() as fetcher:
        asked = _Asked(http, access)
        if repository is None:
            repositories = sorted(
                [name async for name in asked.pages("_catalog", "repositories", "registry:catalog:*")]
            )
        else:
            repositories = [repository]
        found = []
        for name in repositories:
            scope = f"repository:{name}:pull"
            for tag in sorted([tag async for tag in asked.pages(f"{name}/tags/list", "tags", scope)]):
                try:
                    prepared = await fetcher.prepare(Reference(access.registry, name, tag), access.pull_secret)
                except FetchError as error:
                    found.append(Listed(name, tag, problem=error.message))
                    continue
                layout = read_layout(prepared.manifest, prepared.digest)
                found.append(Listed(name, tag, layout.digest, layout.size_bytes, layout.format))
        return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """Questions to one registry, each with the authorization that it wants."""

    http: HttpClient
    access: Access

    async def pages(self, path: str, key: str, scope: str) -> AsyncIterator[str]:
        """The strings under `key` of every page (distribution specification, Content Discovery)."""
        url = URL(f"{self.access.base_url}/v2/{path}")
        for _ in range(_MOST_PAGES):
            data, following = await self._get(url, scope)
            listed = data.get(key)
            for name in listed if isinstance(listed, list) else []:
                yield str(name)
            if following is None:
                return
            # A registry has no say in whom else our credentials go to.
            url = url.join(URL(following)).with_host(url.host or "").with_port(url.port).with_scheme(url.scheme)

    async def _get(self, url: URL, scope: str) -> tuple[dict[str, Any], str | None]:
        try:
            status, body, link, challenge = await self._ask(url, None)
            if status == 401 and challenge is not None:
                status, body, link, _ = await self._ask(url, await self._authorization(challenge, scope))
        except (UnreachableError, ConnectionLostError) as error:
            raise EnvironmentProblem(
                f"the registry at {self.access.base_url} can't be reached: {error}",
                hint="check that it runs there; --plain-http asks it without TLS",
            ) from error
        except SimError as error:
            raise EnvironmentProblem(error.message, hint=error.hint) from error
        if status != 200:
            raise _refused(url, status)
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise EnvironmentProblem(f"{url} answered no JSON object", hint="is it a registry?")
        found = _NEXT.search(link)
        return data, found[1] if found else None

    async def _authorization(self, challenge: Challenge, scope: str) -> str | None:
        if challenge.scheme != "bearer":
            return self.access.credentials.standing
        return await TokenSource(self.http, challenge, self.access.credentials, [scope]).authorization()

    async def _ask(self, url: URL, authorization: str | None) -> tuple[int, bytes, str, Challenge | None]:
        async with self.http.get(str(url), authorization=authorization) as response:
            body = await read_body(response, _MOST_BYTES)
            challenge = read_challenge(response.headers.getall("WWW-Authenticate", []))
            return response.status, body, response.headers.get("Link", ""), challenge


def _refused(url: URL, status: int) -> EnvironmentProblem:
    if url.path.endswith("/_catalog"):
        hint = "not every registry tells what it has: name a repository, as in HOST:PORT/team/plugin"
    elif status == _NOT_THERE:
        hint = "there is no such repository; ls HOST:PORT tells those that there are"
    else:
        hint = "docker login, or give --username and --password-stdin"
    return EnvironmentProblem(f"{url} was answered {status}", hint=hint)

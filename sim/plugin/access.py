"""How a registry is reached and who asks: plain HTTP or TLS, and the credentials that Docker keeps."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import EnvironmentProblem, InvalidInput
from sim.oci import Credentials, OciFetcher, credentials_for
from sim.oci.credentials import DOCKER_HUB_KEY
from sim.oci.endpoints import is_local
from sim.oci.references import DOCKER_HUB

#: What a credential helper calls the user when the secret is an identity token.
_TOKEN_USER = "<token>"
_HELPER_S = 30.0


@dataclass(frozen=True, slots=True)
class Access:
    """A registry (`host[:port]`), its scheme, and the credentials for it.

    Loopback and private addresses are asked by plain HTTP, as the agent does; `plain_http` asks any other so too.
    """

    registry: str
    plain_http: bool = False
    credentials: Credentials = field(default_factory=Credentials)

    @property
    def plain(self) -> bool:
        return self.plain_http or is_local(self.registry)

    @property
    def base_url(self) -> str:
        """Without a trailing slash."""
        return f"{'http' if self.plain else 'https'}://{self.registry}"

    @property
    def pull_secret(self) -> bytes | None:
        """The credentials as the agent is given them, None for an anonymous user."""
        if self.credentials == Credentials():
            return None
        key = DOCKER_HUB_KEY if self.registry == DOCKER_HUB else self.registry
        entry = {
            "username": self.credentials.user,
            "password": self.credentials.password,
            "identitytoken": self.credentials.identity_token,
            "registrytoken": self.credentials.registry_token,
        }
        return json.dumps({"auths": {key: {name: value for name, value in entry.items() if value}}}).encode()

    def fetcher(self) -> OciFetcher:
        """A fetcher with the agent's rules, which asks this registry by this scheme."""
        return OciFetcher(mirrors={self.registry: self.base_url} if self.plain_http else None)


async def access(
    registry: str, *, plain_http: bool = False, user: str | None = None, password: str | None = None
) -> Access:
    """How to reach a registry as `user`, or without one as whom Docker's configuration says.

    Read are `auths`, `credHelpers` and `credsStore` of `$DOCKER_CONFIG/config.json`, else of `~/.docker/config.json`.
    Raises InvalidInput for a user without a password, and EnvironmentProblem for a configuration or a helper that is
    of no use.
    """
    if user is not None:
        if password is None:
            raise InvalidInput("there is a user, and no password", hint="add --password-stdin, and pipe it in")
        return Access(registry, plain_http, Credentials(user=user, password=password))
    if password is not None:
        raise InvalidInput("there is a password, and no user", hint="add --username NAME")
    return Access(registry, plain_http, await _docker_credentials(registry))


async def _docker_credentials(registry: str) -> Credentials:
    folder = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    file = Path(folder) / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        return Credentials()
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"{file} can't be read: {error}", hint="mend it, or give --username and --password-stdin"
        ) from error
    if not isinstance(config, dict):
        raise EnvironmentProblem(f"{file} is no JSON object", hint="mend it, or give --username and --password-stdin")
    key = DOCKER_HUB_KEY if registry == DOCKER_HUB else registry
    helpers = config.get("credHelpers")
    helper = helpers.get(key) if isinstance(helpers, dict) else None
    if helper is None:
        # The agent refuses a pull secret that names a helper, for it has none; its author has.
        written = credentials_for(registry, json.dumps({"auths": config.get("auths")}).encode())
        if written != Credentials():
            return written
        helper = config.get("credsStore")
    return Credentials() if not isinstance(helper, str) or not helper else await _from_helper(helper, key)


async def _from_helper(name: str, key: str) -> Credentials:
    """What `docker-credential-NAME get` says (docker/docker-credential-helpers); nothing where it knows nothing."""
    program = f"docker-credential-{name}"
    try:
        process = await asyncio.create_subprocess_exec(
            program, "get", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"Docker's configuration names the credential helper {program}, which can't be run: {error.strerror}",
            hint="install it, or give --username and --password-stdin",
        ) from error
    try:
        async with asyncio.timeout(_HELPER_S):
            output, _ = await process.communicate(key.encode())
    except TimeoutError:
        raise EnvironmentProblem(
            f"{program} did not answer within {_HELPER_S:g} s", hint="give --username and --password-stdin"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        return Credentials()
    try:
        answer: Any = json.loads(output)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentProblem(
            f"{program} answered something else than credentials", hint="give --username and --password-stdin"
        ) from error
    return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user=user, password=secret)

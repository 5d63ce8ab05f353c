"""Pull secrets: what a `kubernetes.io/dockerconfigjson` secret says about a registry."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from sim.oci.fetch_error import FetchError
from sim.oci.references import DOCKER_HUB

#: The key under which Docker keeps the credentials of Docker Hub.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a registry may be told: a name and password, or a token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def anonymous(self) -> bool:
        return self == ANONYMOUS

    @property
    def basic(self) -> str:
        """The value of the Authorization header of HTTP basic."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


ANONYMOUS = Credentials()


def credentials_for(registry: str, pull_secret: bytes | None) -> Credentials:
    """The credentials for a registry (`host[:port]`), anonymous ones where the secret has none or there is none.

    `pull_secret` is the JSON of a Docker configuration file: `auths` by registry, each with `auth` (base64 of
    `user:password`, which wins) or `username` and `password`, or a token. Read as docker/cli's `configfile` does.
    Raises FetchError `download` for a secret that can't be read.
    """
    if pull_secret is None:
        return ANONYMOUS
    try:
        config = json.loads(pull_secret)
    except ValueError as error:
        raise _unreadable(f"not JSON: {error}") from error
    if not isinstance(config, dict):
        raise _unreadable("not a JSON object")
    auths = config.get("auths") or {}
    if not isinstance(auths, dict):
        raise _unreadable("auths is not an object")
    key = DOCKER_HUB_KEY if registry == DOCKER_HUB else registry
    entry = auths.get(key)
    if entry is None:
        host = _host(key)
        entry = next((value for name, value in auths.items() if _host(name) == host), None)
    return ANONYMOUS if entry is None else _read(entry)


def _read(entry: Any) -> Credentials:
    if not isinstance(entry, dict):
        raise _unreadable("an entry of auths is not an object")
    user, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            decoded = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _unreadable(f"an auth is not base64: {error}") from error
        user, colon, password = decoded.partition(":")
        if not colon:
            raise _unreadable("an auth is not user:password")
        password = password.rstrip("\x00")
    return Credentials(
        user=user,
        password=password,
        identity_token=str(entry.get("identitytoken", "")),
        registry_token=str(entry.get("registrytoken", "")),
    )


def _host(key: str) -> str:
    return key.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _unreadable(what: str) -> FetchError:
    return FetchError(
        "download",
        f"the pull secret can't be read: {what}",
        hint="make it with: kubectl create secret docker-registry NAME --docker-server=… --docker-username=…",
    )

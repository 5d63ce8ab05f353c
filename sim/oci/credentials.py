"""Pull secrets: what a `kubernetes.io/dockerconfigjson` secret says about a registry."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sim.oci.fetch_error import FetchError
from sim.oci.json_object import json_object
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
    def basic(self) -> str | None:
        """The value of the Authorization header of HTTP basic, None without both a name and a password."""
        if not self.user or not self.password:
            return None
        both = f"{self.user}:{self.password}".encode(errors="surrogateescape")
        return "Basic " + base64.b64encode(both).decode()

    @property
    def standing(self) -> str | None:
        """The Authorization header for a registry that does not ask for a token of its own."""
        return f"Bearer {self.registry_token}" if self.registry_token else self.basic


ANONYMOUS = Credentials()


def credentials_for(registry: str, pull_secret: bytes | None) -> Credentials:
    """The credentials for a registry (`host[:port]`), anonymous ones where the secret has none or there is none.

    `pull_secret` is the JSON of a Docker configuration file: `auths` by registry, each with `auth` (base64 of
    `user:password`, which wins) or `username` and `password`, or a token. Read as docker/cli's `configfile` does: one
    entry that can't be read spoils all. Raises FetchError `download` for a secret that can't be read.
    """
    if pull_secret is None:
        return ANONYMOUS
    try:
        config = json_object(pull_secret)
    except ValueError as error:
        raise _unreadable(str(error)) from error
    auths = config.get("auths") or {}
    if not isinstance(auths, dict):
        raise _unreadable("auths is not an object")
    entries = {name: _read(entry) for name, entry in auths.items()}
    key = DOCKER_HUB_KEY if registry == DOCKER_HUB else registry
    helpers = config.get("credHelpers") or {}
    if config.get("credsStore") or (isinstance(helpers, dict) and key in helpers):
        raise _unreadable("it leaves the password to a credential helper, which no gateway has")
    if key in entries:
        return entries[key]
    return next((entry for name, entry in entries.items() if _host(name) == key), ANONYMOUS)


def _read(entry: Any) -> Credentials:
    if entry is None:
        return ANONYMOUS
    if not isinstance(entry, dict):
        raise _unreadable("an entry of auths is not an object")
    user, password = _text(entry, "username"), _text(entry, "password")
    auth = _text(entry, "auth")
    if auth:
        try:
            raw = base64.b64decode(auth.replace("\r", "").replace("\n", ""), validate=True)
        except binascii.Error as error:
            raise _unreadable(f"an auth is not base64: {error}") from error
        # A password is bytes, whatever they spell.
        user, colon, password = raw.decode(errors="surrogateescape").partition(":")
        if not colon or not user:
            raise _unreadable("an auth is not user:password")
        password = password.strip("\x00")
    return Credentials(user, password, _text(entry, "identitytoken"), _text(entry, "registrytoken"))


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key) or ""
    if not isinstance(value, str):
        raise _unreadable(f"{key} is not a string")
    return value


def _host(name: str) -> str:
    """`host[:port]` of what older tools wrote as a key: a URL, or a host with a path."""
    if "://" in name:
        try:
            authority = urlsplit(name).netloc.rpartition("@")[2]
        except ValueError:
            authority = ""
        if authority:
            return authority
    return name.partition("/")[0]


def _unreadable(what: str) -> FetchError:
    return FetchError(
        "download",
        f"the pull secret can't be read: {what}",
        hint="make it with: kubectl create secret docker-registry NAME --docker-server=… --docker-username=…",
    )

"""Secrets of the registry: a report is passed around, so they are taken out of it wherever they stand."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

REDACTED = "<Redacted>"

#: Below this key Istio puts the pull secret into the ECDS resource, for the agent alone.
_PULL_SECRET = "ISTIO_META_WASM_IMAGE_PULL_SECRET"
_SECRET_KEYS = frozenset(
    {_PULL_SECRET, "password", ".dockerconfigjson", ".dockercfg", "identitytoken", "registrytoken"}
)
_ANY_KEY = "|".join(re.escape(key) for key in sorted(_SECRET_KEYS))
_SCENARIO_LINE = re.compile(rf"^(?P<key>[\s-]*['\"]?(?:{_ANY_KEY})['\"]?:[ \t]+)(?P<value>\S.*)$", re.MULTILINE)
_CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@:\"']*:[^/\s@\"']*@", re.IGNORECASE)
#: A shorter secret would be found in words that have nothing to do with it.
_SHORTEST = 4


class Redaction:
    """Remembers each secret that it was shown, to find it in texts where no key gives it away."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def scenario(self, text: str) -> str:
        """A resolved scenario, with the registry's passwords out of it."""

        def hide(match: re.Match[str]) -> str:
            self._learn(match["value"].strip().strip("'\""))
            return f"{match['key']}{REDACTED}"

        return self.text(_SCENARIO_LINE.sub(hide, text))

    def learn(self, data: Any) -> None:
        """Remember the secrets in a payload."""
        if isinstance(data, dict):
            secret = data.get("kind") == "Secret"
            for key, value in data.items():
                if isinstance(value, str) and key in _SECRET_KEYS:
                    self._learn(value)
                elif secret and key in ("data", "stringData") and isinstance(value, dict):
                    for each in value.values():
                        self._learn(str(each))
                else:
                    self.learn(value)
        elif isinstance(data, list):
            for each in data:
                self.learn(each)

    def data(self, data: Any) -> Any:
        """The same JSON without secrets; what is one by its key is hidden whole."""
        if isinstance(data, dict):
            if data.get("kind") == "Secret":
                hidden = {
                    key: dict.fromkeys(value, REDACTED)
                    for key, value in data.items()
                    if key in ("data", "stringData") and isinstance(value, dict)
                }
                data = {**data, **hidden}
            return {
                self.text(str(key)): REDACTED if key in _SECRET_KEYS and isinstance(value, str) else self.data(value)
                for key, value in data.items()
            }
        if isinstance(data, list):
            return [self.data(each) for each in data]
        return self.text(data) if isinstance(data, str) else data

    def text(self, text: str) -> str:
        """The text without the secrets that are known by now, and without a password in a URL."""
        # The longest first: one secret may be a part of another.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return _CREDENTIALS.sub(_without_credentials, text) if "@" in text else text

    def _learn(self, secret: str) -> None:
        if len(secret) < _SHORTEST or secret in self._secrets or secret == REDACTED:
            return
        self._secrets.add(secret)
        for reading in (_as_base64, str):
            auths = _auths(reading(secret))
            for login in auths:
                for key in ("password", "auth", "identitytoken", "registrytoken"):
                    value = login.get(key)
                    if isinstance(value, str):
                        self._learn(value)
                        if key == "auth":
                            self._learn(_as_base64(value).partition(":")[2])


def _without_credentials(match: re.Match[str]) -> str:
    return f"{match['scheme']}{REDACTED}@"


def _as_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _auths(text: str) -> list[dict[str, Any]]:
    """The logins of a Docker configuration, none in anything else."""
    try:
        loaded = json.loads(text)
    except ValueError:
        return []
    auths = loaded.get("auths") if isinstance(loaded, dict) else None
    return [each for each in auths.values() if isinstance(each, dict)] if isinstance(auths, dict) else []

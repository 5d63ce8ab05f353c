"""The pull secrets of the manifests, as Discovery reads them from the cluster."""

from __future__ import annotations

import base64
import binascii

from sim.core import Key, Store
from sim.discovery import PullSecrets

_DOCKER_CONFIG = ".dockerconfigjson"


class ClusterSecrets(PullSecrets):
    """Reads Core's store at the moment of asking: both stand for the same Kubernetes API."""

    _store: Store

    def __init__(self, store: Store) -> None:
        super().__init__({})
        # The base is frozen.
        object.__setattr__(self, "_store", store)

    def get(self, namespace: str, name: str) -> str:
        """The Docker configuration in the Secret, empty when there is none."""
        found = self._store.get(Key("v1", "Secret", namespace, name.rpartition("/")[2]))
        if found is None:
            return ""
        plain = (found.content.get("stringData") or {}).get(_DOCKER_CONFIG)
        if plain is not None:
            return str(plain)
        encoded = (found.content.get("data") or {}).get(_DOCKER_CONFIG, "")
        try:
            return base64.b64decode(encoded).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

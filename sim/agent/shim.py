"""The ABI shim in the agent: a module of Higress' Go SDK is stored as one that stock Envoy takes.

No real agent does this. It stands in for what the profile's real gateway has and stock Envoy has not: an Envoy that
knows the SDK's ABI. Names, paths and checksums stay those of the module as it was served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.errors import InvalidInput
from sim.profiles import Profile
from sim.wasm.abi import HIGRESS_ABI, SHIM_ABI, abi_number, shimmed
from sim.wasm.binary import MalformedModule

Rewrite = Callable[[bytes], bytes]

#: What the event `agent.shim` says: the ABI that the module has, and the one that it is told to Envoy as.
TOLD: dict[str, Any] = {"abi": abi_number(HIGRESS_ABI), "shim_abi": abi_number(SHIM_ABI)}


def shim_of(profile: Profile) -> Rewrite | None:
    """What is done to each module before it is stored; None for nothing."""
    return _shimmed if profile.abi_shim == "auto" else None


def _shimmed(module: bytes) -> bytes:
    try:
        return shimmed(module)
    except (MalformedModule, InvalidInput):
        # Envoy refuses it in its own words, as it would without us.
        return module

"""Faults of the registry's answers to pulls. One fault a module."""

from sim.scenario.faults.registry.bad_manifest import BadManifest
from sim.scenario.faults.registry.digest_mismatch import DigestMismatch
from sim.scenario.faults.registry.effect import ANY_PULL, Effect, Match, RegistryFault
from sim.scenario.faults.registry.expired_token import ExpiredToken
from sim.scenario.faults.registry.slow_blob import SlowBlob
from sim.scenario.faults.registry.status import Status
from sim.scenario.faults.registry.truncated_blob import TruncatedBlob

__all__ = [
    "ANY_PULL",
    "BadManifest",
    "DigestMismatch",
    "Effect",
    "ExpiredToken",
    "Match",
    "RegistryFault",
    "SlowBlob",
    "Status",
    "TruncatedBlob",
]

"""Envoy: the real binary, its bootstrap, its admin interface and its log."""

from sim.envoy.admin import Admin
from sim.envoy.binary import EnvoyBinary, find_envoy, probe_envoy
from sim.envoy.bootstrap import BootstrapOptions, responder_bootstrap
from sim.envoy.ports import reserved_port
from sim.envoy.process import Envoy, EnvoyOptions, envoy

__all__ = [
    "Admin",
    "BootstrapOptions",
    "Envoy",
    "EnvoyBinary",
    "EnvoyOptions",
    "envoy",
    "find_envoy",
    "probe_envoy",
    "reserved_port",
    "responder_bootstrap",
]

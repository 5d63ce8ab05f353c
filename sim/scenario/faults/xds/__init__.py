"""Faults of a link's xDS messages, and the proxy that carries them out. One fault a module."""

from sim.scenario.faults.xds.conversation import Conversation
from sim.scenario.faults.xds.disconnect import Disconnect
from sim.scenario.faults.xds.drop_ack import DropAck
from sim.scenario.faults.xds.duplicate import Duplicate
from sim.scenario.faults.xds.effect import ENVOY_TYPES, Effect, TypedFault, XdsFault
from sim.scenario.faults.xds.message import Break, Request, Response
from sim.scenario.faults.xds.nack import Nack
from sim.scenario.faults.xds.proxy import Hold, XdsProxy
from sim.scenario.faults.xds.reorder import Reorder
from sim.scenario.faults.xds.stale_version import StaleVersion

__all__ = [
    "ENVOY_TYPES",
    "Break",
    "Conversation",
    "Disconnect",
    "DropAck",
    "Duplicate",
    "Effect",
    "Hold",
    "Nack",
    "Reorder",
    "Request",
    "Response",
    "StaleVersion",
    "TypedFault",
    "XdsFault",
    "XdsProxy",
]

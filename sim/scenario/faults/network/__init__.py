"""Faults of a link's bytes, by Toxiproxy's names, and the link that they act on. One fault a module."""

from sim.scenario.faults.network.bandwidth import Bandwidth
from sim.scenario.faults.network.down import Down
from sim.scenario.faults.network.effect import Effect, End, NetworkFault, Piece, Toxic
from sim.scenario.faults.network.latency import Latency
from sim.scenario.faults.network.limit_data import LimitData
from sim.scenario.faults.network.link import Link
from sim.scenario.faults.network.reset_peer import ResetPeer
from sim.scenario.faults.network.slicer import Slicer
from sim.scenario.faults.network.slow_close import SlowClose
from sim.scenario.faults.network.timeout import Timeout

__all__ = [
    "Bandwidth",
    "Down",
    "Effect",
    "End",
    "Latency",
    "LimitData",
    "Link",
    "NetworkFault",
    "Piece",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
]

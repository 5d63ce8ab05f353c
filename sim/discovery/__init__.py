"""Discovery: what istiod does between Core's MCP and the agent's ADS stream."""

from sim.discovery.debounce import DebounceTimes
from sim.discovery.plugins import PullSecrets
from sim.discovery.server import Discovery, DiscoveryOptions, discovery

__all__ = ["DebounceTimes", "Discovery", "DiscoveryOptions", "PullSecrets", "discovery"]

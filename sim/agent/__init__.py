"""The agent: what pilot-agent does between Discovery and Envoy."""

from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest
from sim.agent.fetch import FetchOptions
from sim.agent.metrics import AgentMetrics
from sim.agent.server import Agent, AgentOptions, agent
from sim.agent.status import status_server

__all__ = [
    "Agent",
    "AgentMetrics",
    "AgentOptions",
    "FetchOptions",
    "ModuleCache",
    "ModuleError",
    "ModuleRequest",
    "agent",
    "status_server",
]

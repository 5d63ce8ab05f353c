"""The agent: what pilot-agent does between Discovery and Envoy."""

from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest
from sim.agent.fetch import FetchOptions
from sim.agent.server import Agent, AgentOptions, agent

__all__ = ["Agent", "AgentOptions", "FetchOptions", "ModuleCache", "ModuleError", "ModuleRequest", "agent"]

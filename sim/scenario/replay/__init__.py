"""Playing one side of a recorded hop again, and telling where the other side says something else."""

from sim.scenario.replay.client_side import play_client
from sim.scenario.replay.difference import Difference
from sim.scenario.replay.script import Pace, Script, scripts
from sim.scenario.replay.server_side import PlayedServer, play_server

__all__ = ["Difference", "Pace", "PlayedServer", "Script", "play_client", "play_server", "scripts"]

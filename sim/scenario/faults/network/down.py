"""`down`: nobody is there."""

from __future__ import annotations

from sim.scenario.faults.network.effect import NetworkFault


class Down(NetworkFault):
    """Refuse new connections and close the open ones, as Toxiproxy does with `enabled: false`."""

    kind = "down"

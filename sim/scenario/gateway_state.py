"""What a gateway's Envoy tells of itself at one moment: its filters, its Wasm VMs, its memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.envoy import Envoy
from sim.errors import EnvironmentProblem

_HCM = "envoy.filters.network.http_connection_manager"
_VMS = "wasm.envoy.wasm.runtime.v8.active"


@dataclass(frozen=True, slots=True)
class EnvoyState:
    """`filters` are the names in the listener that takes connections, in their order; the memory is resident."""

    filters: list[str]
    wasm_vms: int
    memory_bytes: int


async def envoy_state(envoy: Envoy, listener: str) -> EnvoyState | None:
    """Ask Envoy; None when it does not answer."""
    try:
        stats = await envoy.admin.stats(f"^{_VMS}$".replace(".", "\\."))
        dump = await envoy.admin.config_dump("?resource=dynamic_listeners")
        return EnvoyState(http_filters(dump, listener), stats.get(_VMS, 0), _resident_bytes(envoy.pid))
    except (EnvironmentProblem, OSError):
        return None


def http_filters(dump: dict[str, Any], listener: str) -> list[str]:
    """Off a `/config_dump?resource=dynamic_listeners`: the HTTP filters of the active listener of that name."""
    chains = (
        chain
        for found in dump.get("configs", ())
        if found.get("name") == listener and "active_state" in found
        for chain in found["active_state"]["listener"].get("filter_chains", ())
    )
    for chain in chains:
        for network_filter in chain.get("filters", ()):
            if network_filter["name"] == _HCM:
                return [each["name"] for each in network_filter["typed_config"].get("http_filters", ())]
    return []


def _resident_bytes(pid: int) -> int:
    """`VmRSS` of proc_pid_status(5); 0 for a process that has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0)

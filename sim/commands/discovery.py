"""`ecdsim discovery`: Discovery by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import click

from sim.commands.addresses import Address, address, check_free
from sim.commands.part_options import debug_listen_option, istio_setting, listen_option, profile_option
from sim.commands.values import duration_s

if TYPE_CHECKING:
    from sim.commands.alone import Ready
    from sim.trace import Trace


@click.command()
@click.option(
    "--mcp", required=True, type=address, metavar="HOST:PORT", help="Core's address, or that of another MCP server."
)
@listen_option
@profile_option
@istio_setting(
    "--debounce-after", "PILOT_DEBOUNCE_AFTER", duration_s, "100ms", "So much quiet is waited for before a push."
)
@istio_setting("--debounce-max", "PILOT_DEBOUNCE_MAX", duration_s, "10s", "But at most so long.")
@debug_listen_option
def discovery(
    mcp: Address,
    listen: Address,
    profile: str | None,
    debounce_after: float,
    debounce_max: float,
    debug_listen: Address | None,
) -> int:
    """Discovery by itself: reads MCP over xDS, debounces, and serves Envoys and agents by ADS.

    Like istiod it is ready, and listens, only once its MCP server has answered everything; then it prints a line of
    JSON on stdout. --debug-listen serves istiod's /debug/syncz, configz, ecdsz and config_dump, which
    ecdsim proxy-status and proxy-config read. SIGINT and SIGTERM end it, with 0.
    """
    from sim.clock import precise_loop
    from sim.commands.alone import Log, reminding, run_alone
    from sim.discovery import DebounceTimes, DiscoveryOptions
    from sim.discovery import discovery as discovery_part
    from sim.profiles import DEFAULT_PROFILE, load_profile

    options = DiscoveryOptions(
        profile=load_profile(profile or DEFAULT_PROFILE),
        mcp_address=str(mcp),
        listen=str(listen),
        debounce=DebounceTimes(after_s=debounce_after, max_s=debounce_max),
    )
    check_free("discovery", listen)
    if debug_listen is not None:
        check_free("discovery's debug port", debug_listen)

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with AsyncExitStack() as stack:
            times = None
            if debug_listen is not None:
                from sim.discovery.debug import SendTimes, debug_server

                # Before the first proxy can connect.
                times = SendTimes(trace)
            async with reminding(Log("discovery"), f"waiting for the MCP server at {mcp}"):
                part = await stack.enter_async_context(discovery_part(options, trace))
            ready: Ready = {"listen": part.address}
            if times is not None:
                ready["debug"] = await stack.enter_async_context(debug_server(part, times, str(debug_listen)))
            yield ready

    return run_alone("discovery", start, loop_factory=precise_loop)

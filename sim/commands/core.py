"""`ecdsim core`: Core by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.addresses import Address, check_free, ip_address
from sim.commands.part_options import debug_listen_option, listen_option
from sim.errors import InvalidInput

if TYPE_CHECKING:
    from sim.commands.alone import Ready
    from sim.trace import Trace


@click.command()
@listen_option
@click.option(
    "--manifests",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder of .yaml, .yml and .json files with WasmPlugins, Ingresses, Services and Secrets.",
)
@click.option("--watch", is_flag=True, help="Apply what is saved, changed or removed there later.")
@click.option(
    "--gateway-port", type=click.IntRange(1, 65535), default=80, show_default=True, help="Where the gateway listens."
)
@click.option(
    "--upstream",
    type=ip_address,
    metavar="IP:PORT",
    default="127.0.0.1:80",
    show_default=True,
    help="Who answers for every service; an IP address, not a name.",
)
@debug_listen_option
def core(
    listen: Address,
    manifests: Path,
    watch: bool,
    gateway_port: int,
    upstream: Address,
    debug_listen: Address | None,
) -> int:
    """Core by itself: converts the manifests of a folder and serves them as MCP over xDS.

    Whatever reads Istio's MCP over xDS can be pointed at it: ecdsim discovery, or an istiod (configSources).
    --debug-listen serves the converted objects at /debug/configz, as Higress' controller does on its port 8888.
    It is ready when it prints a line of JSON on stdout; SIGINT and SIGTERM end it, with 0.
    """
    from sim.commands.alone import Log, run_alone
    from sim.commands.manifest_folder import ManifestFolder
    from sim.core import CoreOptions, Store
    from sim.core.mcp import core as core_part

    if not manifests.is_dir():
        what = "is no folder" if manifests.exists() else "does not exist"
        raise InvalidInput(f"--manifests: {manifests} {what}", hint="name the folder that holds the .yaml files")
    check_free("core", listen)
    if debug_listen is not None:
        check_free("core's debug port", debug_listen)
    options = CoreOptions(gateway_port=gateway_port, upstream=(upstream.host, upstream.port))
    store = Store()
    folder = ManifestFolder(manifests, store)
    # Before anybody can ask: a client that comes back would take an empty answer for a deletion.
    folder.load(may_be_empty=watch)

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with AsyncExitStack() as stack:
            part = await stack.enter_async_context(core_part(options, trace, listen=str(listen), store=store))
            ready: Ready = {"listen": part.address}
            if debug_listen is not None:
                from sim.core.debug import debug_server

                ready["debug"] = await stack.enter_async_context(debug_server(part, str(debug_listen)))
            watching = asyncio.create_task(folder.watch(Log("core").problem), name="watch") if watch else None
            try:
                yield ready
            finally:
                if watching is not None:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)

    return run_alone("core", start)
